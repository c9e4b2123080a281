"""What came of publishing or checking envelopes: verdicts, certificates, counterexamples, as tables and files."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from feederloop.coupling.folders import make_folder
from feederloop.simulators.envelope.box import Bools
from feederloop.simulators.envelope.certificate import Certificate
from feederloop.simulators.envelope.counterexample import Violation
from feederloop.simulators.envelope.points import ENVELOPE_COLUMNS
from feederloop.simulators.envelope.stated import StatedLimits
from feederloop.simulators.errors import InputError
from feederloop.simulators.grid.feeder import Floats

ENVELOPES_FILE, CERTIFICATE_FILE, VERDICT_FILE = "envelopes.csv", "certificate.json", "verdict.json"
CERTIFIED, REFUTED, NOT_PROVEN, IMPOSSIBLE = "certified", "refuted", "not proven", "impossible"
_BLAMED = 5  # customers named with a violation


@dataclass(frozen=True)
class IntervalResult:
    """What came of one interval.

    Attributes:
        interval_start: As the table of points writes it.
        verdict: `certified`: no use within the limits breaks a network limit. `refuted`: some does, see `violations`.
            `not proven`: neither proof nor counterexample. `impossible`: the passive customers alone break a limit, so
            that there is no envelope.
        active: [points] Who has an envelope.
        export_limit_kw: [points] Zero for passive points; not a number where impossible.
        import_limit_kw: [points]
        certificate: What was proven, voltages in volt.
        violations: Uses that break a limit, the worst first; where impossible, with everybody else at zero.
        forecast_violations: What the forecast itself would break.
        held_below_forecast: Connection points whose limits are narrower than their forecast.
        without_power: Where impossible: a limit breaks with nobody using the network at all.
        floor_cut: Some inflexible demand did not fit.
        proof_cost_kw: By how much the proof lowered the sum of what the rule had shared out.
        seconds: Time it took.
    """

    interval_start: str
    verdict: str
    active: Bools
    export_limit_kw: Floats
    import_limit_kw: Floats
    certificate: Certificate
    violations: tuple[Violation, ...]
    forecast_violations: tuple[Violation, ...]
    held_below_forecast: tuple[str, ...]
    without_power: bool = False
    floor_cut: bool = False
    proof_cost_kw: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class EnvelopeResults:
    """Envelopes of all intervals, published or checked.

    Attributes:
        names: [points] Connection points.
        intervals: What came of every interval.
        notes: What was assumed, ignored or not checked.
        network: The network's name or file.
        limits: The limits asked for.
    """

    names: tuple[str, ...]
    intervals: tuple[IntervalResult, ...]
    notes: tuple[str, ...]
    network: str
    limits: StatedLimits

    @property
    def certified(self) -> bool:
        """Whether every interval is proven safe."""
        return all(interval.verdict == CERTIFIED for interval in self.intervals)

    @property
    def table(self) -> pd.DataFrame:
        """The envelopes, columns of `ENVELOPE_COLUMNS`; limits are not a number where there is no envelope."""
        names = np.array(self.names, dtype=object)
        parts = [
            (interval.interval_start, names[row], interval.export_limit_kw[row], interval.import_limit_kw[row])
            for interval in self.intervals
            for row in np.flatnonzero(interval.active)
        ]
        return pd.DataFrame(parts, columns=list(ENVELOPE_COLUMNS))

    def blamed(self, violation: Violation) -> list[tuple[str, float, float]]:
        """Return who contributes most to a violation: name, power in kW, contribution in the violation's unit."""
        order = np.argsort(-violation.contribution, kind="stable")[:_BLAMED]
        return [
            (self.names[row], float(violation.p_kw[row]), float(violation.contribution[row]))
            for row in order
            if violation.contribution[row] > 0
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the envelopes, as JSON has it."""
        return {
            "network": self.network,
            "limits": {name: value for name, value in asdict(self.limits.in_full).items() if value is not None},
            "notes": list(self.notes),
            "certified": self.certified,
            "intervals": [self._interval(interval) for interval in self.intervals],
        }

    def write(self, folder: Path | str, *, checked: bool = False) -> None:
        """Write `envelopes.csv` and `certificate.json` into a folder, or `verdict.json` of envelopes that were checked.

        Raises:
            InputError: The folder cannot be made or written to.
        """
        folder = Path(folder)
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        make_folder(folder)
        try:
            if not checked:
                self.table.to_csv(folder / ENVELOPES_FILE, index=False, lineterminator="\n")
            (folder / (VERDICT_FILE if checked else CERTIFICATE_FILE)).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write here ({error.strerror})", key="out", value=str(folder)) from error

    def _interval(self, interval: IntervalResult) -> dict[str, Any]:
        certificate = interval.certificate
        return {
            "interval_start": interval.interval_start,
            "certified": interval.verdict == CERTIFIED,
            "verdict": interval.verdict,
            "reason": certificate.reason,
            "v_max_v": _finite(certificate.v_max_v),
            "v_max_at": _node(certificate.v_max_at),
            "v_min_v": _finite(certificate.v_min_v),
            "v_min_at": _node(certificate.v_min_at),
            "loading_max_percent": _finite(certificate.loading_max_percent),
            "loading_max_at": dict(zip(("element", "phase"), certificate.loading_max_at, strict=True)),
            "vuf_max_percent": _finite(certificate.vuf_max_percent),
            "vuf_max_at": {"bus": certificate.vuf_max_at} if certificate.vuf_max_at >= 0 else None,
            "looseness_v": _finite(certificate.looseness_v),
            "rows": certificate.rows,
            "corners": certificate.corners,
            "seconds": interval.seconds,
            "floor_cut": interval.floor_cut,
            "proof_cost_kw": interval.proof_cost_kw,
            "held_below_forecast": list(interval.held_below_forecast),
            "forecast_violations": [self._violation(violation) for violation in interval.forecast_violations],
            "violations": [self._violation(violation) for violation in interval.violations],
        }

    def _violation(self, violation: Violation) -> dict[str, Any]:
        return {
            "kind": violation.kind,
            "element": violation.element,
            "phase": violation.phase,
            "value": _finite(violation.value),
            "limit": _finite(violation.limit),
            "bus": violation.bus,
            "v_v": list(violation.v_v),
            "p_kw": dict(zip(self.names, violation.p_kw.tolist(), strict=True)),
            "q_kvar": dict(zip(self.names, violation.q_kvar.tolist(), strict=True)),
            "blamed": [
                {"connection_point": name, "p_kw": p_kw, "contribution": part}
                for name, p_kw, part in self.blamed(violation)
            ],
        }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _node(at: tuple[int, str]) -> dict[str, Any] | None:
    return {"bus": at[0], "phase": at[1]} if at[1] else None
