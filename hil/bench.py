"""The bench: which prosumer's inverter or charger is which device, and what may be done with it.

Public: `load_bench(name_or_path) -> Bench`, `bench_from(data)`, `Bench`, `DeviceEntry`, `Slot`, `SIMULATED`,
`REPLAY`.

A bench is checked whole: everything that is wrong with the file is said at once, with line, value and what is allowed.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from feederloop.coupling.scenario.document import Document, Place, read_document
from feederloop.coupling.scenario.fields import NonNegative, Positive, Section, Text, misfit, quantity, section, setting
from feederloop.coupling.scenario.problems import Problem, ScenarioError, nearest_of
from feederloop.coupling.scenario.translate import problems_of
from feederloop.hil.address import TlsFiles
from feederloop.hil.bench_check import check_bench
from feederloop.hil.bench_file import bench_file, stop_path_beside
from feederloop.hil.profile import Profile, load_profile

Slot = Literal["inverter", "charger"]
SIMULATED, REPLAY = "simulated", "replay:"
NOMINAL_V = 230.0
"""Phase to neutral; what ratings in A become in kW by."""


class Ratings(Section):
    """The device's nameplate, as far as it does not tell itself."""

    power_kw: Positive | None = setting(None, "Rated active power; for a charger, that of its current (kW)", le=1000)
    current_a: Positive | None = setting(None, "Rated current per phase of a charger (A)", le=1000)
    phases: Literal[1, 3] = setting(1, "Phases it is connected to")
    capacity_kwh: Positive = quantity(40.0, "kWh", "Battery behind it; only simulated devices need it")
    efficiency: Positive = quantity(0.95, "1", "Of charging and discharging, each; only for simulated devices", le=1)


class Limits(Section):
    """What the bench allows, whatever device, market or envelope say."""

    import_kw: NonNegative | None = setting(None, "Most that it may draw; its rating without (kW)")
    export_kw: NonNegative | None = setting(None, "Most that it may feed in; its rating without (kW)")
    ramp_kw_per_s: Positive | None = setting(None, "How fast power may grow; none: at once (kW/s)")
    write_interval_s: NonNegative = quantity(
        1.0, "s", "Least time between two set-points, if the device wants no longer"
    )
    flash_writes_per_day: int = quantity(50, "1", "Writes a day to registers that are kept in flash", ge=0)


class FailsafeSettings(Section):
    """What is to be set on the device for the case that nobody talks to it, before it is armed."""

    timeout_s: Positive = quantity(60.0, "s", "Silence after which it falls back; also how long a set-point holds")
    value: NonNegative | None = setting(None, "What it falls back to: A per phase, or W, as its profile says")


class Tls(Section):
    """Certificates for `tls://` (PEM files, relative to the bench file)."""

    ca: Text | None = setting(None, "Authority that signed the device's certificate; the system's without")
    certificate: Text | None = setting(None, "Our own certificate, where the device asks for one")
    key: Text | None = setting(None, "Its private key")


class Series(Section):
    """A time series that drives an attribute of a simulated device."""

    path: Text = setting(..., "CSV or Parquet file with a column `time`: ISO 8601, or seconds since the start")
    column: Text = setting("value", "The column")


class Trouble(Section):
    """A fault of a simulated device, or of the network to it, for some time."""

    fault: Literal[
        "silent", "slow", "late", "reset", "garbage", "exception", "nan", "out_of_range", "ignore_setpoints", "reboot",
        "swapped_words", "refuse_fc06", "cut",
    ] = setting(..., "What is wrong; cut: the network to it; reboot: it is away and then as delivered")  # fmt: skip
    from_s: NonNegative = quantity(..., "s", "Seconds after the run's start")
    for_s: Positive = quantity(..., "s", "How long")


class DeviceEntry(Section):
    """A device in a prosumer's slot."""

    prosumer: Text = setting(..., "Whose slot it fills")
    slot: Slot = setting(..., "Which of the prosumer's devices it is")
    profile: Text = setting(..., "Name of a shipped profile, or the path of one's own")
    url: Text = setting(
        ...,
        "Where it is: tcp://host:port, tls://host:port, rtu:///dev/ttyUSB0?baud=19200&parity=E&stop=1, simulated (a "
        "device of the run's own, over Modbus TCP on loopback), or replay:FILE (a capture of it)",
        examples=["tcp://127.0.0.1:5020"],
    )
    unit: Annotated[int, Field(ge=0, le=255)] | None = setting(None, "Modbus unit id; the profile's without")
    connector: int = quantity(1, "1", "Which connector of a station", ge=1)
    mode: Literal["read_only", "armed"] = setting("read_only", "Whether anything may be written to it")
    ratings: Ratings = section(Ratings, "Its nameplate")
    limits: Limits = section(Limits, "What the bench allows")
    poll_s: Positive = quantity(1.0, "s", "Time between two readings")
    failsafe: FailsafeSettings | None = setting(None, "Fail-safe to set before arming; as it is without")
    accept_failsafe: bool = setting(False, "Arm although its fail-safe is off, unsafe or unknown")
    safe_kw: float = quantity(0.0, "kW", "Set-point of its safe state (limit of an inverter), export positive")
    verify_identity: Text | None = setting(None, "Serial number that the device must tell")
    tls: Tls = section(Tls, "Certificates")
    drive: dict[str, Series] = Field(
        default_factory=dict, description="Time series by attribute of the simulated device, e.g. grid_voltage_v"
    )

    faults: tuple[Trouble, ...] = setting((), "Faults of the simulated device in the course of the run")

    _profile: Profile | None = PrivateAttr(default=None)

    @property
    def name(self) -> str:
        """`prosumer/slot`, by which it is called."""
        return f"{self.prosumer}/{self.slot}"

    @property
    def is_simulated(self) -> bool:
        """Whether it is a simulated device of the run's own."""
        return self.url == SIMULATED

    @property
    def is_replay(self) -> bool:
        """Whether a capture stands in for it."""
        return self.url.startswith(REPLAY)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it lives by the clock on the wall, whatever the run does."""
        return not (self.is_simulated or self.is_replay)

    @property
    def replay_file(self) -> Path:
        """The capture that stands in for it."""
        return Path(self.url.removeprefix(REPLAY))

    @property
    def device_profile(self) -> Profile:
        """Its profile, read once."""
        if self._profile is None:
            self._profile = load_profile(self.profile)
        return self._profile

    @property
    def rated_kw(self) -> float:
        """Rated power, from power or from current and phases."""
        ratings = self.ratings
        if ratings.power_kw is not None:
            return ratings.power_kw
        return (ratings.current_a or 0.0) * ratings.phases * NOMINAL_V / 1000

    @property
    def rated_a(self) -> float:
        """Rated current per phase, from current or from power and phases."""
        ratings = self.ratings
        return ratings.current_a or 1000 * (ratings.power_kw or 0.0) / ratings.phases / NOMINAL_V

    @property
    def import_kw(self) -> float:
        """Most that it may draw."""
        most = 0.0 if self.slot == "inverter" else self.rated_kw
        return most if self.limits.import_kw is None else min(self.limits.import_kw, most)

    @property
    def export_kw(self) -> float:
        """Most that it may feed in."""
        most = 0.0 if self.device_profile.kind == "charger" else self.rated_kw
        return most if self.limits.export_kw is None else min(self.limits.export_kw, most)

    @property
    def tls_files(self) -> TlsFiles:
        """Its certificates."""
        return TlsFiles(self.tls.ca, self.tls.certificate, self.tls.key)

    @model_validator(mode="after")
    def _rated(self) -> Self:
        ratings = self.ratings
        if ratings.power_kw is None and ratings.current_a is None:
            wanted = "power_kw" if self.slot == "inverter" else "current_a or power_kw"
            raise misfit("is missing", key="ratings", allowed=f"a mapping with {wanted}")
        for key in ("drive", "faults"):
            if getattr(self, key) and not self.is_simulated:
                raise misfit("is for simulated devices", key=key, allowed="only with url: simulated")
        return self


class Bench(Section):
    """Devices that take simulated ones' places, and the rules by which they are driven."""

    title: Text = setting("", "One line that says what the bench is")
    devices: tuple[DeviceEntry, ...] = Field(min_length=1, description="The devices")
    allow: tuple[Text, ...] = setting(
        (),
        "Devices besides those on this machine that may be contacted: host:port:unit, or path:unit for a serial line",
    )
    stop_file: Text | None = setting(
        None, "File whose existence is the emergency stop; by default the bench file's name with .stop"
    )
    stale_after_s: Positive = quantity(10.0, "s", "Age at which a reading, or a set-point, no longer counts")
    default_export_kw: NonNegative = quantity(1.5, "kW", "Export allowed to a device without a fresh envelope")
    default_import_kw: NonNegative = quantity(0.0, "kW", "Import allowed to a device without a fresh envelope")
    on_emergency_stop: Literal["hold", "end_run"] = setting(
        "hold", "hold: the run goes on and records devices in their safe state; end_run: it ends"
    )
    on_lost: Literal["continue", "end_run"] = setting(
        "continue", "What a device that no longer answers means for the run"
    )
    timeout_s: Positive = quantity(0.3, "s", "Time that a device has for an answer")
    tolerance_s: Positive | None = setting(
        None, "Lateness on the wall at which a real-time run ends; one physical step without (s)"
    )

    _file: Path | None = PrivateAttr(default=None)
    _document: Document = PrivateAttr(default_factory=lambda: Document({}))

    @property
    def file(self) -> Path | None:
        """The file it was read from; None for one made in Python."""
        return self._file

    @property
    def stop_path(self) -> Path:
        """The file whose existence is the emergency stop."""
        if self.stop_file is not None:
            return Path(self.stop_file)
        return stop_path_beside(self._file) if self._file else Path("bench.stop").resolve()

    @property
    def needs_real_time(self) -> bool:
        """Whether a device lives by the clock on the wall."""
        return any(entry.is_elsewhere for entry in self.devices)

    def holds(self, prosumer: str, slot: str) -> bool:
        """Whether a device of this bench fills a prosumer's slot."""
        return any((entry.prosumer, entry.slot) == (prosumer, slot) for entry in self.devices)

    def entry(self, name: str) -> DeviceEntry:
        """Return a device by its name, `prosumer/slot`.

        Raises:
            ScenarioError: There is none; names those there are.
        """
        for entry in self.devices:
            if entry.name == name:
                return entry
        names = [entry.name for entry in self.devices]
        problem = Problem("no such device", "device", name, ", ".join(names), nearest_of(name, names), self.file)
        raise ScenarioError([problem])

    def problem(self, message: str, index: int, key: str, **details: Any) -> Problem:
        """Return a problem with a key of a device, with the place where it stands."""
        place = self._document.place(("devices", index, *key.split(".")))
        return Problem(message, key=f"devices.{index}.{key}", file=place.file, line=place.line, **details)


@cache
def bench_schema() -> dict[str, Any]:
    """Return the JSON Schema of bench files."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Bench.model_json_schema()}


def load_bench(name_or_path: str | Path) -> Bench:
    """Read and check a bench.

    Args:
        name_or_path: A YAML file, or the bare name of a shipped bench.

    Raises:
        ScenarioError: Something is wrong; it carries every problem that was found.
    """
    path = bench_file(name_or_path)
    return _validated(read_document(path), path)


def bench_from(data: Mapping[str, Any]) -> Bench:
    """Return the bench that plain data describes; errors are those of `load_bench`."""
    document = Document({})
    for key, value in data.items():
        document.put((key,), value, Place(None))
    return _validated(document, None)


def _validated(document: Document, file: Path | None) -> Bench:
    _make_paths_absolute(document.data, file.parent if file else Path())
    try:
        bench = Bench.model_validate(document.data)
    except ValidationError as error:
        raise ScenarioError(problems_of(error, document, bench_schema())) from error
    bench._file, bench._document = file, document
    if problems := check_bench(bench):
        raise ScenarioError(problems)
    return bench


def _make_paths_absolute(data: dict[str, Any], folder: Path) -> None:
    """Replace paths, which are relative to the bench file, by absolute ones."""

    def absolute(mapping: Any, key: str) -> None:
        if isinstance(mapping, dict) and isinstance(mapping.get(key), str):
            mapping[key] = str((folder / mapping[key]).resolve())

    absolute(data, "stop_file")
    devices = data.get("devices")
    for entry in devices if isinstance(devices, list) else []:
        if not isinstance(entry, dict):
            continue
        if str(entry.get("profile", "")).endswith((".yaml", ".yml")):
            absolute(entry, "profile")
        url = entry.get("url")
        if isinstance(url, str) and url.startswith(REPLAY):
            entry["url"] = REPLAY + str((folder / url.removeprefix(REPLAY)).resolve())
        for key in ("ca", "certificate", "key"):
            absolute(entry.get("tls"), key)
        drive = entry.get("drive")
        for series in drive.values() if isinstance(drive, dict) else []:
            absolute(series, "path")
