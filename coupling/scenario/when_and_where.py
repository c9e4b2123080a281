"""Sections of a scenario that say when and where: `time` and `place`."""

import datetime as dt
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema, model_validator

from feederloop.coupling.scenario.fields import Count, Number, Section, misfit, quantity, setting
from feederloop.coupling.scenario.problems import nearest_of

SECONDS_PER_DAY = 86400
_START_ALLOWED = "local wall time without an offset, as in 2016-06-15 12:00"
_WHOLE = 1e-3  # of an interval: 0.0208333 days are half an hour


def _wall_time(value: object) -> dt.datetime:
    try:
        moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise misfit("is not a time", allowed=_START_ALLOWED) from None
    if moment.tzinfo is not None:
        raise misfit("has an offset, which time.time_zone already says", allowed=_START_ALLOWED)
    if moment.microsecond:
        raise misfit("is not a whole second", allowed=_START_ALLOWED)
    return moment


def _known_zone(name: str) -> str:
    zones = available_timezones()
    if name not in zones:
        hint = nearest_of(name, zones)
        raise misfit("is not a time zone", allowed="a name of the IANA database, as in Europe/London", nearest=hint)
    return name


WallTime = Annotated[
    dt.datetime,
    BeforeValidator(_wall_time),
    PlainSerializer(lambda moment: moment.isoformat(sep=" "), return_type=str),
    WithJsonSchema({"type": "string", "examples": ["2016-06-15 12:00"]}),
]
TimeZone = Annotated[str, AfterValidator(_known_zone)]


class Time(Section):
    """The span that is simulated and the two periods that divide it."""

    start: WallTime = setting(dt.datetime(2016, 6, 15, 12), "First instant: local wall time without an offset")
    time_zone: TimeZone = setting("Europe/London", "IANA name of the local time zone")
    days: Number = quantity(1.0, "d", "Length of the run; fractions are allowed", gt=0, le=366)
    step_s: Count = quantity(300, "s", "Physical step: plants, meters and the power flow", ge=1, le=3600)
    interval_s: Count = quantity(
        1800, "s", "Market interval, for which envelopes, orders and trades hold", ge=60, le=SECONDS_PER_DAY
    )
    horizon_intervals: Count = quantity(48, "1", "Market intervals that plans and envelopes look ahead", ge=2, le=384)

    @model_validator(mode="after")
    def _periods_fit(self) -> "Time":
        if self.interval_s % self.step_s:
            allowed = f"a multiple of step_s ({self.step_s})"
            raise misfit("the interval is no multiple of the step", key="interval_s", allowed=allowed)
        if SECONDS_PER_DAY % self.interval_s:
            allowed = "a divisor of 86400 (900, 1800, 3600, ...)"
            raise misfit("the day is no multiple of the interval", key="interval_s", allowed=allowed)
        intervals = self.days * SECONDS_PER_DAY / self.interval_s
        if abs(intervals - round(intervals)) > _WHOLE or round(intervals) < 1:
            allowed = f"whole intervals of {self.interval_s} s, {SECONDS_PER_DAY // self.interval_s} a day"
            raise misfit("the run is no multiple of the interval", key="days", allowed=allowed)
        return self

    @model_validator(mode="after")
    def _start_exists(self) -> "Time":
        if self._utc().astimezone(ZoneInfo(self.time_zone)).replace(tzinfo=None) != self.start:
            message = f"does not exist in {self.time_zone}: the clocks go forward"
            raise misfit(message, key="start", allowed="a local time that the clocks show")
        return self

    def _utc(self) -> dt.datetime:
        return self.start.replace(tzinfo=ZoneInfo(self.time_zone)).astimezone(dt.UTC)

    @property
    def start_utc(self) -> str:
        """The start as ISO 8601 in UTC; of an hour that the clocks show twice, the first."""
        return self._utc().isoformat()

    @property
    def duration_s(self) -> int:
        """Length of the run in whole seconds."""
        return round(self.days * SECONDS_PER_DAY / self.interval_s) * self.interval_s

    @property
    def intervals(self) -> int:
        """Number of market intervals of the run."""
        return self.duration_s // self.interval_s


class Place(Section):
    """Where the feeder is, for the sun."""

    latitude_deg: Number = quantity(53.43, "°", "Latitude, north positive", ge=-90, le=90)
    longitude_deg: Number = quantity(-2.14, "°", "Longitude, east positive", ge=-180, le=180)
    altitude_m: Number = quantity(60.0, "m", "Altitude above the sea", ge=-430, le=9000)
