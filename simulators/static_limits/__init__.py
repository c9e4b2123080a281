"""The same constant limits for everybody."""
