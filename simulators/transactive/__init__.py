"""Prices between the DSO and the prosumers, iterated until the network bears the answers."""
