"""What a figure is of: a prosumer, a time."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from feederloop.coupling.report.facts import Facts
from feederloop.coupling.scenario.problems import any_of
from feederloop.simulators.errors import InputError


@dataclass(frozen=True)
class Choice:
    """What is asked for.

    Attributes:
        prosumer: Name, None for the one that uses its connection most.
        at: Local time as `18:00`, or ISO 8601, None for the most telling one.
    """

    prosumer: str | None = None
    at: str | None = None

    def place(self, facts: Facts) -> int:
        """Return which prosumer it is.

        Raises:
            InputError: There is none of this name.
        """
        if self.prosumer is None:
            power = facts.by_step("connection_point", "p_kw")
            return 0 if power is None else int(np.nansum(np.abs(power), axis=0).argmax())
        if self.prosumer not in facts.names:
            raise InputError(
                "no such prosumer in this run", file=facts.run.folder, key="--prosumer", value=self.prosumer,
                allowed=any_of(facts.names),
            )  # fmt: skip
        return facts.names.index(self.prosumer)

    def period(self, facts: Facts, period_s: int, default: int) -> int:
        """Return which period of the run the time is in.

        Args:
            facts: The run.
            period_s: Length of a period.
            default: Where no time is asked for.

        Raises:
            InputError: It is no time, or none of the run.
        """
        line = facts.timeline
        if self.at is None or line is None:
            return default
        first, last = line.start.astimezone(line.zone), line.at(line.steps).astimezone(line.zone)
        allowed = f"a time from {first:%Y-%m-%dT%H:%M} on and before {last:%Y-%m-%dT%H:%M}, or as 18:00"
        try:
            if re.fullmatch(r"\d\d?:\d\d", self.at):
                wall = datetime.combine(first.date(), datetime.strptime(self.at, "%H:%M").time(), line.zone)
                time = wall if wall >= first else wall + timedelta(days=1)
            else:
                time = datetime.fromisoformat(self.at)
                time = time if time.tzinfo else time.replace(tzinfo=line.zone)
        except ValueError as error:
            raise InputError("not a time", key="--at", value=self.at, allowed=allowed) from error
        if not first <= time < last:
            raise InputError("this run has no such time", key="--at", value=self.at, allowed=allowed)
        return int((time.astimezone(UTC) - line.start).total_seconds() // period_s)
