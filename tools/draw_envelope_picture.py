"""Draw docs/images/envelope-corner.svg: what a street bears, the corner everybody forgets, and the proven box.

Run it from anywhere: `python tools/draw_envelope_picture.py`. All that is drawn is computed here, on the exact power
flow: the shipped street with its source at 1.03 per unit, twelve homes that may each export and import, limits of 216.2
to 253 V and every rating. Homes on the phase that suffers most use one power, all others another, so that the plane
shows a cut through the twelve-dimensional space of uses.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from feederloop.coupling import envelopes
from feederloop.simulators.grid.feeder import Feeder
from feederloop.simulators.grid.networks import PHASES, connection_points, load_network
from feederloop.simulators.grid.powerflow import PowerFlow

Floats = npt.NDArray[np.float64]

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "envelope-corner.svg"
SOURCE_V_PU = 1.03
CAP_KW = 30.0
RANGE_KW = 11.0
WIDTH, HEIGHT, SIDE, LEFT, TOP = 720, 560, 480, 70, 30


@dataclass(frozen=True)
class Street:
    """The network of the picture.

    Attributes:
        power_flow: Exact power flow.
        on_phase: [points] Homes on the phase that suffers most.
    """

    power_flow: PowerFlow
    on_phase: npt.NDArray[np.bool_]

    def margin(self, own_kw: Floats, others_kw: Floats) -> tuple[Floats, Floats]:
        """Least distance from a limit (positive inside, in V or percent) and highest voltage, for [columns] uses."""
        p_kw = np.where(self.on_phase[:, None], own_kw, others_kw)
        solution = self.power_flow.solve(p_kw, np.zeros_like(p_kw))
        low_voltage = self.power_flow.feeder.bus_vn_v < 1000.0
        v = np.abs(self.power_flow.bus_voltages(solution.current)[low_voltage]).reshape(-1, p_kw.shape[1])
        loading = self.power_flow.branch_loading_percent(solution.current).reshape(-1, p_kw.shape[1])
        inside = np.stack([253.0 - v.max(axis=0), v.min(axis=0) - 216.2, 100.0 - loading.max(axis=0)])
        return inside.min(axis=0), v.max(axis=0)


def main() -> None:
    """Compute and draw."""
    network = load_network("street_12", source_v_pu=SOURCE_V_PU)
    homes = connection_points(network)
    points = homes.rename(columns={"name": "connection_point"}).assign(
        p_kw=-0.5, q_kvar=0.0, export_cap_kw=CAP_KW, import_cap_kw=CAP_KW
    )
    corner = envelopes.publish(network, points, rule="equal", safety="corner").intervals[0]
    proven = envelopes.publish(network, points, rule="equal").intervals[0]
    assert proven.verdict == "certified"
    worst = next(violation for violation in corner.violations if violation.kind == "v_max")
    on_phase = (homes["phase"] == worst.phase).to_numpy()
    street = Street(PowerFlow(Feeder.from_network(network, homes)), on_phase)
    boxes = [
        (float(interval.export_limit_kw.min()), float(interval.import_limit_kw.min())) for interval in (corner, proven)
    ]
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(picture(street, boxes[0], boxes[1], worst.phase), encoding="utf-8")


def picture(street: Street, corner: tuple[float, float], proven: tuple[float, float], phase: str) -> str:
    """Return the SVG."""
    others = " and ".join(other for other in PHASES if other != phase)
    parts = [
        f'<polygon points="{safe_region(street)}" class="safe"/>',
        axes(),
        box(corner, "corner"),
        box(proven, "proven"),
    ]
    for (export_kw, import_kw), kind in ((corner, "corner"), (proven, "proven")):
        uses = np.array(
            [[export_kw, export_kw], [-import_kw, -import_kw], [export_kw, -import_kw], [-import_kw, export_kw]]
        )
        inside, highest_v = street.margin(uses[:, 0], uses[:, 1])
        for number, ((own, other), margin, v) in enumerate(zip(uses, inside, highest_v, strict=True)):
            broken = margin < -1e-3
            if broken or kind == "corner":
                parts.append(dot(own, other, "broken" if broken else "kept"))
            if number == 2:
                parts.append(label(own, other, f"{v:.1f} V", "broken-text" if broken else "proven-text", kind))
    parts += legend(phase, others)
    style = (
        "text{font:14px system-ui,sans-serif;fill:#1f2933}.small{font-size:12px}"
        ".safe{fill:#d9efe1}.axis{stroke:#8795a1;stroke-width:1}.grid{stroke:#e4e7eb}"
        ".corner{fill:none;stroke:#c2410c;stroke-width:2;stroke-dasharray:7 4}"
        ".proven{fill:none;stroke:#15803d;stroke-width:3}"
        ".broken{fill:#c2410c}.kept{fill:#fff;stroke:#c2410c;stroke-width:2}"
        ".broken-text{fill:#c2410c;font-weight:600}.proven-text{fill:#15803d;font-weight:600}"
    )
    title = "Uses that the street bears, a box checked at two corners only, and the proven box"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def safe_region(street: Street) -> str:
    """Return the outline of the safe uses: where the margin changes sign along each line of the plane."""
    fine = np.linspace(-RANGE_KW, RANGE_KW, 89)
    own, other = np.meshgrid(fine, fine)
    margin = street.margin(own.reshape(-1), other.reshape(-1))[0].reshape(own.shape)
    left, right = [], []
    for row, other_kw in zip(margin, fine, strict=True):
        inside = np.flatnonzero(row >= 0)
        if len(inside):
            left.append((_crossing(fine, row, int(inside[0]), -1), float(other_kw)))
            right.append((_crossing(fine, row, int(inside[-1]), 1), float(other_kw)))
    return " ".join(f"{x_at(own_kw):.1f},{y_at(other_kw):.1f}" for own_kw, other_kw in left + right[::-1])


def _crossing(fine: Floats, row: Floats, last: int, step: int) -> float:
    """Return where the margin is zero between the last use inside and the next one outside."""
    beyond = last + step
    if not 0 <= beyond < len(fine):
        return float(fine[last])
    share = row[last] / (row[last] - row[beyond])
    return float(fine[last] + share * (fine[beyond] - fine[last]))


def x_at(kw: float) -> float:
    """Return the abscissa of a power."""
    return LEFT + SIDE * (kw + RANGE_KW) / (2 * RANGE_KW)


def y_at(kw: float) -> float:
    """Return the ordinate of a power."""
    return TOP + SIDE * (RANGE_KW - kw) / (2 * RANGE_KW)


def axes() -> str:
    """Return both axes with their numbers."""
    lines = []
    for kw in range(-10, 11, 5):
        x, y, kind = x_at(kw), y_at(kw), "grid" if kw else "axis"
        lines.append(f'<path class="{kind}" d="M{x:.1f} {TOP}V{TOP + SIDE}M{LEFT} {y:.1f}H{LEFT + SIDE}"/>')
        lines.append(f'<text class="small" x="{x:.1f}" y="{TOP + SIDE + 18}" text-anchor="middle">{kw}</text>')
        lines.append(f'<text class="small" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{kw}</text>')
    return "\n".join(lines)


def box(limits: tuple[float, float], kind: str) -> str:
    """Return an envelope, which is the same for both groups of homes, as a square."""
    export_kw, import_kw = limits
    x, y = x_at(-import_kw), y_at(export_kw)
    width, height = x_at(export_kw) - x, y_at(-import_kw) - y
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def dot(own_kw: float, other_kw: float, kind: str) -> str:
    """Return a corner."""
    return f'<circle class="{kind}" cx="{x_at(own_kw):.1f}" cy="{y_at(other_kw):.1f}" r="6"/>'


def label(own_kw: float, other_kw: float, text: str, style: str, kind: str) -> str:
    """Return what is written at a corner: beside the outer box, inside the inner one."""
    x, y, anchor = (x_at(own_kw) + 10, y_at(other_kw) + 18, "start")
    if kind == "proven":
        x, y, anchor = x_at(own_kw) - 8, y_at(other_kw) - 8, "end"
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def legend(phase: str, others: str) -> list[str]:
    """Return the names of the axes and of what is drawn."""
    x = LEFT + SIDE + 16
    rows = [
        ('<rect class="safe" x="{x}" y="{y}" width="26" height="14"/>', ("every limit kept",)),
        ('<rect class="corner" x="{x}" y="{y}" width="26" height="14"/>', ("checked only with", "all at one limit")),
        ('<rect class="proven" x="{x}" y="{y}" width="26" height="14"/>', ("proven for every", "combination")),
        ('<circle class="kept" cx="{xc}" cy="{yc}" r="6"/>', ("checked corner",)),
        ('<circle class="broken" cx="{xc}" cy="{yc}" r="6"/>', ("forgotten corner:", "limit broken")),
    ]
    parts, y = [], TOP + 10
    for shape, lines in rows:
        parts.append(shape.format(x=x, y=y, xc=x + 13, yc=y + 7))
        for line in lines:
            parts.append(f'<text class="small" x="{x + 34}" y="{y + 12}">{line}</text>')
            y += 16
        y += 14
    across, up = LEFT + SIDE / 2, TOP + SIDE / 2
    below = f'x="{across}" y="{TOP + SIDE + 40}" text-anchor="middle"'
    beside = f'x="22" y="{up}" text-anchor="middle" transform="rotate(-90 22 {up})"'
    parts.append(f"<text {below}>each home on phase {phase}, kW (export positive)</text>")
    parts.append(f"<text {beside}>each home on phases {others}, kW</text>")
    return parts


if __name__ == "__main__":
    main()
