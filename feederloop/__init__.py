"""feederloop: local energy markets of prosumers inside dynamic operating envelopes."""

from feederloop._version import __version__

__all__ = ["__version__"]
