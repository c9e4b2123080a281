"""Sections of a scenario that simulators read their data from: homes, sun, EV sessions, tariff, forecast, planning."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

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


ClockTime = Annotated[str, AfterValidator(_clock_time)]


class TableFile(Section):
    """A CSV or Parquet table of the user's own."""

    kind: Literal["file"] = setting("file", "A table of the user's own")
    path: Text = setting(..., "CSV or Parquet file, relative to this scenario", min_length=1)
    time_column: Text | None = setting(None, "Column with the starts of the intervals, by default `time`")
    time_zone: Text | None = setting(None, "IANA time zone of times without offset; leave out where times have one")


class SeriesTable(TableFile):
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
    """Clear sky of pvlib times a clear-sky index that is drawn."""

    kind: Literal["clear_sky_index"] = setting("clear_sky_index", "Clear sky times a clear-sky index that is drawn")


class WeatherFile(Section):
    """The user's own irradiance."""

    kind: Literal["file"] = setting("file", "A table of the user's own")
    path: Text = setting(..., "CSV or Parquet file, relative to this scenario")


Weather = Annotated[ModelledWeather | WeatherFile, Field(discriminator="kind"), _of_kind("clear_sky_index")]


class DrawnSessions(Section):
    """EV sessions that are drawn, one per EV and night."""

    kind: Literal["drawn"] = setting("drawn", "Sessions are drawn, one per EV and night")


class SessionFile(Section):
    """The user's own EV sessions."""

    kind: Literal["file"] = setting("file", "A table of the user's own")
    path: Text = setting(..., "CSV or Parquet file, relative to this scenario")


Sessions = Annotated[DrawnSessions | SessionFile, Field(discriminator="kind"), _of_kind("drawn")]


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


class PriceTable(TableFile, Charges):
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
    demand_quantile: Number = quantity(
        0.95, "1", "Quantile of inflexible demand that envelopes leave room for", gt=0, lt=1
    )


class EnergyManager(Section):
    """How prosumers plan and offer."""

    curve_points: Count = quantity(6, "1", "Prices at which a net-position curve is offered", ge=2, le=50)
    unserved_penalty_per_kwh: Positive = quantity(10.0, "money/kWh", "Penalty of energy that an EV lacks at departure")
    excess_penalty_per_kwh: Positive = quantity(100.0, "money/kWh", "Penalty of planned import beyond the envelope")
    curtailment_penalty_per_kwh: Positive = quantity(0.001, "money/kWh", "Penalty of sun that is not used")
    firm_pv_share: Share = quantity(
        0.0, "1", "Share of the PV power last measured that charging may rely on to hold the import limit"
    )
    request_margin: NonNegative = quantity(
        0.25, "1", "How much more sun than forecast the requested export allows for, as a share"
    )
