"""What ties the simulators together: scenario, wiring, run, results, command line."""
