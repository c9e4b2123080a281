"""Functions that are compiled when they are first called: loops over small matrices, where numpy's calls cost most."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function of numbers and arrays, and keep the machine code where Python keeps its byte code.

    Results are the same on every run: neither are sums reordered nor is anything computed in parallel.
    """
    try:
        return cast(F, numba.njit(cache=True, error_model="numpy", fastmath={"contract"})(function))
    except RuntimeError:  # no folder to keep the code in
        return cast(F, numba.njit(error_model="numpy", fastmath={"contract"})(function))
