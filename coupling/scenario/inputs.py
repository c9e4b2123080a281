"""Sections of a scenario that simulators read their data from: homes, sun, EV sessions, tariff, forecast, planning."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from feederloop.coupling.scenario.fields import (
    Count,
    NonNegative,
    Number,
    Positive,
    Section,
    Share,
    Text,
    misfit,
    quantity,
    section,
    setting,
)


def _of_kind(default: str) -> BeforeValidator:
    """Return the rule that a mapping without `kind` is of the default kind."""

    def with_kind(value: Any) -> Any:
        if value is None:
            return {"kind": default}
        return {"kind": default, **value} if isinstance(value, dict) else value

    return BeforeValidator(with_kind)


def _clock_time(text: str) -> str:
    hours, colon, minutes = text.partition(":")
    digits = colon and hours.isdigit() and minutes.isdigit() and len(minutes) == 2
    if not digits or int(hours) * 60 + int(minutes) > 24 * 60 or int(minutes) > 59:
        raise misfit("is not a time of day", allowed="HH:MM from 00:00 to 24:00")
    return f"{int(hours):02d}:{minutes}"


Turbidity = Annotated[float, Strict(), Field(ge=1)]
ClockTime = Annotated[str, AfterValidator(_clock_time)]


class TableFile(Section):
    """A CSV or Parquet table of the user's own."""

    kind: Literal["file"] = setting("file", "A table of the user's own")
    path: Text = setting(..., "CSV or Parquet file, relative to this scenario", min_length=1)
    time_zone: Text | None = setting(None, "IANA time zone of times without offset; leave out where times have one")


class TimedTable(TableFile):
    """A table with a row per interval."""

    time_column: Text | None = setting(None, "Column with the starts of the intervals, by default `time`")


class SeriesTable(TimedTable):
    """A table of power over time: one column per prosumer, or one for all."""

    unit: Literal["kW", "W", "kWh"] | None = setting(
        None, "Unit of the values; kWh is energy per interval; by default kW"
    )
    sign: Literal["import", "export"] | None = setting(None, "What a positive value is")
    columns: dict[str, Text] | None = setting(None, "Column of each prosumer whose column does not bear the name")
    column: Text | None = setting(None, "The one column that serves every prosumer")


class SimbenchSource(Section):
    """Profiles that come with feederloop."""

    kind: Literal["simbench"] = setting("simbench", "Household profiles of the SimBench data set (15 min, one year)")


class DemandTable(SeriesTable):
    """Demand of homes, measured by the user."""

    refine: Literal["hold", "stochastic"] | None = setting(
        None,
        "How values finer than the table's are made: hold (the default) or stochastic (bursts that keep the energy)",
    )


class Household(Section):
    """What homes draw besides their EV."""

    source: Annotated[SimbenchSource | DemandTable, Field(discriminator="kind"), _of_kind("simbench")] = section(
        SimbenchSource, "Where load profiles come from"
    )
    power_factor: Number = quantity(0.95, "1", "Power factor of homes, lagging", gt=0, le=1)


class ModelledWeather(Section):
    """Clear sky of pvlib times a clear-sky index that wanders."""

    kind: Literal["clear_sky_index"] = setting("clear_sky_index", "Clear sky times a clear-sky index that wanders")
    mean: Number = quantity(
        0.8, "1", "Mean of the index: 0.8 is a fair summer day, a British year has about 0.6", gt=0, lt=1.1
    )
    std: NonNegative = quantity(0.25, "1", "Standard deviation of the index; 0 for a constant one")
    correlation_min: Positive = quantity(60.0, "min", "Time after which the index's correlation has fallen to 1/e")
    site_share: Share = quantity(0.05, "1", "Share of the index's variance that is each house's own")
    linke_turbidity: Annotated[tuple[Turbidity, ...], Field(min_length=12, max_length=12)] | None = quantity(
        None, "1", "Linke turbidity of the twelve months; by default the SoDa climatology of the place"
    )
    air_temperature_c: Number = quantity(15.0, "°C", "Air temperature, which makes modules lose power", ge=-60, le=60)


class WeatherTable(SeriesTable):
    """PV power measured by the user: kW per prosumer, or kW per kWp for all in the column `pv_per_kwp`."""


Weather = Annotated[ModelledWeather | WeatherTable, Field(discriminator="kind"), _of_kind("clear_sky_index")]


class AnySessions(Section):
    """What drawn and stated sessions have in common."""

    unmanaged_target: Literal["required", "full"] = setting(
        "required", "Up to what a car charges when nobody manages it: required (for the next trip) or full"
    )


class DrawnSessions(AnySessions):
    """EV sessions that are drawn: home in the evening, away in the morning."""

    kind: Literal["drawn"] = setting("drawn", "Sessions are drawn, one per EV and night")
    arrival_mean_h: Number = quantity(18.0, "h", "Mean time of arrival, by the clock on the wall", ge=0, lt=24)
    arrival_std_h: Number = quantity(1.5, "h", "Standard deviation of the time of arrival", ge=0, le=24)
    departure_mean_h: Number = quantity(
        7.5, "h", "Mean time of departure; where it is before that of arrival, of the next day", ge=0, lt=24
    )
    departure_std_h: Number = quantity(1.0, "h", "Standard deviation of the time of departure", ge=0, le=24)
    daily_energy_mean_kwh: Positive = quantity(7.0, "kWh", "Mean of the energy driven in a day, from the battery")
    daily_energy_sigma: Number = quantity(0.6, "1", "Standard deviation of its logarithm", ge=0, le=3)
    target_soc: Number = quantity(0.8, "1", "State of charge required at departure, share of capacity", gt=0, le=1)
    lowest_soc: Share = quantity(0.1, "1", "State of charge below which nobody comes home, share of capacity")
    reachable_share: Share = quantity(
        0.9, "1", "Share of a session in which what is required has to be reachable at full rating"
    )
    days: Literal["daily", "weekdays"] = setting("daily", "Days on which cars are driven")

    @model_validator(mode="after")
    def _times_and_states_differ(self) -> "DrawnSessions":
        if self.departure_mean_h == self.arrival_mean_h:
            raise misfit("is the time of arrival", key="departure_mean_h", allowed="another hour than arrival_mean_h")
        if self.lowest_soc > self.target_soc:
            raise misfit("is above target_soc", key="lowest_soc", allowed=f"at most {self.target_soc:g}")
        return self


class SessionTable(TableFile, AnySessions):
    """The user's own sessions: `prosumer`, `arrival`, `departure`, `arrival_kwh`, `required_kwh`, `capacity_kwh`."""


Sessions = Annotated[DrawnSessions | SessionTable, Field(discriminator="kind"), _of_kind("drawn")]


class Band(Section):
    """Hours of the day at one price; past midnight where it ends before it begins."""

    from_: ClockTime = setting(..., "Local time at which it begins, HH:MM", alias="from", examples=["07:00"])
    to: ClockTime = setting(..., "Local time at which it ends, HH:MM up to 24:00", examples=["16:00"])
    per_kwh: Number = quantity(..., "money/kWh", "Retail price")


class Charges(Section):
    """What a tariff asks besides energy prices."""

    network_charge_per_kwh: NonNegative = quantity(0.05, "money/kWh", "What a buyer pays the network for local energy")
    supply_charge_per_day: NonNegative = quantity(1.10, "money/d", "What every prosumer pays to be connected")


def _three_bands() -> tuple[Band, ...]:
    hours = (("00:00", "07:00", 0.15), ("07:00", "16:00", 0.25), ("16:00", "21:00", 0.50), ("21:00", "24:00", 0.25))
    return tuple(Band.model_validate({"from": start, "to": end, "per_kwh": price}) for start, end, price in hours)


class TimeOfUse(Charges):
    """Retail prices by the time of day."""

    kind: Literal["time_of_use"] = setting("time_of_use", "Retail prices by the time of day")
    bands: tuple[Band, ...] = section(_three_bands, "Bands that fill 24 hours without gap or overlap")
    feed_in_per_kwh: Number = quantity(0.06, "money/kWh", "What the retailer pays for exported energy")


class PriceTable(TimedTable, Charges):
    """The user's own tariff: columns `time`, `retail_per_kwh` and `feed_in_per_kwh`."""

    columns: dict[Literal["retail_per_kwh", "feed_in_per_kwh"], Text] | None = setting(
        None, "Column of each price whose column does not bear the name"
    )


Tariff = Annotated[TimeOfUse | PriceTable, Field(discriminator="kind"), _of_kind("time_of_use")]


class Forecast(Section):
    """How well load and sun are known in advance: truth with an autocorrelated error."""

    load_error_std: NonNegative = quantity(0.2, "1", "Standard deviation of the error of load, relative", le=2)
    pv_error_std: NonNegative = quantity(0.15, "1", "Standard deviation of the error of PV, relative", le=2)
    correlation: Number = quantity(0.8, "1", "Correlation of the errors of successive intervals", ge=0, lt=1)
    pv_site_share: Share = quantity(0.1, "1", "Share of the PV error's variance that is each house's own")
    demand_quantile: Number = quantity(
        0.95, "1", "Quantile of inflexible demand that envelopes leave room for", ge=0.5, le=1
    )


class EnergyManager(Section):
    """How prosumers plan and offer."""

    curve_points: Count = quantity(6, "1", "Prices at which a net-position curve is offered", ge=2, le=50)
    unserved_penalty_per_kwh: Positive = quantity(10.0, "money/kWh", "Penalty of energy that an EV lacks at departure")
    excess_penalty_per_kwh: Positive = quantity(100.0, "money/kWh", "Penalty of planned import beyond the envelope")
    curtailment_penalty_per_kwh: Positive = quantity(0.001, "money/kWh", "Penalty of sun that is not used")
    firm_pv_share: Share = quantity(
        0.7,
        "1",
        "Share of the PV power, forecast or last measured, that requested import and charging rely on; at 0 the import "
        "limit holds whatever the sun does",
    )
    request_margin: NonNegative = quantity(
        0.2,
        "1",
        "How much more sun than forecast, and more demand than its high quantile, requests to the DSO allow for, as a "
        "share",
    )
