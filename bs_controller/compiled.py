"""Loops that are compiled to machine code when they are first called: the controller's only importer of numba.

An estimate is a few hundred sums over a few hundred elements or subcarriers. In numpy each of them costs more to call
than to compute; one loop in the processor's own language does a dozen of them in a microsecond.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

# Sums may be taken in another order, which is what lets them run four at a time; infinities and not-a-numbers are kept.
_REORDERED = {"reassoc", "contract", "nsz", "arcp"}


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function of numbers and arrays as machine code, which runs without Python's lock.

    It is compiled once for each combination of argument types, and kept on disk beside the source or in the user's cache;
    where neither can be written it is compiled anew by each process.
    """
    try:
        kept: Callable[P, R] = numba.njit(cache=True, nogil=True, fastmath=_REORDERED)(function)
    except RuntimeError:  # no place for a cache
        kept = numba.njit(nogil=True, fastmath=_REORDERED)(function)
    return kept
