"""Figures of a run for papers: vector or pixels, one look, limits always drawn."""

from feederloop.coupling.plots.command import figures_of, plot
from feederloop.coupling.plots.figures import FIGURES

__all__ = ["FIGURES", "figures_of", "plot"]
