"""The simulators on the shared clock, one folder each."""
