"""Checks of a scenario that need its network, its population and the user's data files."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from feederloop.coupling.scenario.document import KeyPath
from feederloop.coupling.scenario.model import Scenario
from feederloop.coupling.scenario.problems import Absent, Problem, ScenarioError
from feederloop.simulators.errors import InputError

if TYPE_CHECKING:
    from pandapower import pandapowerNet

    from feederloop.coupling.population import Site
    from feederloop.simulators.grid.feeder import Feeder

LOW_VOLTAGE_KV = 1.0


def check_scenario(scenario: Scenario) -> list[Problem]:
    """Build the network, draw the population and read the user's files, and return everything that is wrong.

    Args:
        scenario: A scenario whose keys and values are valid by themselves.
    """
    return _Check(scenario).run()


def assumed_of_network(scenario: Scenario) -> list[str]:
    """Return what the scenario's network lacks and is assumed."""
    from feederloop.simulators.grid.networks import ensure_zero_sequence, load_network

    return ensure_zero_sequence(load_network(scenario.grid.network))


def unsafe_defaults(scenario: Scenario) -> list[str]:
    """Return why default limits are not safe should all prosumers be out of reach at once, where some may be.

    Judged by active power. Default limits are never published, so that no other proof is about all of them at once.
    """
    import numpy as np

    from feederloop.coupling.population import draw_population
    from feederloop.simulators.envelope.box import Box, Limits
    from feederloop.simulators.envelope.certificate import Certifier
    from feederloop.simulators.grid.networks import connection_points, load_network
    from feederloop.simulators.grid.powerflow import PowerFlow

    envelope, grid, stated = scenario.envelope, scenario.grid, scenario.limits
    if scenario.scheme not in ("doe", "doe_lem") or not envelope.outage_share:
        return []
    net = load_network(grid.network, feeders=grid.feeders, source_v_pu=grid.source_v_pu)
    feeder = _feeder(net, draw_population(scenario, connection_points(net)))
    limits = Limits(
        *stated.voltage_range_v, stated.line_loading_percent, stated.transformer_loading_percent, envelope.vuf_percent
    )
    export_kw, import_kw, ones = envelope.default_export_kw, envelope.default_import_kw, np.ones(len(feeder.points))
    box = Box(-import_kw * ones, export_kw * ones, 0.0 * ones, 0.0 * ones)
    certificate = Certifier(PowerFlow(feeder), limits).certify(box)
    if certificate.certified:
        return []
    what = f"default limits of {export_kw:g} kW export and {import_kw:g} kW import"
    return [f"{what} are not safe with all prosumers out of reach at once: {certificate.reason}"]


def _feeder(net: "pandapowerNet", sites: "list[Site]") -> "Feeder":
    """Reduce a network to the prosumers' connection points."""
    import pandas as pd

    from feederloop.simulators.grid.feeder import Feeder

    rows = [(site.name, site.bus, site.phase) for site in sites]
    return Feeder.from_network(net, pd.DataFrame(rows, columns=["name", "bus", "phase"]))


class _Check:
    """Collects problems; what one of them makes impossible to check is left out."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.problems: list[Problem] = []

    def run(self) -> list[Problem]:
        net = self._network()
        sites = self._population(net) if net is not None else None
        if net is not None and sites:
            with self._reporting(("grid", "network")):
                self._check_no_load_voltage(net, sites)
        self._check_mechanism()
        self._check_tariff()
        self._check_household(sites or [])
        self._check_weather(sites or [])
        self._check_sessions(sites or [])
        return self.problems

    @contextmanager
    def _reporting(self, path: KeyPath) -> Iterator[None]:
        """Keep what a room finds wrong as a problem with the key that it names, or else with this one."""
        try:
            yield
        except ScenarioError as error:
            self.problems += error.problems
        except InputError as error:
            self.problems.append(self._problem_from(error, path))

    def _problem_from(self, error: InputError, path: KeyPath) -> Problem:
        key, _, detail = (error.key or "").partition(", ")
        named = self._path_of(key, path)
        detail = detail if named is not None else error.key or ""
        message = error.message.rstrip(".") + (f" ({detail})" if detail else "")
        if error.file is not None:
            message = f"{error.file}: {message}"
        value = Absent.VALUE if error.value is None else error.value
        return self.scenario.problem(message, named or path, value=value, allowed=error.allowed or "")

    def _path_of(self, key: str, within: KeyPath) -> KeyPath | None:
        """Return the scenario's key that a room means by a dotted key, None where there is no such key."""
        parts = [int(part) if part.isdigit() else part for part in re.split(r"[.\[\]]+", key) if part]
        if len(parts) > 1 and parts[0] in ("prosumers", "sites") and self.scenario.prosumers.list is not None:
            names = [entry.name for entry in self.scenario.prosumers.list]
            if parts[1] in names:
                return ("prosumers", "list", names.index(str(parts[1])), *parts[2:])
        for path in ((*within, *parts), (*within[:-1], *parts), tuple(parts)):
            if parts and self.scenario.has(path):
                return path
        return None

    def _network(self) -> "pandapowerNet | None":
        from feederloop.simulators.grid.networks import load_network

        grid = self.scenario.grid
        with self._reporting(("grid", "network")):
            return load_network(grid.network, feeders=grid.feeders, source_v_pu=grid.source_v_pu)
        return None

    def _population(self, net: "pandapowerNet") -> "list[Site] | None":
        """Return the prosumers, None where they do not fit the network."""
        from feederloop.coupling.population import draw_population
        from feederloop.simulators.grid.networks import connection_points

        misplaced = self._check_buses(net)
        points = connection_points(net)
        if points.empty and self.scenario.prosumers.list is None:
            message = "has no loads, and so no connection points"
            allowed = "a network with loads, or prosumers stated in prosumers.list"
            self.problems.append(self.scenario.problem(message, ("grid", "network"), allowed=allowed))
            return None
        try:
            sites = draw_population(self.scenario, points)
        except ScenarioError as error:
            self.problems += [item for item in error.problems if not item.key.startswith(misplaced)]
            return None
        return None if misplaced else sites

    def _check_buses(self, net: "pandapowerNet") -> tuple[str, ...]:
        """Report stated buses that cannot be; return the keys of the prosumers who state them."""
        misplaced = []
        for index, entry in enumerate(self.scenario.prosumers.list or ()):
            if entry.bus is None:
                continue
            if entry.bus not in net.bus.index:
                message, allowed = "is not in the network", f"{net.bus.index.min()} to {net.bus.index.max()}"
            elif net.bus.at[entry.bus, "vn_kv"] >= LOW_VOLTAGE_KV:
                message = f"is not a low-voltage bus ({net.bus.at[entry.bus, 'vn_kv']:g} kV)"
                allowed = "a bus below 1 kV"
            else:
                continue
            problem = self.scenario.problem(message, ("prosumers", "list", index, "bus"), allowed=allowed)
            self.problems.append(problem)
            misplaced.append(problem.key.removesuffix("bus"))
        return tuple(misplaced)

    def _check_no_load_voltage(self, net: "pandapowerNet", sites: "list[Site]") -> None:
        feeder = _feeder(net, sites)
        volts = abs(feeder.w)
        low, high = self.scenario.limits.voltage_range_v
        source = self.scenario.grid.source_v_pu
        if low <= volts.min() and volts.max() <= high:
            return
        worst = int(volts.argmax() if volts.max() > high else volts.argmin())
        where = feeder.points[int(feeder.injector_point[worst])]
        message = (
            f"is infeasible: without any load {where} has {volts[worst]:.1f} V, the limits are {low:g} to {high:g} V"
        )
        allowed = f"{source * low / volts.min():.3f} to {source * high / volts.max():.3f} pu on this network"
        self.problems.append(self.scenario.problem(message, ("grid", "source_v_pu"), allowed=allowed))

    def _check_mechanism(self) -> None:
        from feederloop.simulators.matcher.mechanism import make_mechanism

        with self._reporting(("matching", "options")):
            make_mechanism(self.scenario.matching.mechanism, self.scenario.matching.options)

    def _check_tariff(self) -> None:
        from feederloop.simulators.market.tariffs import expand_tariff

        time = self.scenario.time
        with self._reporting(("tariff",)):
            expand_tariff(
                self.scenario.room("tariff"),
                start=time.start_utc,
                time_zone=time.time_zone,
                interval_s=time.interval_s,
                count=time.intervals,
            )

    def _check_household(self, sites: "list[Site]") -> None:
        from feederloop.simulators.household.demand import household_power

        time = self.scenario.time
        with self._reporting(("household", "source")):
            household_power(
                [site.as_dict() for site in sites],
                start=time.start_utc,
                duration_s=time.duration_s,
                step_s=time.step_s,
                seed=self.scenario.seed,
                source=self.scenario.room("household", "source"),
                time_zone=time.time_zone,
            )

    def _check_weather(self, sites: "list[Site]") -> None:
        from feederloop.simulators.pv.available import available_power

        time = self.scenario.time
        weather = self.scenario.room("weather")
        with self._reporting(("weather",)):
            available_power(
                [site.as_dict() for site in sites if site.has_pv],
                place=self.scenario.room("place"),
                start=time.start_utc,
                duration_s=time.duration_s if weather["kind"] == "file" else time.step_s,
                step_s=time.step_s,
                seed=self.scenario.seed,
                weather=weather,
            )

    def _check_sessions(self, sites: "list[Site]") -> None:
        from feederloop.simulators.ev_fleet.sessions import ev_sessions

        time = self.scenario.time
        with_ev = [site.as_dict() for site in sites if site.has_ev]
        if not with_ev:
            return
        with self._reporting(("sessions",)):
            ev_sessions(
                with_ev,
                start=time.start_utc,
                duration_s=time.duration_s,
                time_zone=time.time_zone,
                seed=self.scenario.seed,
                rules=self.scenario.room("sessions"),
            )
