"""feederloop: local energy markets of prosumers inside dynamic operating envelopes.

import feederloop

result = feederloop.run("minimal", days=1)
result.summary["voltage"]["max_v"]
feederloop.open_run(result.folder).table("connection_point")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from feederloop._version import __version__

if TYPE_CHECKING:
    from feederloop.coupling import envelopes
    from feederloop.coupling.results import open_run
    from feederloop.coupling.run import run
    from feederloop.coupling.scenario import load_scenario

__all__ = ["__version__", "envelopes", "load_scenario", "open_run", "run"]

_HOMES = {
    "envelopes": "feederloop.coupling.envelopes",
    "load_scenario": "feederloop.coupling.scenario",
    "open_run": "feederloop.coupling.results",
    "run": "feederloop.coupling.run",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `import feederloop` alone stays quick."""
    if name in _HOMES:
        home = import_module(_HOMES[name])
        return home if name == "envelopes" else getattr(home, name)
    raise AttributeError(f"module 'feederloop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
