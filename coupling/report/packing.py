"""Numbers and text as they travel inside the page: small, and harmless whatever they hold."""

import base64
import json
import math
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

GAP = -32768
"""Stands for a missing value."""
_LARGEST = 32767
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def pack(values: ArrayLike, resolution: float) -> dict[str, Any]:
    """Pack numbers as 16-bit multiples of a resolution, which takes under three characters for each.

    The resolution is made ten, hundred … times coarser where a number is too large for 16 bits.

    Args:
        values: Numbers of any shape, row after row; NaN and infinite values become gaps.
        resolution: What a number is rounded to.

    Returns:
        ``{"scale": resolution, "data": base64 of little-endian int16}``.
    """
    numbers: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    known = np.isfinite(numbers)
    largest = float(np.abs(numbers[known]).max(initial=0.0))
    scale = resolution
    if largest > _LARGEST * resolution:
        scale = resolution * 10.0 ** math.ceil(math.log10(largest / (_LARGEST * resolution)))
    whole = np.full(numbers.shape, GAP, dtype="<i2")
    whole[known] = np.rint(numbers[known] / scale)
    return {"scale": float(f"{scale:.6g}"), "data": base64.b64encode(whole.tobytes()).decode("ascii")}


def json_for_script(data: Any) -> Markup:
    """Return JSON that no parser of HTML can take for anything else, so that it may stand inside a script element.

    Raises:
        ValueError: A number is not finite.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return Markup(text)  # escaped above
