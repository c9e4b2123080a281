"""Section `prosumers` of a scenario: who lives there, with which devices."""

from typing import Annotated, Literal

from pydantic import model_validator

from feederloop.coupling.scenario.fields import (
    AzimuthSpan,
    Count,
    EmptyIsDefault,
    NonNegative,
    NonNegativeSpan,
    Number,
    Positive,
    PositiveSpan,
    Section,
    Share,
    Text,
    TiltSpan,
    misfit,
    quantity,
    section,
    setting,
)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
"""Names become entity ids on the clock, where a dot or a space would have a meaning."""

NOMINAL_V = 230.0
"""Phase to neutral; turns a charger's current into power."""


class Photovoltaics(Section):
    """Roofs: how many have modules and how these are."""

    share: Share = quantity(0.6, "1", "Share of prosumers with PV; the number is exact, who is drawn")
    kwp: PositiveSpan = quantity((3.0, 6.0), "kWp", "Peak power of a roof, [min, max] of a uniform draw")
    tilt_deg: TiltSpan = quantity((25.0, 45.0), "°", "Tilt from horizontal, [min, max] of a uniform draw")
    azimuth_deg: AzimuthSpan = quantity(
        (90.0, 270.0), "°", "Azimuth clockwise from north (180 is south), [min, max] of a uniform draw"
    )
    inverter_ratio: Positive = quantity(1.0, "kVA/kWp", "Apparent power of the inverter per peak power of its modules")
    volt_var: bool = setting(
        False,
        "Whether inverters answer to their own voltage by the volt-var and volt-watt responses of AS/NZS 4777.2; "
        "certified envelopes then hold for what they supply, too",
    )


class ChargerPowers(Section):
    """Ratings that chargers are drawn from."""

    one_phase: list[Positive] = quantity(
        [3.68, 7.36], "kW", "Ratings of one-phase chargers, equally likely", min_length=1
    )
    three_phase: list[Positive] = quantity(
        [11.0], "kW", "Ratings of three-phase chargers, equally likely", min_length=1
    )


class Vehicles(Section):
    """Electric vehicles: how many homes have one, and how these and their chargers are."""

    share: Share = quantity(0.6, "1", "Share of prosumers with an EV; the number is exact, who is drawn")
    capacity_kwh: PositiveSpan = quantity((40.0, 60.0), "kWh", "Usable battery, [min, max] of a uniform draw")
    charge_kw: Annotated[ChargerPowers, EmptyIsDefault] = section(ChargerPowers, "Ratings that chargers are drawn from")
    three_phase_share: Share = quantity(
        0.0, "1", "Share of EV homes whose connection point becomes three-phase for a three-phase charger"
    )
    v2g_share: Share = quantity(0.4, "1", "Share of EV homes whose charger can discharge the vehicle")
    discharge_kw: PositiveSpan = quantity((5.0, 7.0), "kW", "Discharging power, [min, max] of a uniform draw")
    efficiency: Number = quantity(0.95, "1", "Efficiency of charging and of discharging, each", gt=0, le=1)
    wear_per_kwh: NonNegativeSpan = quantity(
        (0.04, 0.08), "money/kWh", "Cost of battery wear per discharged energy, [min, max] of a uniform draw"
    )
    charger_min_a: NonNegative = quantity(
        6.0, "A", "Current per phase below which a charger is off (IEC 61851-1: 6); 0 for continuous"
    )

    @model_validator(mode="after")
    def _chargers_reach_their_minimum(self) -> "Vehicles":
        for phases, ratings in ((1, self.charge_kw.one_phase), (3, self.charge_kw.three_phase)):
            lowest_a = min(ratings) * 1000 / (NOMINAL_V * phases)
            if self.charger_min_a > lowest_a:
                message = f"is above the current of the smallest {phases}-phase charger"
                raise misfit(message, key="charger_min_a", allowed=f"at most {lowest_a:.1f} A")
        return self


class AnnualDemand(Section):
    """Electricity a home uses in a year without PV and EV: lognormal, cut off at both ends."""

    median: Positive = quantity(3100.0, "kWh", "Median")
    spread: NonNegative = quantity(0.6, "1", "Standard deviation of the logarithm; 0 makes all homes alike")
    limits: PositiveSpan = quantity((1000.0, 10000.0), "kWh", "Lowest and highest, [min, max]")


class StatedProsumer(Section):
    """A prosumer who is stated instead of drawn; what is left out is drawn as for the others."""

    name: Text | None = setting(None, "Name, unique; letters, digits, - and _", pattern=NAME_PATTERN)
    bus: Count | None = quantity(None, "1", "Bus of the connection point: pandapower index", ge=0)
    phase: Literal["a", "b", "c", "abc"] | None = setting(None, "Phase of the connection point")
    annual_kwh: NonNegative | None = quantity(None, "kWh", "Electricity used in a year without PV and EV")
    profile: Text | None = setting(None, "Name of the load profile in household.source")
    power_factor: Number | None = quantity(None, "1", "Power factor of the home, lagging", gt=0, le=1)
    pv_kwp: NonNegative = quantity(0.0, "kWp", "Peak power; 0 for no PV")
    pv_tilt_deg: Number | None = quantity(None, "°", "Tilt of the roof from horizontal", ge=0, le=90)
    pv_azimuth_deg: Number | None = quantity(None, "°", "Azimuth of the roof, 180 is south", ge=0, le=360)
    inverter_kva: Positive | None = quantity(None, "kVA", "Apparent power of the inverter")
    volt_var_kva: NonNegative | None = quantity(
        None,
        "kVA",
        "The same if it answers to its voltage, 0 if it does not; by default as `prosumers.pv.volt_var` says for all",
    )
    ev_capacity_kwh: NonNegative = quantity(0.0, "kWh", "Usable battery of the EV; 0 for no EV")
    ev_charge_kw: Positive | None = quantity(None, "kW", "Rating of the charger")
    ev_discharge_kw: NonNegative | None = quantity(None, "kW", "Discharging power; 0 for none")
    ev_efficiency: Number | None = quantity(None, "1", "Efficiency of charging and of discharging, each", gt=0, le=1)
    ev_wear_per_kwh: NonNegative | None = quantity(None, "money/kWh", "Cost of battery wear per discharged energy")
    charger_min_kw: NonNegative | None = quantity(None, "kW", "Power below which the charger is off; 0 for continuous")
    import_cap_kw: Positive | None = quantity(None, "kW", "Highest import: the fuse")
    export_cap_kw: NonNegative | None = quantity(None, "kW", "Highest export that is agreed with the DSO")

    @model_validator(mode="after")
    def _phase_has_bus(self) -> "StatedProsumer":
        if self.phase is not None and self.bus is None:
            raise misfit("is given without a bus", key="phase", allowed="phase together with bus")
        return self


class Prosumers(Section):
    """Who lives at the connection points: drawn, or stated one by one in `list`."""

    count: Count | None = quantity(None, "1", "Number of prosumers; by default one per connection point", ge=1)
    pv: Annotated[Photovoltaics, EmptyIsDefault] = section(Photovoltaics, "Roofs with PV")
    ev: Annotated[Vehicles, EmptyIsDefault] = section(Vehicles, "Electric vehicles and their chargers")
    annual_kwh: Annotated[AnnualDemand, EmptyIsDefault] = section(AnnualDemand, "Yearly electricity of a home")
    fuse_import_kw: Positive = quantity(14.0, "kW", "Highest import per phase: the fuse")
    export_cap_kw: NonNegative = quantity(10.0, "kW", "Highest export per phase that is agreed with the DSO")
    list: tuple[StatedProsumer, ...] | None = setting(
        None, "Prosumers stated one by one: the whole population, in place of count and shares"
    )

    @model_validator(mode="after")
    def _list_is_whole(self) -> "Prosumers":
        if self.list is None:
            return self
        if not self.list:
            raise misfit("is empty", key="list", allowed="at least one prosumer, or leave it out")
        if self.count is not None and self.count != len(self.list):
            allowed = f"leave it out, or {len(self.list)}"
            raise misfit(f"contradicts the list of {len(self.list)} prosumers", key="count", allowed=allowed)
        names = [entry.name for entry in self.list if entry.name is not None]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise misfit(f"has two prosumers called {twice[0]}", key="list", allowed="unique names")
        return self
