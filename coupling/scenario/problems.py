"""What is wrong with a scenario: one record per problem, and the error that carries all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any

from feederloop.simulators.errors import InputError


class Absent(Enum):
    """Stands where there is no value, since None is a value of its own."""

    VALUE = "absent"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a user has to mend.

    Args:
        message: What is wrong, in a few words.
        key: Dotted path of the key at fault; empty where the whole file is.
        value: What stands there.
        allowed: What would be accepted.
        nearest: The valid key or value most like the one given.
        file: The file at fault; None for an override or a scenario made in Python.
        line: The line in that file, counted from 1.
    """

    message: str
    key: str = ""
    value: Any = Absent.VALUE
    allowed: str = ""
    nearest: str = ""
    file: Path | None = None
    line: int | None = None

    @property
    def place(self) -> str:
        """`file:line`, or `--set` for what no file says."""
        if self.file is None:
            return ""
        return f"{self.file}:{self.line}" if self.line else str(self.file)

    @property
    def subject(self) -> str:
        """The key and its value as the user would write them."""
        if self.value is Absent.VALUE:
            return self.key
        text = repr(self.value)
        return f"{self.key} = {text if len(text) <= 80 else text[:77] + '...'}"

    @property
    def advice(self) -> str:
        """What to do about it."""
        parts = []
        if self.nearest:
            parts.append(f"did you mean {self.nearest}?")
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        return "; ".join(parts)

    def __str__(self) -> str:
        """Return the problem on one line."""
        head = ": ".join(part for part in (self.place, self.subject, self.message) if part)
        return f"{head} ({self.advice})" if self.advice else head


class ScenarioError(InputError):
    """A scenario that cannot be run, with every problem that was found.

    Args:
        problems: At least one problem.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.message, file=first.file, key=first.key, value=first.value, allowed=first.allowed)

    def __str__(self) -> str:
        """Return one line per problem."""
        return "\n".join(str(problem) for problem in self.problems)


def problems_in(error: InputError) -> Sequence[Problem]:
    """Return the problems that an error for bad input carries, whoever raised it."""
    if isinstance(error, ScenarioError):
        return error.problems
    value = Absent.VALUE if error.value is None else error.value
    file = None if error.file is None else Path(str(error.file))
    return [Problem(error.message.rstrip("."), error.key or "", value, error.allowed or "", file=file)]


def nearest_of(word: object, names: Iterable[str]) -> str:
    """Return the name most like a word, or nothing where none is.

    Names are compared whole and without their unit, so that `step_min` finds `step_s`.
    """
    word, names = str(word).lower(), list(names)
    lowered = {name.lower(): name for name in reversed(names)}
    if close := get_close_matches(word, list(lowered), n=1, cutoff=0.6):
        return lowered[close[0]]
    stems = {_stem(name): name for name in reversed(names)}
    close = get_close_matches(_stem(word), list(stems), n=1, cutoff=0.6)
    return stems[close[0]] if close else ""


def any_of(names: Sequence[str]) -> str:
    """Return names as `a, b or c`."""
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _stem(name: str) -> str:
    """Return a name without its last part, which is the unit."""
    return name.rpartition("_")[0] or name
