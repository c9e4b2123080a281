"""What can be wrong with a simulated device, switched on and off while it runs.

Public: `Fault`, `Faults`.
"""

from enum import StrEnum

from feederloop.simulators.errors import InputError


class Fault(StrEnum):
    """One way to misbehave; the parameters that `Faults.set` takes are named in brackets."""

    SILENT = "silent"
    """Takes requests and never answers."""
    SLOW = "slow"
    """Answers after [delay_s]."""
    LATE = "late"
    """Answers after [delay_s] with what was true when it was asked, as a device does whose answer the asker gave up."""
    RESET = "reset"
    """Breaks the connection at each request (on a serial line: silent)."""
    GARBAGE = "garbage"
    """Answers with bytes that are no Modbus frame."""
    EXCEPTION = "exception"
    """Answers every request with the exception [code]."""
    NAN = "nan"
    """Measured values read as missing or as no number; as 0 on devices that have no way to say so."""
    OUT_OF_RANGE = "out_of_range"
    """The total power reads [factor] times the truth and more than the rating."""
    IGNORE_SETPOINTS = "ignore_setpoints"
    """Acknowledges and shows set-points and does not follow them."""
    REBOOT = "reboot"
    """Is gone for [seconds], then back as delivered."""
    SWAPPED_WORDS = "swapped_words"
    """The registers of values that take several come in the other order."""
    REFUSE_FC06 = "refuse_fc06"
    """Refuses function 6."""


_DEFAULTS: dict[Fault, dict[str, float]] = {
    Fault.SLOW: {"delay_s": 0.1},
    Fault.LATE: {"delay_s": 1.5},
    Fault.EXCEPTION: {"code": 4},
    Fault.OUT_OF_RANGE: {"factor": 10.0},
    Fault.REBOOT: {"seconds": 5.0},
}


class Faults:
    """The faults that are switched on, with their parameters."""

    def __init__(self) -> None:
        self._active: dict[Fault, dict[str, float]] = {}

    def set(self, fault: str, **parameters: float) -> None:
        """Switch a fault on.

        Raises:
            InputError: No such fault, or it takes no such parameter.
        """
        if fault not in list(Fault):
            raise InputError("no such fault", key="fault", value=fault, allowed=", ".join(Fault))
        known = _DEFAULTS.get(Fault(fault), {})
        unknown = sorted(set(parameters) - set(known))
        if unknown:
            raise InputError(f"no parameter of fault {fault}", key=unknown[0], allowed=", ".join(known) or "none")
        # One new dictionary, so that a request served meanwhile sees the old state or the new one.
        self._active = {**self._active, Fault(fault): {**known, **parameters}}

    def clear(self, fault: str | None = None) -> None:
        """Switch one fault off, or all."""
        self._active = {} if fault is None else {name: value for name, value in self._active.items() if name != fault}

    @property
    def any(self) -> bool:
        """Whether one is on."""
        return bool(self._active)

    def has(self, fault: Fault) -> bool:
        """Whether a fault is on."""
        return fault in self._active

    def parameter(self, fault: Fault, name: str) -> float:
        """Return a parameter of a fault that is on."""
        return self._active[fault][name]
