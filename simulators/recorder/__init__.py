"""Writes what happens to Parquet."""
