"""Whether a fix stands on the line of sight or on an echo: a second look at what the angle sweeps hold besides it.

Two facts of geometry tell, whatever the echoes' number and masks. A way over a scatterer is longer than the straight one,
so that no echo arrives before the line of sight. And the waves of an echo come from its scatterer, so that they are curved
more than their delay says. Echoes as such do no harm and are no reason for doubt: what counts is whether the path that was
fitted can be the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.candidates import ECHO_STEP_M, AngleSweep, Searcher

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

# The brightest band left unexplained, relative to the brightest explained, from which on it is worth the time to look: an
# earlier path as strong as the fitted one shows in it, and noise leaves 0.003 at 10 dB.
WORTH_A_LOOK_SHARE = 0.4
EARLIER_BY_M = 0.1  # nearer to the fix a path is the fix
# One over the radius of curvature is tried in steps of this, which turn the outermost elements by 0.3 cycles against the
# middle ones.
CURVATURE_STEP_PER_M = 0.012
# Another curvature explains up to 1.2 % more by chance, and by the steps of directions, where few elements are visible
# (150 users with two echoes at -10 dB).
LARGEST_CURVATURE_GAIN = 1.03


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondLook:
    """What speaks against a fix: each is a ratio of powers that is to be small.

    ``earlier_share`` is that of a line of sight nearer than the fix to the fitted path. ``curvature_gain`` is what waves of
    the fix's delay explain if curved more than those of a line of sight, to what they explain as a line of sight.
    """

    earlier_share: float
    curvature_gain: float


def second_look(
    searcher: Searcher,
    sweeps: Sequence[AngleSweep],
    residuals: Sequence[ComplexArray],
    range_m: float,
    angle_rad: float,
) -> SecondLook:
    """Return what speaks against a fix.

    Parameters
    ----------
    searcher
        Of the testbed that sent the sweeps.
    sweeps, residuals
        Angle sweeps, and what the fix leaves of each, ``(subcarrier,)``.
    range_m, angle_rad
        The fix.
    """
    return SecondLook(
        earlier_share=_earlier_share(searcher, sweeps, residuals, range_m),
        curvature_gain=_curvature_gain(searcher, sweeps, range_m, angle_rad),
    )


def _earlier_share(
    searcher: Searcher, sweeps: Sequence[AngleSweep], residuals: Sequence[ComplexArray], range_m: float
) -> float:
    nearer_m = np.arange(searcher.nearest_m, range_m - EARLIER_BY_M, ECHO_STEP_M)
    left = [
        replace(sweep, samples=residual, energy=_energy(residual))
        for sweep, residual in zip(sweeps, residuals, strict=True)
    ]
    fitted = sum(_energy(sweep.samples - residual) for sweep, residual in zip(sweeps, residuals, strict=True))
    if not nearer_m.size or fitted == 0 or min(sweep.energy for sweep in left) == 0:
        return 0.0
    best = max(candidate.share for candidate in searcher.towards_bright_bands(left, nearer_m))
    return best * sum(sweep.energy for sweep in left) / fitted


def _curvature_gain(searcher: Searcher, sweeps: Sequence[AngleSweep], range_m: float, angle_rad: float) -> float:
    curvature_per_m = np.arange(1 / range_m + CURVATURE_STEP_PER_M, 1 / searcher.nearest_m, CURVATURE_STEP_PER_M)
    shares = [searcher.curvature_share(sweeps, range_m, angle_rad, 1 / one) for one in curvature_per_m.tolist()]
    return max(shares, default=0.0) / searcher.curvature_share(sweeps, range_m, angle_rad, range_m)


def _energy(samples: ComplexArray) -> float:
    return float(np.vdot(samples, samples).real)
