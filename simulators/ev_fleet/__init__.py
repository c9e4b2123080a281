"""Electric vehicles and their chargers."""
