"""The kinds of values that scenario keys take, and the base of every section."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict
from pydantic_core import PydanticCustomError

UNIT = "unit"

Number = Annotated[float, Strict()]
Count = Annotated[int, Strict()]
Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]
Share = Annotated[float, Strict(), Field(ge=0, le=1)]
Positive = Annotated[float, Strict(), Field(gt=0)]
NonNegative = Annotated[float, Strict(), Field(ge=0)]


def misfit(message: str, *, key: str = "", allowed: str = "", nearest: str = "") -> PydanticCustomError:
    """Return the error by which a validator tells what is wrong, and with which key of the section.

    Args:
        message: What is wrong.
        key: Dotted path in the section that was checked; empty for the value itself.
        allowed: What would be accepted.
        nearest: The valid value most like the one given.
    """
    context = {"message": message, "key": key, "allowed": allowed, "nearest": nearest}
    return PydanticCustomError("misfit", "{message}", context)


def _ascending(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise misfit("the first number is above the second", allowed="[min, max]")
    return span


PositiveSpan = Annotated[tuple[Positive, Positive], AfterValidator(_ascending)]
NonNegativeSpan = Annotated[tuple[NonNegative, NonNegative], AfterValidator(_ascending)]
Tilt = Annotated[float, Strict(), Field(ge=0, le=90)]
Azimuth = Annotated[float, Strict(), Field(ge=0, le=360)]
TiltSpan = Annotated[tuple[Tilt, Tilt], AfterValidator(_ascending)]
AzimuthSpan = Annotated[tuple[Azimuth, Azimuth], AfterValidator(_ascending)]


def quantity(default: Any, unit: str, description: str, **bounds: Any) -> Any:
    """Return the field of a number with a unit.

    Args:
        default: The default; `...` where a value must be given.
        unit: The unit, e.g. `kW`, or `1` for a plain number.
        description: What it is.
        **bounds: `ge`, `gt`, `le` and `lt` of the number.
    """
    text = description if unit == "1" else f"{description} ({unit})"
    return Field(default, description=text, json_schema_extra={UNIT: unit}, **bounds)


def setting(default: Any, description: str, **rules: Any) -> Any:
    """Return the field of a value without a unit."""
    return Field(default, description=description, **rules)


def section(make: Callable[[], Any], description: str) -> Any:
    """Return the field of a section that may be left out."""
    return Field(default_factory=make, description=description)


class Section(BaseModel):
    """A mapping of the scenario: frozen, without unknown keys, NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _empty_for_nothing(value: Any) -> Any:
    """A section whose keys are all commented out reads as nothing; it means the defaults."""
    return {} if value is None else value


EmptyIsDefault = BeforeValidator(_empty_for_nothing)
