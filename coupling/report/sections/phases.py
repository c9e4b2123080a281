"""How prosumers are connected."""

PHASES = ("a", "b", "c", "abc")
"""Single-phase connection points by their phase, and three-phase ones."""
KINDS = (*PHASES, "all")
"""The same, and `all` where a run does not tell."""
