"""Sections of a scenario about the network: `grid` and `limits`."""

from typing import Literal

from pydantic import model_validator

from feederloop.coupling.scenario.fields import Count, Number, Section, Text, misfit, quantity, setting

STANDARD_RANGES_V = {"as_60038": (216.2, 253.0), "en_50160": (207.0, 253.0)}
"""Phase-to-neutral limits: AS 60038 allows 230 V -6 % to +10 %, EN 50160 230 V +-10 %."""
VUF_LIMIT_PERCENT = 2.0
"""EN 50160: highest voltage unbalance factor in 95 % of the 10-minute means of a week."""


class Grid(Section):
    """The network and what feeds it."""

    network: Text = setting(
        "european_lv",
        "Name of a shipped network (european_lv: IEEE European low-voltage feeder, 55 connection points; street_12: "
        "12 connection points) or the path of a pandapower JSON file, relative to this scenario. Connection points are "
        "its loads: asymmetric ones on the phases on which they draw, balanced ones on all three",
        min_length=1,
    )
    feeders: Count = quantity(1, "1", "Copies of the low-voltage feeder behind the transformer", ge=1, le=50)
    source_v_pu: Number = quantity(1.0, "pu", "Voltage of the source above the transformer", gt=0.5, lt=1.5)


class Limits(Section):
    """What the network has to keep: the DSO's controller works with these and reports judge by them."""

    standard: Literal["as_60038", "en_50160", "custom"] = setting(
        "as_60038",
        "Voltage standard, phase to neutral: as_60038 (216.2 to 253 V), en_50160 (207 to 253 V) or custom with "
        "v_min_v and v_max_v",
    )
    v_min_v: Number | None = quantity(None, "V", "Lowest voltage phase to neutral; only with standard: custom", ge=10)
    v_max_v: Number | None = quantity(None, "V", "Highest voltage phase to neutral; only with standard: custom", ge=10)
    line_loading_percent: Number = quantity(100.0, "%", "Highest loading of a line's phase", gt=0, le=1000)
    transformer_loading_percent: Number = quantity(100.0, "%", "Highest loading of a transformer", gt=0, le=1000)

    @model_validator(mode="after")
    def _voltages_fit_standard(self) -> "Limits":
        given = {"v_min_v": self.v_min_v, "v_max_v": self.v_max_v}
        for key, value in given.items():
            if self.standard == "custom" and value is None:
                raise misfit("is missing: standard is custom", key=key, allowed="a number in V")
            if self.standard != "custom" and value is not None:
                allowed = "leave it out, or standard: custom"
                raise misfit(f"contradicts standard: {self.standard}", key=key, allowed=allowed)
        low, high = self.voltage_range_v
        if low >= high:
            raise misfit("the lowest voltage is not below the highest", key="v_min_v", allowed=f"below {high:g} V")
        return self

    @property
    def voltage_range_v(self) -> tuple[float, float]:
        """Lowest and highest voltage phase to neutral in V."""
        if self.v_min_v is not None and self.v_max_v is not None:
            return self.v_min_v, self.v_max_v
        return STANDARD_RANGES_V[self.standard]
