"""What energy costs outside the local market: a tariff as one price per market interval."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feederloop.simulators.errors import InputError
from feederloop.simulators.timeseries import (
    Beyond,
    check_keys,
    cover,
    iso_utc,
    read_series,
    resample,
    series_file,
    utc_seconds,
)

FloatArray = NDArray[np.float64]

_DAY_MINUTES = 24 * 60
_CHARGES = ("network_charge_per_kwh", "supply_charge_per_day")
_PRICES = ("retail_per_kwh", "feed_in_per_kwh")


@dataclass(frozen=True)
class Tariff:
    """What the retailer takes and gives, interval by interval.

    Attributes:
        retail_per_kwh: Price of a kWh bought from the retailer, [count].
        feed_in_per_kwh: Price of a kWh sold to the retailer, [count].
        network_charge_per_kwh: What the buyer pays the network for each kWh bought locally.
        supply_charge_per_day: What every prosumer pays for 24 hours of being connected.
    """

    retail_per_kwh: FloatArray
    feed_in_per_kwh: FloatArray
    network_charge_per_kwh: float
    supply_charge_per_day: float


def expand_tariff(
    tariff: Mapping[str, Any],
    *,
    start: str,
    time_zone: str,
    interval_s: int,
    count: int,
    beyond: Beyond = "error",
    key: str = "tariff",
) -> Tariff:
    """Turn a scenario's tariff into one price per interval.

    An interval in which the price changes has the mean price over time.

    Args:
        tariff: ``{"kind": "time_of_use", "bands": [{"from": "07:00", "to": "16:00", "per_kwh": 0.25}, ...],
            "feed_in_per_kwh": 0.06}`` with bands in local wall time, or ``{"kind": "file", "path": ...}`` with the
            columns ``time``, ``retail_per_kwh`` and ``feed_in_per_kwh``. Both may have ``network_charge_per_kwh`` and
            ``supply_charge_per_day``.
        start: Start of the first interval, ISO 8601 with offset.
        time_zone: IANA name of the zone whose wall time the bands mean.
        interval_s: Length of an interval, s.
        count: Number of intervals.
        beyond: Whether a file must cover all intervals (``"error"``) or its last day may stand for what comes after
            (``"repeat_day"``, for those who only look ahead).
        key: Key path of the tariff in the scenario, for messages.

    Raises:
        InputError: A key or value is not valid, the bands leave a gap or overlap, the file has a gap or does not cover
            the intervals, or feed-in is paid above retail less the network charge: nobody could gain by trading.
    """
    kind = tariff.get("kind")
    charges = [_price(tariff.get(name, 0.0), f"{key}.{name}", least=0.0) for name in _CHARGES]
    if kind == "time_of_use":
        check_keys(tariff, ("kind", "bands", "feed_in_per_kwh", *_CHARGES), key=key)
        feed_in = np.full(count, _price(tariff.get("feed_in_per_kwh"), f"{key}.feed_in_per_kwh"))
        by_minute = _retail_by_minute(tariff.get("bands"), f"{key}.bands")
        retail = _over_intervals(by_minute, start, time_zone, interval_s, count)
    elif kind == "file":
        # A price read as if it were kW of export passes the reader's conversions unchanged.
        file = series_file({**tariff, "columns": _columns(tariff, key)}, key=key, sign="export", extra=_CHARGES)
        first_s = utc_seconds(start)
        series = read_series(file, _PRICES)
        series = cover(series, start_s=first_s, end_s=first_s + count * interval_s, key=f"{key}.path", beyond=beyond)
        retail, feed_in = resample(series, start_s=first_s, duration_s=count * interval_s, step_s=interval_s)
    else:
        raise InputError("Unknown kind of tariff.", key=f"{key}.kind", value=kind, allowed="time_of_use, file")
    _check_not_crossing(retail, feed_in, charges[0], utc_seconds(start), interval_s, key)
    return Tariff(retail, feed_in, *charges)


def _columns(tariff: Mapping[str, Any], key: str) -> dict[str, str]:
    """Return which column holds which price; what would rescale or merge prices is refused."""
    for name in ("unit", "sign", "column"):
        if name in tariff:
            raise InputError("A tariff file has no such option.", key=f"{key}.{name}", value=tariff[name])
    columns = tariff.get("columns") or {}
    if not isinstance(columns, Mapping):
        raise InputError("Not a mapping of price to column.", key=f"{key}.columns", value=columns)
    check_keys(columns, _PRICES, key=f"{key}.columns")
    return dict(columns)


def _price(value: object, key: str, least: float = -math.inf) -> float:
    allowed = "a finite number" if math.isinf(least) else f"a finite number of at least {least:g}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
        raise InputError("Not a price.", key=key, value=value, allowed=allowed)
    return float(value)


def _minute(value: object, key: str) -> int:
    """Return a wall time as minutes after midnight.

    YAML 1.1 reads an unquoted 16:00 as the number 960 (base 60), which is the same minute, so whole numbers count too.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _DAY_MINUTES:
        return value
    hours, colon, minutes = value.partition(":") if isinstance(value, str) else ("", "", "")
    if colon and hours.isdecimal() and minutes.isdecimal() and len(minutes) == 2 and int(minutes) < 60:
        total = 60 * int(hours) + int(minutes)
        if total <= _DAY_MINUTES:
            return total
    raise InputError("Not a wall time.", key=key, value=value, allowed="00:00 to 24:00, such as 07:30")


def _retail_by_minute(bands: object, key: str) -> FloatArray:
    """Return the price of each minute of the wall clock, [1440]."""
    if not isinstance(bands, Sequence) or isinstance(bands, str) or not bands:
        raise InputError("A time-of-use tariff needs bands.", key=key, value=bands, allowed="a list of bands")
    spans = []
    for i, band in enumerate(bands):
        at = f"{key}[{i}]"
        if not isinstance(band, Mapping):
            raise InputError("Not a band.", key=at, value=band, allowed="from, to, per_kwh")
        check_keys(band, ("from", "to", "per_kwh"), key=at)
        first, last = (_minute(band.get(end), f"{at}.{end}") for end in ("from", "to"))
        price = _price(band.get("per_kwh"), f"{at}.per_kwh")
        if first == last:
            raise InputError("The band is empty.", key=at, value=dict(band), allowed="00:00 to 24:00 for a whole day")
        # A band such as 22:00 to 07:00 goes over midnight.
        spans += [(first, last, price)] if first < last else [(first, _DAY_MINUTES, price), (0, last, price)]
    spans = sorted(span for span in spans if span[0] < span[1])
    for (_, last, _), (first, _, _) in pairwise([(0, 0, 0.0), *spans, (_DAY_MINUTES, _DAY_MINUTES, 0.0)]):
        if last != first:
            what = "leave a gap" if last < first else "overlap"
            window = " to ".join(f"{m // 60:02}:{m % 60:02}" for m in sorted((last, first)))
            raise InputError(f"The bands {what} at {window}.", key=key, allowed="24 hours without gap or overlap")
    return np.concatenate([np.full(last - first, price) for first, last, price in spans])


def _over_intervals(by_minute: FloatArray, start: str, time_zone: str, interval_s: int, count: int) -> FloatArray:
    """Return the mean over each interval of a price by minute of the local wall clock, whatever the clock does."""
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, TypeError) as error:
        raise InputError(
            "Unknown time zone.", key="time_zone", value=time_zone, allowed="an IANA name such as Europe/London"
        ) from error
    sample_s = math.gcd(interval_s, 60)
    samples = utc_seconds(start) + sample_s * np.arange(count * interval_s // sample_s)
    local = pd.DatetimeIndex(pd.to_datetime(samples, unit="s", utc=True)).tz_convert(zone)
    prices = by_minute[np.asarray(local.hour * 60 + local.minute)].reshape(count, -1)
    # The mean of equal numbers can differ from them in the last bit.
    means: FloatArray = np.where(prices.min(axis=1) == prices.max(axis=1), prices[:, 0], prices.mean(axis=1))
    return means


def _check_not_crossing(
    retail: FloatArray, feed_in: FloatArray, network_charge: float, start_s: int, interval_s: int, key: str
) -> None:
    crossing = feed_in > retail - network_charge + 1e-12
    if crossing.any():
        at = int(np.argmax(crossing))
        raise InputError(
            f"At {iso_utc(start_s + at * interval_s)} feed-in pays more than retail costs after the network charge, "
            f"so nobody could gain by trading locally.",
            key=f"{key}.feed_in_per_kwh",
            value=float(feed_in[at]),
            allowed=f"at most {retail[at] - network_charge:g}",
        )
