"""One scenario under several schemes and seeds, side by side."""
