"""Hardware in the loop: adapters by which a real device takes a simulated one's place."""
