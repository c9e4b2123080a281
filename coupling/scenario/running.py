"""Sections of a scenario about the run itself: what is recorded, time limits, simulators elsewhere."""

from typing import Literal

from pydantic import model_validator

from feederloop.coupling.scenario.fields import (
    Positive,
    Section,
    Text,
    misfit,
    quantity,
    setting,
)


class Record(Section):
    """Which of the large tables are written."""

    grid_bus: Literal["all", "none"] = setting("all", "Voltages of every bus at every step")
    grid_branch: Literal["all", "none"] = setting("all", "Loading of every line and transformer at every step")


class Run(Section):
    """Bounds on the run."""

    step_time_limit_s: Positive = quantity(
        300.0,
        "s",
        "Longest that one step of one simulator may take; hundreds of homes take a minute",
        le=86400,
    )


class Elsewhere(Section):
    """Where a simulator runs that is not in this process: a server to connect to, or a command to start."""

    connect: Text | None = setting(
        None, "host:port of a simulator that listens; loopback or a private network only", pattern=r"^[^:\s]+:\d{1,5}$"
    )
    cmd: Text | None = setting(
        None,
        "Command that starts it; %(addr)s becomes the host:port to connect to, %(python)s this interpreter",
        pattern=r"%\(addr\)s",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "Elsewhere":
        if (self.connect is None) == (self.cmd is None):
            key = "connect" if self.connect is not None else ""
            raise misfit("is not one of connect and cmd", key=key, allowed="either connect or cmd")
        return self


class Simulators(Section):
    """Simulators that run in another process; all others, and always the recorder, run in this one."""

    household: Elsewhere | None = setting(None, "What homes draw")
    forecast: Elsewhere | None = setting(None, "What is believed of load and sun")
    envelope: Elsewhere | None = setting(None, "The DSO's controller")
    static_limits: Elsewhere | None = setting(None, "The constant limits of the scheme static_limits")
    aggregator: Elsewhere | None = setting(None, "Who schedules the chargers in ev_coordination and central_optimum")
    curtailment: Elsewhere | None = setting(None, "What the DSO curtails after the market of network_aware_p2p")
    transactive: Elsewhere | None = setting(None, "Who iterates prices in price_based")
    energy_manager: Elsewhere | None = setting(None, "The prosumers' own optimisers")
    matcher: Elsewhere | None = setting(None, "The market's matching")
    market: Elsewhere | None = setting(None, "Booking and settlement")
    pv: Elsewhere | None = setting(None, "Inverters and modules")
    ev_fleet: Elsewhere | None = setting(None, "Vehicles and chargers")
    grid: Elsewhere | None = setting(None, "The power flow of what really happens")
