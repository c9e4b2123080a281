"""Money as it is written."""

CENT = 0.01
"""What is less is no difference to anybody."""


def cents(money: float) -> str:
    """Return money to the cent, without a minus before zero."""
    return f"{round(float(money), 2) + 0.0:.2f}"
