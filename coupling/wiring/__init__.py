"""Start the simulators of a scenario and connect them: the whole data flow in one room."""

from feederloop.coupling.wiring.assemble import build

__all__ = ["build"]
