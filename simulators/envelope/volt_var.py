"""Inverters that supply reactive power by their voltage, as a reactor in the network and a remainder that is bounded.

Within a range of voltages a volt-var response is nearly a straight line in the square of the voltage, and that is a
reactor: a linear element, which the network model holds exactly. Only what is left between the line and the response is
a reactive power that is not known, and has to be allowed for at every voltage.
"""

from dataclasses import dataclass

import numpy as np

from feederloop.simulators.grid.feeder import Feeder, Floats
from feederloop.simulators.pv.volt_var import VOLT_VAR_SHARE, VOLT_VAR_V, volt_var_share


@dataclass(frozen=True, eq=False)
class VoltVar:
    """Inverters with a volt-var response; arrays are [points].

    Attributes:
        rated_kva: Rated power; zero of who has none.
        reactor_s: Susceptance of the reactor that the network model holds for each, in siemens.
    """

    rated_kva: Floats
    reactor_s: Floats

    @classmethod
    def without_reactors(cls, rated_kva: Floats) -> "VoltVar":
        """Return inverters whose whole response is bounded."""
        return cls(rated_kva, np.zeros(len(rated_kva)))

    @classmethod
    def over(cls, feeder: Feeder, rated_kva: Floats, low_v: Floats, high_v: Floats) -> "VoltVar":
        """Return inverters whose reactors draw as much more at the upper end of a range of voltages as they do.

        Those of three-phase points are without: they answer to the mean of three voltages, reactors to each.
        """
        single = np.bincount(feeder.injector_point, minlength=len(rated_kva)) == 1
        fall_kvar = rated_kva * (volt_var_share(low_v) - volt_var_share(high_v))
        width = np.maximum(high_v**2 - low_v**2, 1.0)
        return cls(rated_kva, np.where(single, 1e3 * fall_kvar / width, 0.0))

    def band(self, low_v: float | Floats, high_v: float | Floats) -> tuple[Floats, Floats]:
        """Return least and greatest reactive power in kvar between two voltages, beyond what the reactors draw.

        Between corners of the response it is a parabola that opens upward, so the ends, the corners and the parabolas'
        lowest points are all that can be an extreme.
        """
        low, high = np.broadcast_to(low_v, self.rated_kva.shape), np.broadcast_to(high_v, self.rated_kva.shape)
        slopes = np.diff(VOLT_VAR_SHARE) / np.diff(VOLT_VAR_V)
        bottoms = -500.0 * slopes[:, None] * self.rated_kva / np.where(self.reactor_s > 0, self.reactor_s, np.inf)
        corners = np.repeat(np.array(VOLT_VAR_V)[:, None], len(low), axis=1)
        at = np.clip(np.vstack([low, high, corners, bottoms]), low, high)
        left_over = self.rated_kva * volt_var_share(at) + 1e-3 * self.reactor_s * at**2
        return left_over.min(axis=0), left_over.max(axis=0)

    def in_network(self, feeder: Feeder) -> Feeder:
        """Return the feeder with the reactors in it."""
        return feeder.with_reactors(self.reactor_s[feeder.injector_point])
