"""Devices of the bench on the shared clock: they take the places of simulated inverters and chargers.

Public: `InverterAdapter` (model `Inverter`, as of `simulators/pv`) and `ChargerAdapter` (models `Charger` and `Fleet`,
as of `simulators/ev_fleet`), each with a model `Desk` besides, whose `device_io` is what the table of that name
records.

A step puts set-points into mailboxes and takes what is known: no I/O happens here. Only in an accelerated run, whose
devices are the run's own and live by its time, does a step wait until they have lived through it, and lets others run
meanwhile. In real time the power put out for a step is what was measured since the step before. A recording goes by its
own time in either case.
"""

import asyncio
import copy
import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import mosaik_api_v3
import numpy as np

from feederloop.hil.capture import CapturingTransport
from feederloop.hil.followed_fleet import FollowedFleet
from feederloop.hil.held import HeldDevice
from feederloop.hil.measured import Measured, measure
from feederloop.hil.reading import Quality
from feederloop.hil.station import Station, open_station
from feederloop.hil.supervisor import Command
from feederloop.simulators.ev_fleet import simulator as ev_fleet
from feederloop.simulators.ev_fleet.sessions import ev_sessions, unmanaged_target
from feederloop.simulators.pv import simulator as pv
from feederloop.simulators.pv.available import available_power

DESK = "Desk"
IO_COLUMNS = {
    "prosumer": "string", "slot": "string", "asked_kw": "float64", "sent_kw": "float64", "p_kw": "float64",
    "soc_percent": "float64", "age_s": "float64", "quality": "string", "state": "string", "reason": "string",
}  # fmt: skip
"""Columns of the `device_io` table, after its time."""
_LIMITS = ("export_limit_kw", "import_limit_kw", "others_p_kw")
_BINDING = 0.97


def _meta(own: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The simulated device's own META, with what the supervisor needs to know besides, and the desk."""
    meta = copy.deepcopy(dict(own))
    meta["models"][model]["attrs"] = list(dict.fromkeys([*meta["models"][model]["attrs"], *_LIMITS]))
    meta["models"][DESK] = {"public": True, "params": [], "attrs": ["device_io"]}
    return meta


class _Adapter(mosaik_api_v3.Simulator):
    """What both kinds of devices have in common."""

    slot = ""

    def __init__(self, meta: dict[str, Any]) -> None:
        super().__init__(meta)
        self._station: Station
        self._step_s = self._duration_s = 0
        self._sites: list[Mapping[str, Any]] = []
        self._devices: list[HeldDevice] = []
        self._names: list[str] = []
        self._lasts_s: list[float] = []
        self._measured: list[Measured] = []
        self._state: dict[str, list[Any]] = {}
        self._rows: dict[str, int] = {}

    def _open(self, station: str, step_s: int, duration_s: int) -> None:
        self._station = open_station(station)
        self._step_s, self._duration_s = step_s, duration_s

    def _hold(self, num: int, model: str, sites: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        if num != len(sites) or self._rows:
            raise ValueError(f"all {model} entities are created at once: num is {num}, sites are {len(sites)}")
        self._sites = list(sites)
        self._rows = {site["name"]: row for row, site in enumerate(sites)}
        self._devices = [self._station.devices[f"{site['name']}/{self.slot}"] for site in sites]
        self._names = [device.name for device in self._devices]
        self._lasts_s = [self._lasting_s(device) for device in self._devices]
        self._measured = [Measured() for _ in sites]
        return [{"eid": site["name"], "type": model} for site in sites]

    def step(self, time: int, inputs: Mapping[str, Any], max_advance: int) -> Generator[Any, Any, int]:  # type: ignore[override]
        """Hand out set-points for the physical step that begins at `time`, and take what was measured.

        Raises:
            RuntimeError: The bench wants the run to end: a device was lost, or the emergency stop is set off.
        """
        if why := self._station.end_wanted():
            raise RuntimeError(why)
        # A step at the run's very end belongs to no run: devices stay as they are.
        if time < self._duration_s and self._devices:
            self._drive(time)
            self._station.post(self._commands(time, inputs))
            living = self._station.exchange(self._names, time, float(self._step_s))
            if living is not None:
                yield asyncio.wrap_future(living)
            self._measured = [
                self._look(time, device, before) for device, before in zip(self._devices, self._measured, strict=True)
            ]
            self._take(time)
        return time + self._step_s

    def finalize(self) -> None:
        """Bring the bench to rest: what follows a run, its report above all, is no time for devices to wait."""
        self._station.rest("the run ended")

    def _look(self, time: int, device: HeldDevice, before: Measured) -> Measured:
        known, now = device.snapshot, device.clock()
        if isinstance(device.transport, CapturingTransport):
            device.transport.mark_step(time, now, known.cycle)
        return measure(device, known, now, before)

    def get_data(self, outputs: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
        """Return what each device did, and for the desk the rows of the `device_io` table."""
        data: dict[str, dict[str, Any]] = {}
        for eid, names in outputs.items():
            if eid in self._rows:
                data[eid] = {name: self._state[name][self._rows[eid]] for name in names}
            else:
                data[eid] = {name: self._special(name) for name in names}
        return data

    def _special(self, name: str) -> Any:
        return [self._io_row(*pair) for pair in zip(self._sites, self._devices, self._measured, strict=True)]

    def _io_row(self, site: Mapping[str, Any], device: HeldDevice, now: Measured) -> list[Any]:
        asked = device.command.asked_kw if device.command is not None else None
        known = device.snapshot
        values = (asked, known.sent_kw, now.p_kw, known.soc_percent, now.age_s)
        reason = known.disobeys or known.reason
        if not reason and now.quality in (Quality.STALE, Quality.BAD):
            reason = f"nothing new for {now.age_s or 0.0:.0f} s"
        return [site["name"], self.slot, *values, now.quality.value, known.state.value, reason]

    def _command(self, row: int, asked_kw: float | None, given: Mapping[str, Mapping[str, Any]]) -> Command:
        """Return the command of a step: what is asked, what the envelope leaves to this device, and until when."""
        others = 0.0
        if "others_p_kw" in given:
            others = sum(value for value in given["others_p_kw"].values() if value is not None)
        high = _tightest(given.get("export_limit_kw")) - others
        low = -_tightest(given.get("import_limit_kw")) - others
        return Command(asked_kw, low, high, self._devices[row].clock() + self._lasts_s[row])

    def _lasting_s(self, device: HeldDevice) -> float:
        """How long a command counts, device time: for its step, and for as long as a reading would."""
        pace = self._station.pace
        rate = pace.factor if pace.real_time and device.entry.is_elsewhere else 1.0
        return self._step_s / rate + self._station.bench.stale_after_s

    def _drive(self, time: int) -> None:
        raise NotImplementedError

    def _commands(self, time: int, inputs: Mapping[str, Any]) -> dict[str, Command]:
        raise NotImplementedError

    def _take(self, time: int) -> None:
        raise NotImplementedError


class InverterAdapter(_Adapter):
    """Inverters of the bench; takes the parameters of the simulated plants and the key of the station.

    A device that is held back does not tell what the sun would give: then it is what the scenario's weather would.
    """

    slot = "inverter"

    def __init__(self) -> None:
        super().__init__(_meta(pv.META, "Inverter"))
        self._options: dict[str, Any] = {}

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        station: str,
        start: str,
        duration_s: int,
        step_s: int,
        **options: Any,
    ) -> Any:
        """Take the run's time, and place, weather and seed as of `available_power`."""
        self._open(station, step_s, duration_s)
        known = {name: options[name] for name in ("seed", "place", "weather")}
        self._options = {"start": start, "duration_s": duration_s, "step_s": step_s, **known}
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, *, sites: Sequence[Mapping[str, Any]] = ()
    ) -> list[dict[str, Any]]:
        """Create all inverters that the bench holds, or the desk."""
        if model == DESK:
            return [{"eid": DESK, "type": model}]
        entities = self._hold(num, model, sites)
        self._available_kw = available_power(sites, **self._options)
        self._state = {name: [0.0] * num for name in ("p_kw", "q_kvar")}
        self._state["available_kw"] = self._available_kw[:, 0].tolist()
        return entities

    def initial_states(self) -> dict[str, dict[str, float]]:
        """Return what each plant is taken to show at the run's start."""
        return self.get_data(dict.fromkeys(self._rows, ("p_kw", "q_kvar", "available_kw")))

    def _drive(self, time: int) -> None:
        for name, available_kw in zip(self._names, self._available(time), strict=True):
            self._station.drive(name, time, available_kw=available_kw)

    def _commands(self, time: int, inputs: Mapping[str, Any]) -> dict[str, Command]:
        commands = {}
        for row, (eid, name) in enumerate(zip(self._rows, self._names, strict=True)):
            given = inputs.get(eid, {})
            limits = [value for value in given.get("p_limit_kw", {}).values() if value is not None]
            commands[name] = self._command(row, min(limits) if limits else None, given)
        return commands

    def _take(self, time: int) -> None:
        power = [now.p_kw for now in self._measured]
        available = []
        for device, p_kw, sun_kw in zip(self._devices, power, self._available(time), strict=True):
            sent_kw = device.snapshot.sent_kw
            binds = sent_kw is not None and p_kw >= _BINDING * sent_kw
            available.append(max(p_kw, sun_kw) if binds else p_kw)
        self._state = {"p_kw": power, "q_kvar": [0.0] * len(power), "available_kw": available}

    def _available(self, time: int) -> list[float]:
        """What the sun would give each plant, kW."""
        column = min(time // self._step_s, self._available_kw.shape[1] - 1)
        available: list[float] = self._available_kw[:, column].tolist()
        return available


class ChargerAdapter(_Adapter):
    """Chargers of the bench; takes the parameters of the simulated fleet and the key of the station.

    When a vehicle leaves and what it needs is the scenario's to say; whether it is there is the device's, where it
    tells; what is in its battery is counted from measured energy, and corrected by the device where it tells.
    """

    slot = "charger"

    def __init__(self) -> None:
        super().__init__(_meta(ev_fleet.META, "Charger"))
        self._options: dict[str, Any] = {}
        self._arrived: list[float] = []
        self._fleet: FollowedFleet

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        station: str,
        start: str,
        duration_s: int,
        step_s: int,
        **options: Any,
    ) -> Any:
        """Take the run's time, and seed, zone and sessions as of `ev_sessions`."""
        self._open(station, step_s, duration_s)
        rules = options["sessions"]
        self._options = {
            "start": start, "duration_s": duration_s, "seed": options["seed"], "time_zone": options["time_zone"],
            "rules": rules,
        }  # fmt: skip
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, *, sites: Sequence[Mapping[str, Any]] = ()
    ) -> list[dict[str, Any]]:
        """Create all chargers that the bench holds, their fleet, or the desk."""
        if model in (DESK, ev_fleet.FLEET):
            return [{"eid": model, "type": model}]
        entities = self._hold(num, model, sites)
        options = self._options
        target = unmanaged_target(options["rules"])
        sessions = ev_sessions(sites, **options)
        self._fleet = FollowedFleet(
            sites, sessions, start=options["start"], step_s=self._step_s, unmanaged_target=target
        )
        self._arrived = [-1.0] * num
        self._remember([0.0] * num, self._fleet.plugged.tolist())
        return entities

    def initial_states(self) -> dict[str, dict[str, Any]]:
        """Return each charger's state at the run's start."""
        return self.get_data(dict.fromkeys(self._rows, ev_fleet.STATE))

    def _special(self, name: str) -> Any:
        if name == "sessions_ended":
            return [list(row) for row in self._fleet.ended] if self._rows else []
        return super()._special(name)

    def _drive(self, time: int) -> None:
        plugged, departure = self._fleet.plugged.tolist(), self._fleet.departure_s.tolist()
        full = self._fleet.full_share()
        for row, device in enumerate(self._devices):
            state: dict[str, Any] = {"plugged": plugged[row], "min_soc_percent": 0.0}
            if plugged[row] and self._arrived[row] != departure[row]:
                state["soc_percent"] = 100 * full[row]
            self._arrived[row] = departure[row] if plugged[row] else -1.0
            self._station.drive(device.name, time, **state)

    def _commands(self, time: int, inputs: Mapping[str, Any]) -> dict[str, Command]:
        unmanaged = self._fleet.unmanaged_kw().tolist()
        commands = {}
        for row, (eid, name) in enumerate(zip(self._rows, self._names, strict=True)):
            given = inputs.get(eid, {})
            asked = [value for value in given.get("p_set_kw", {}).values() if value is not None]
            if len(asked) > 1:
                raise ValueError(f"charger {eid} gets {len(asked)} set-points; it obeys one")
            commands[name] = self._command(row, asked[0] if asked else unmanaged[row], given)
        return commands

    def _take(self, time: int) -> None:
        power = [now.p_kw for now in self._measured]
        self._fleet.follow(np.array(power), [device.snapshot.soc_percent for device in self._devices])
        there = [
            plan and (device.snapshot.plugged is not False or self._station.pace.real_time is False)
            for plan, device in zip(self._fleet.plugged.tolist(), self._devices, strict=True)
        ]
        self._remember(power, there)

    def _remember(self, power: list[float], there: list[bool]) -> None:
        fleet = self._fleet
        self._state = {
            "p_kw": power,
            "q_kvar": [0.0] * len(power),
            "soc_kwh": fleet.soc_kwh.tolist(),
            "plugged": there,
            "departure_s": fleet.departure_s.tolist(),
            "required_kwh": fleet.required_kwh.tolist(),
        }


def _tightest(limits: Mapping[str, Any] | None) -> float:
    """The smallest of the limits that hold now; infinite where there is none."""
    if not limits:
        return math.inf
    return min((now for limit in limits.values() if (now := _first(limit)) is not None), default=math.inf)


def _first(limit: Any) -> float | None:
    """The limit that holds now: an outlook's first value."""
    value = limit[0] if isinstance(limit, list | tuple) else limit
    return None if value is None or value != value else float(value)
