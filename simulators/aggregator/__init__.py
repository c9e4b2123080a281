"""Central coordination: one who schedules the devices of all."""
