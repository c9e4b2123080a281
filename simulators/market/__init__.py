"""Tariffs, bookings and settlement."""
