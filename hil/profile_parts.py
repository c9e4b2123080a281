"""The parts that a device profile is made of; see `feederloop.hil.profile`, which offers them all.

Public: `Point`, `TransportFacts`, `Heartbeat`, `Failsafe`, `Command`, `Control`, `Sign`, `SunSpecModels`, `BASE_UNITS`,
`WORDS`.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Table = Literal["holding", "input", "coil", "discrete"]
PointType = Literal[
    "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64", "string", "char16", "bool"
]
Address = Annotated[int, Field(ge=0, le=65535)]

WORDS: Mapping[str, int] = {
    "uint16": 1,
    "int16": 1,
    "uint32": 2,
    "int32": 2,
    "uint64": 4,
    "int64": 4,
    "float32": 2,
    "float64": 4,
    "char16": 1,
    "bool": 1,
}
"""Registers (or coils) that a value of each type takes; strings say how many."""

BASE_UNITS: Mapping[str, tuple[str, float]] = {
    "W": ("W", 1.0),
    "kW": ("W", 1e3),
    "Wh": ("Wh", 1.0),
    "kWh": ("Wh", 1e3),
    "VA": ("VA", 1.0),
    "VAh": ("VAh", 1.0),
    "var": ("var", 1.0),
    "A": ("A", 1.0),
    "V": ("V", 1.0),
    "Hz": ("Hz", 1.0),
    "s": ("s", 1.0),
    "ms": ("s", 1e-3),
    "%": ("%", 1.0),
    "degC": ("degC", 1.0),
}
"""Unit a device uses -> the role's base unit and how many of those it is."""


class Fact(BaseModel):
    """A frozen group of facts that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Point(Fact):
    """One value of a device. Limits and defaults are in base units and, for signed roles, in the device's own sign.

    Attributes:
        role: What it means, in the vocabulary shared by all profiles (docs/reference/profiles.md).
        table: Which of the four Modbus tables.
        address: As on the wire (from 0), for connector 1.
        type: How the registers are read.
        words: Registers a string takes.
        scale: Value in `unit` = register value x scale.
        scale_role: Point that holds a power of ten to be applied besides (SunSpec's scale factors).
        unit: The device's unit.
        access: R, RW or W.
        enum: Register value (or text) -> label; a value that is not in it is bad.
        shift: Bits to shift right before masking, for a field inside a register.
        mask: Bits to keep after shifting.
        char: Which byte of a char16 holds the character.
        min: Smallest value that may be read or written.
        max: Largest value that may be read or written.
        charge_min: Below it a charger is off: writable values are 0 and at least this.
        default: Value as delivered.
        non_volatile: Kept in flash, which wears out with writes.
        read_back: Point by which a write is checked.
        bad_values: Register values (unsigned) by which the device says that it has no value.
        write_function: Function code the device wants; without it, the profile's.
        per_connector: Whether the address moves with the connector.
    """

    role: Annotated[str, Field(pattern=r"^[a-z0-9][A-Za-z0-9_.]*$")]
    table: Table
    address: Address
    type: PointType
    words: int | None = Field(default=None, ge=1, le=125)
    scale: float = 1.0
    scale_role: str | None = None
    unit: str | None = None
    access: Literal["R", "RW", "W"] = "R"
    enum: dict[int | str, int | str] = Field(default_factory=dict)
    shift: int = Field(default=0, ge=0, le=63)
    mask: int | None = Field(default=None, ge=1)
    char: Literal["low", "high"] = "low"
    min: float | None = None
    max: float | None = None
    charge_min: float | None = Field(default=None, ge=0)
    default: float | int | str | None = None
    non_volatile: bool = False
    read_back: str | None = None
    bad_values: tuple[int, ...] = ()
    write_function: Literal[5, 6, 16] | None = None
    per_connector: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.type == "string") != (self.words is not None):
            raise ValueError(f"{self.role}: words is for strings, and every string needs it")
        if (self.table in ("coil", "discrete")) != (self.type == "bool"):
            raise ValueError(f"{self.role}: coils and discrete inputs are bool, registers are not")
        if self.table in ("input", "discrete") and self.access != "R":
            raise ValueError(f"{self.role}: the {self.table} table can only be read")
        if self.unit is not None and self.unit not in BASE_UNITS:
            raise ValueError(f"{self.role}: unit {self.unit!r} is none of {', '.join(BASE_UNITS)}")
        if self.write_function == 6 and self.count > 1:
            raise ValueError(f"{self.role}: function 6 writes one register, this value takes {self.count}")
        if (self.write_function == 5) != (self.type == "bool" and self.write_function is not None):
            raise ValueError(f"{self.role}: function 5 writes coils and nothing else")
        return self

    @property
    def count(self) -> int:
        """Registers (or coils) it takes."""
        return self.words or WORDS[self.type]

    @property
    def readable(self) -> bool:
        """Whether the device answers a read of it."""
        return self.access != "W"

    @property
    def writable(self) -> bool:
        """Whether the device takes a write to it."""
        return self.access != "R"

    @property
    def base_unit(self) -> str | None:
        """The unit that values of it have in feederloop."""
        return BASE_UNITS[self.unit][0] if self.unit else None

    @property
    def factor(self) -> float:
        """Value in the base unit per register value (before any scale factor point)."""
        return self.scale * (BASE_UNITS[self.unit][1] if self.unit else 1.0)


class TransportFacts(Fact):
    """How to talk to a device.

    Attributes:
        protocols: What it speaks, the usual one first.
        port: TCP port.
        unit: Unit id as delivered.
        word_order: Which register of a value that takes several comes first.
        baud: Serial speed, baud.
        parity: Serial parity.
        stop_bits: Serial stop bits.
        max_block: Registers in one request at most.
        one_value_per_read: A read may hold exactly one value.
        gap_reads: A read may span registers that the profile does not list.
        min_read_interval_s: Seconds between two reads of the same register.
        min_write_interval_s: Seconds between two writes to the device.
        inter_request_pause_s: Silence the device needs between two requests, seconds.
        poll_s: Seconds between polls that its maker recommends.
        idle_disconnect_s: Seconds of silence after which it closes the connection.
        max_clients: Connections it accepts at once.
        write_function: Function code for register writes (6 or 16) where a point says nothing; None: either.
        connector_stride: Address distance from one connector to the next, by table.
    """

    protocols: tuple[Literal["tcp", "rtu", "tls"], ...] = Field(min_length=1)
    port: int = Field(default=502, ge=1, le=65535)
    unit: int = Field(default=1, ge=0, le=255)
    word_order: Literal["high_first", "low_first"] = "high_first"
    baud: int = Field(default=19200, ge=1200)
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    max_block: int = Field(default=125, ge=1, le=125)
    one_value_per_read: bool = False
    gap_reads: bool = False
    min_read_interval_s: float = Field(default=0.0, ge=0)
    min_write_interval_s: float = Field(default=0.0, ge=0)
    inter_request_pause_s: float = Field(default=0.0, ge=0)
    poll_s: tuple[float, float] | None = None
    idle_disconnect_s: float | None = None
    max_clients: int | None = Field(default=None, ge=1)
    write_function: Literal[6, 16] | None = None
    connector_stride: dict[Table, int] = Field(default_factory=dict)


class Heartbeat(Fact):
    """What tells the device that its controller lives.

    Attributes:
        kind: `none`; `any_poll` (any request counts); `rewrite_setpoint`; `token` (a number into a register).
        role: Register of the token.
        token: The number.
        period_s: Seconds between tokens as the maker states them.
        timeout_share: Where the period follows the fail-safe time-out: the share of it.
    """

    kind: Literal["none", "any_poll", "rewrite_setpoint", "token"]
    role: str | None = None
    token: int | None = None
    period_s: float | None = Field(default=None, gt=0)
    timeout_share: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _token_is_whole(self) -> Self:
        if (self.kind == "token") != (self.role is not None and self.token is not None):
            raise ValueError("heartbeat: role and token belong to kind token, and kind token needs both")
        return self


class Failsafe(Fact):
    """What the device does when its controller falls silent.

    Attributes:
        fallback: `none` (keeps the last set-point for ever), `current` (A) or `power` (W; both export or import
            magnitude), `stop`, `unlimited` (forgets the limit), `unknown` (no source says).
        value: What it falls back to as delivered, in A or W, where the profile knows.
        timeout_s: Seconds of silence as delivered; None: off as delivered, or unknown.
        timeout_role: Where the time-out is read (0 = off).
        timeout_set_role: Where it is written.
        value_role: Where the fallback value is read.
        value_set_role: Where it is written.
        enable_role: Switch of the whole.
        persist_role: Writing 1 keeps the settings through a restart.
    """

    fallback: Literal["none", "current", "power", "stop", "unlimited", "unknown"]
    value: float | None = None
    timeout_s: float | None = Field(default=None, gt=0)
    timeout_role: str | None = None
    timeout_set_role: str | None = None
    value_role: str | None = None
    value_set_role: str | None = None
    enable_role: str | None = None
    persist_role: str | None = None


class Command(Fact):
    """A value to be written to a role (labels for points with an enum)."""

    role: str
    value: float | int | str


class Control(Fact):
    """Which point takes the set-point, and what else must be written.

    Attributes:
        setpoint: Role that takes it.
        quantity: `current` (A per phase, upper limit of charging), `power` (W, upper limit of charging), `signed_power`
            (W, export positive), `percent` (upper limit of generation, % of the rating).
        before: Writes that must precede the first set-point.
        after: Writes that make a set-point take effect, every time.
        release: Writes that give control back to the device.
        reversion_role: Seconds after which the device drops the set-point by itself; to be written before it.
    """

    setpoint: str
    quantity: Literal["current", "power", "signed_power", "percent"]
    before: tuple[Command, ...] = ()
    after: tuple[Command, ...] = ()
    release: tuple[Command, ...] = ()
    reversion_role: str | None = None


class Sign(Fact):
    """Which direction the device counts as positive, seen from the connection point."""

    power: Literal["export", "import"]
    setpoint: Literal["export", "import"] | None = None


class SunSpecModels(Fact):
    """A SunSpec device: its models; where they lie is found on the device, how they look is in their definitions."""

    bases: tuple[Address, ...] = (40000, 0, 50000)
    models: tuple[int, ...] = Field(min_length=1)
