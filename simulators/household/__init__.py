"""What homes draw."""
