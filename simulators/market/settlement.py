"""Who pays what for an interval: local trades, the rest at the retailer's prices, deviations and breaches.

Money is positive when a prosumer pays. The grid account is what retailer, network and balancing take in together.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from feederloop.simulators.errors import InputError

FloatArray = NDArray[np.float64]

GAP_LIMIT = 1e-9
"""How far books may be apart, in kWh and in money."""

ROUNDING = 1e-13
"""What adding up floats may cost beside that, relative to all that was moved: it matters above 10 000 only."""

BREACH_SHARE, BREACH_KW = 0.02, 0.1
"""A limit is breached by more than the larger of the two: what a meter and a device's control cannot tell apart."""


class SettlementError(RuntimeError):
    """The books of an interval do not close."""


@dataclass(frozen=True)
class SettlementRules:
    """What deviations from a trade and from an envelope cost.

    Args:
        kappa_per_kwh: Surcharge on undelivered energy, and deduction on energy bought but not used, at least zero.
        breach_price_per_kwh: Price of energy beyond the envelope, at least zero.

    Raises:
        InputError: A price is negative or not finite.
    """

    kappa_per_kwh: float = 0.0
    breach_price_per_kwh: float = 0.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and 0 <= value < float("inf")):
                raise InputError("Not a price.", key=entry.name, value=value, allowed="a finite number of at least 0")


@dataclass(frozen=True)
class IntervalPrices:
    """The tariff in one interval.

    Attributes:
        retail_per_kwh: Price of a kWh from the retailer.
        feed_in_per_kwh: Price of a kWh to the retailer.
        network_charge_per_kwh: What the buyer pays the network for a kWh bought locally.
        supply_charge: What every prosumer pays the retailer for being connected in this interval.
    """

    retail_per_kwh: float
    feed_in_per_kwh: float
    network_charge_per_kwh: float = 0.0
    supply_charge: float = 0.0


@dataclass(frozen=True)
class AuctionMoney:
    """What buyers pay in an interval beyond what sellers get, as the auction states it.

    Args:
        surplus: What a mechanism keeps between two prices; it goes back to those who traded.
        fees: What traders pay the DSO for their trades.
    """

    surplus: float = 0.0
    fees: float = 0.0


@dataclass(frozen=True)
class Settlement:
    """The books of one interval; arrays are [prosumers].

    Attributes:
        meter_kwh: Metered net energy, export positive.
        traded_kwh: Sold (positive) or bought locally.
        local_money: Paid for local trades, less the prosumer's share of the auction's surplus.
        retail_money: Paid to the retailer: the metered rest at retail or feed-in, and the supply charge.
        network_money: Network charge on what was bought locally.
        imbalance_kwh: Sold but not delivered, or bought but not used.
        imbalance_money: What that costs beyond retail or feed-in, less the prosumer's share of all such surcharges.
        breach_kwh: Energy beyond the envelope.
        breach_money: Its price.
        total_money: The sum of the five.
        grid_account: What the grid account took in, from its own energy totals.
        fee_money: What of the local payments is due to the DSO, as the auction states it.
    """

    meter_kwh: FloatArray
    traded_kwh: FloatArray
    local_money: FloatArray
    retail_money: FloatArray
    network_money: FloatArray
    imbalance_kwh: FloatArray
    imbalance_money: FloatArray
    breach_kwh: FloatArray
    breach_money: FloatArray
    total_money: FloatArray
    grid_account: float
    fee_money: float = 0.0


def settle(
    meter_kwh: FloatArray,
    traded_kwh: FloatArray,
    traded_price_per_kwh: FloatArray,
    breach_kwh: FloatArray,
    prices: IntervalPrices,
    rules: SettlementRules,
    auction: AuctionMoney = AuctionMoney(),
) -> Settlement:
    """Settle one interval.

    With the residual r = meter - traded: a seller who delivers less buys the shortfall back at
    max(retail, local) + kappa; a buyer who uses less sells the surplus back at min(feed-in, local) - kappa; every
    other residual is bought at retail or sold at feed-in. What the imbalance prices bring beyond retail and feed-in
    goes back to all prosumers in proportion to their metered energy (it stays in the account when nobody metered any).

    Args:
        meter_kwh: Metered net energy of each prosumer, export positive, [prosumers].
        traded_kwh: What each sold (positive) or bought locally, [prosumers].
        traded_price_per_kwh: At which price; looked at only where something was traded, [prosumers].
        breach_kwh: Energy beyond the envelope, see `breach_energy_kwh`, [prosumers].
        prices: The tariff in this interval.
        rules: The prices of deviations.
        auction: What the prices of the trades leave over: the surplus goes back to the traders in proportion to the
            energy they traded, fees go to the grid account.
    """
    local = np.where(traded_kwh != 0, traded_price_per_kwh, 0.0)
    residual = meter_kwh - traded_kwh
    from_retailer, to_retailer = np.maximum(-residual, 0.0), np.maximum(residual, 0.0)
    short = np.minimum(np.maximum(traded_kwh, 0.0), from_retailer)
    long = np.minimum(np.maximum(-traded_kwh, 0.0), to_retailer)
    over_retail = np.maximum(local - prices.retail_per_kwh, 0.0) + rules.kappa_per_kwh
    under_feed_in = np.maximum(prices.feed_in_per_kwh - local, 0.0) + rules.kappa_per_kwh
    surcharge = short * over_retail + long * under_feed_in
    returned, kept = _returned(surcharge, meter_kwh)
    # From zero: a plain minus would make a negative zero of no trade.
    local_money = 0.0 - traded_kwh * local - _share_of_surplus(traded_kwh, auction.surplus)
    retail_money = from_retailer * prices.retail_per_kwh - to_retailer * prices.feed_in_per_kwh + prices.supply_charge
    network_money = np.maximum(-traded_kwh, 0.0) * prices.network_charge_per_kwh
    imbalance_money = surcharge - returned
    breach_money = breach_kwh * rules.breach_price_per_kwh
    return Settlement(
        meter_kwh=meter_kwh,
        traded_kwh=traded_kwh,
        local_money=local_money,
        retail_money=retail_money,
        network_money=network_money,
        imbalance_kwh=short + long,
        imbalance_money=imbalance_money,
        breach_kwh=breach_kwh,
        breach_money=breach_money,
        total_money=local_money + retail_money + network_money + imbalance_money + breach_money,
        grid_account=float(
            from_retailer.sum() * prices.retail_per_kwh
            - to_retailer.sum() * prices.feed_in_per_kwh
            + len(meter_kwh) * prices.supply_charge
            + np.maximum(traded_kwh, 0.0).sum() * prices.network_charge_per_kwh
            + breach_kwh.sum() * rules.breach_price_per_kwh
            + auction.fees
            + kept
        ),
        fee_money=auction.fees,
    )


def _returned(surcharge: FloatArray, meter_kwh: FloatArray) -> tuple[FloatArray, float]:
    """Return each prosumer's share of the surcharges, [prosumers], and what nobody has a claim to."""
    volume = np.abs(meter_kwh)
    if volume.sum() == 0:
        return np.zeros_like(surcharge), float(surcharge.sum())
    return surcharge.sum() * (volume / volume.sum()), 0.0


def _share_of_surplus(traded_kwh: FloatArray, surplus: float) -> FloatArray:
    volume = np.abs(traded_kwh)
    # Without a trade there is nobody to return it to, and the books rightly do not close.
    return surplus * volume / volume.sum() if volume.any() else np.zeros_like(volume)


def check(settlement: Settlement, *, interval: str) -> None:
    """Make sure that the books of an interval close.

    Args:
        settlement: The books.
        interval: Which interval it is, for the message.

    Raises:
        SettlementError: Bought is not sold, local payments are not zero-sum beside the fees, or the prosumers' payments
            are not what the grid account took in; names the interval and the gap.
    """
    everything = np.concatenate([settlement.local_money, settlement.retail_money, settlement.network_money])
    energy_limit = GAP_LIMIT + ROUNDING * float(np.abs(settlement.traded_kwh).sum())
    money_limit = GAP_LIMIT + ROUNDING * float(np.abs(everything).sum())
    gaps = {
        "what was sold locally less what was bought, kWh": (settlement.traded_kwh.sum(), energy_limit),
        "what was paid for local trades less what was received": (
            settlement.local_money.sum() - settlement.fee_money,
            money_limit,
        ),
        "what prosumers paid less what the grid account took in": (
            settlement.total_money.sum() - settlement.grid_account,
            money_limit,
        ),
    }
    for name, (gap, limit) in gaps.items():
        # Put this way round, a gap that is not a number fails as well.
        if not abs(gap) <= limit:
            raise SettlementError(f"The books of the interval {interval} do not close: {name}: {gap:.3g}")


def breach_energy_kwh(
    energy_kwh: FloatArray, hours: float, export_limit_kw: FloatArray, import_limit_kw: FloatArray
) -> FloatArray:
    """Return the energy by which each prosumer's mean power was beyond its envelope, kWh, [prosumers].

    All of the excess counts once it is larger than 2 % of the limit or 0.1 kW, whichever is more; nothing below.

    Args:
        energy_kwh: Metered net energy of a few minutes, export positive, [prosumers].
        hours: How long these were.
        export_limit_kw: Limits of this time, NaN where there is none, [prosumers].
        import_limit_kw: As above.
    """
    p_kw = energy_kwh / hours
    breached_kw = np.zeros_like(p_kw)
    for out_kw, limit_kw in ((p_kw, export_limit_kw), (-p_kw, import_limit_kw)):
        excess_kw = out_kw - limit_kw
        counts = excess_kw > np.fmax(BREACH_SHARE * limit_kw, BREACH_KW)
        breached_kw += np.where(counts, excess_kw, 0.0)
    return breached_kw * hours
