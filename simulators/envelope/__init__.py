"""The distribution system operator's envelope controller."""
