"""The merit order of a book as a picture: what is asked for and offered, from the best limit on, and what is traded."""

import math
from xml.sax.saxutils import escape

import numpy as np

from feederloop.simulators.matcher.orders import NEGLIGIBLE_KWH, FloatArray, OrderBook

WIDTH, HEIGHT = 860, 480
LEFT, RIGHT, TOP, BOTTOM = 72, 24, 64, 60
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #4a5560 } .title { font-size: 17px; font-weight: 600; fill: #17202a }
.axis { stroke: #98a3ad } .grid { stroke: #e3e7ea } .ask { stroke: #d55e00 } .bid { stroke: #0072b2 }
.curve { fill: none; stroke-width: 2.5 } .ask-text { fill: #b04d00 } .bid-text { fill: #0072b2 }
.traded { fill: #009e73; opacity: .13 } .price { stroke: #17202a; stroke-dasharray: 6 4 }
.dot, .found { fill: #17202a } .found { font-weight: 600 } .back { fill: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #b3bec8 } .title, .dot, .found { fill: #e8edf2 } .axis { stroke: #65717c } .grid { stroke: #2b343c }
.ask { stroke: #ff8a3d } .bid { stroke: #5aa9e6 } .ask-text { fill: #ff8a3d } .bid-text { fill: #5aa9e6 }
.traded { fill: #2fc79a; opacity: .18 } .price { stroke: #e8edf2 } .back { fill: #14191e } }
"""


def merit_order_svg(book: OrderBook, volume_kwh: float, price_per_kwh: float, *, title: str) -> str:
    """Draw the merit order.

    Args:
        book: The orders.
        volume_kwh: What was traded.
        price_per_kwh: At which (mean) price, NaN without trade.
        title: What stands above.

    Returns:
        The text of an SVG file, readable on light and dark ground.
    """
    canvas = _Canvas(book)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title, {chr(34): "&quot;"})}">',
        f"<style>{STYLE}</style>",
        f'<rect class="back" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="title" x="{LEFT}" y="28">{escape(title)}</text>',
        *canvas.axes(),
    ]
    traded = volume_kwh > NEGLIGIBLE_KWH and math.isfinite(price_per_kwh)
    if traded:
        x = canvas.x(volume_kwh)
        parts.append(
            f'<rect class="traded" x="{LEFT}" y="{TOP}" width="{x - LEFT:.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
        )
    for name, chosen, sign in (("ask", book.is_ask, 1), ("bid", ~book.is_ask, -1)):
        parts += canvas.curve(name, book.price_per_kwh[chosen], book.kwh[chosen], sign)
    if traded:
        parts += canvas.result(volume_kwh, price_per_kwh)
    else:
        parts.append(f'<text class="found" x="{WIDTH / 2}" y="{TOP + 18}" text-anchor="middle">no trade</text>')
    return "\n".join([*parts, "</svg>", ""])


class _Canvas:
    """Scales and what is drawn in them.

    Args:
        book: The orders that have to fit in.
    """

    def __init__(self, book: OrderBook) -> None:
        self._most_kwh = max(book.offered_kwh, book.wanted_kwh, 1e-6) * 1.04
        prices = book.price_per_kwh if len(book) else np.array([0.0, 1.0])
        spread = max(float(np.ptp(prices)), 0.1 * float(np.abs(prices).max()), 1e-6)
        self._low, self._high = float(prices.min()) - 0.08 * spread, float(prices.max()) + 0.08 * spread

    def x(self, kwh: float) -> float:
        """Return where an amount is."""
        return LEFT + (WIDTH - LEFT - RIGHT) * kwh / self._most_kwh

    def y(self, price: float) -> float:
        """Return where a price is."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (price - self._low) / (self._high - self._low)

    def axes(self) -> list[str]:
        """Draw axes, grid and the names of both."""
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = []
        for price, text in _ticks(self._low, self._high):
            y = self.y(price)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        for kwh, text in _ticks(0.0, self._most_kwh):
            parts.append(f'<text x="{self.x(kwh):.1f}" y="{bottom + 20}" text-anchor="middle">{text}</text>')
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
        parts.append(f'<text x="{right}" y="{HEIGHT - 14}" text-anchor="end">kWh, from the best limit on</text>')
        parts.append(f'<text x="{LEFT}" y="{TOP - 12}">price per kWh</text>')
        return parts

    def curve(self, name: str, price: FloatArray, kwh: FloatArray, sign: int) -> list[str]:
        """Draw one side's limits as steps, best first, with its name at the end."""
        if not len(price):
            return []
        order = np.argsort(sign * price, kind="stable")
        ends, levels = np.cumsum(kwh[order]).tolist(), price[order].tolist()
        path: list[str] = []
        start = 0.0
        for end, level in zip(ends, levels, strict=True):
            y = f"{self.y(level):.1f}"
            path.append(f"{'L' if path else 'M'}{self.x(start):.1f} {y} L{self.x(end):.1f} {y}")
            start = end
        below = 18 if sign < 0 else -8
        anchor = f'x="{self.x(start):.1f}" y="{self.y(levels[-1]) + below:.1f}" text-anchor="end"'
        word = "offered" if sign > 0 else "asked for"
        return [
            f'<path class="curve {name}" d="{" ".join(path)}"/>',
            f'<text class="{name}-text" {anchor}>{start:.4g} kWh {word}</text>',
        ]

    def result(self, volume_kwh: float, price: float) -> list[str]:
        """Mark what is traded and at which price."""
        x, y = self.x(volume_kwh), self.y(price)
        to_the_left = x > WIDTH * 0.65
        text = f"{volume_kwh:.4g} kWh at {price:.4g}"
        anchor = f'x="{x - 10 if to_the_left else x + 10:.1f}" y="{y - 10:.1f}"'
        return [
            f'<line class="price" x1="{LEFT}" x2="{x:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5"/>',
            f'<text class="found" {anchor} text-anchor="{"end" if to_the_left else "start"}">{text}</text>',
        ]


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return five or so round values within a range, with their texts."""
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough * 0.99)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(number * step, f"{number * step:.{digits}f}") for number in range(first, last + 1)]
