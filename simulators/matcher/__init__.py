"""How offers of prosumers meet."""
