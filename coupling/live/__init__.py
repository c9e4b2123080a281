"""The live page: watch a run while it goes on, pause it, and set off a bench's emergency stop."""
