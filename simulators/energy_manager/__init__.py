"""A prosumer's own optimiser."""
