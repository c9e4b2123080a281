"""What the DSO curtails after a market that has no envelopes."""
