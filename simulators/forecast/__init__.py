"""What is believed of load and sun before it happens."""
