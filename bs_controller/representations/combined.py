"""Several sweeps of one kind become one, so that networks trained on one of a kind take any number."""

from collections.abc import Sequence

import numpy as np

from bs_controller.representations.contract import HeardSweep


def combined(sweeps: Sequence[HeardSweep]) -> HeardSweep:
    """Return the mean of equal sweeps, each turned to the phase of the first.

    Sweeps have phases of their own, so that they would cancel each other in a plain mean. Clocks that are off by as much
    in each keep their delay; delays that differ between the sweeps are not undone.

    Parameters
    ----------
    sweeps
        One or more with one focus; what was applied is taken to be that of the first.

    Raises
    ------
    ValueError
        If there are none, or their foci differ.
    """
    foci = {sweep.focus for sweep in sweeps}
    if len(foci) != 1:
        raise ValueError(f"expected sweeps with one focus, got {len(foci)} foci in {len(sweeps)} sweeps")
    first, *others = sweeps
    total = first.samples.copy()
    for other in others:
        alike = complex(np.vdot(other.samples, first.samples))
        total += other.samples * (alike / abs(alike) if alike else 1.0)
    return HeardSweep(samples=total / len(sweeps), focus=first.focus, setting=first.setting)
