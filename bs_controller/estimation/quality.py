"""What to think of an estimate: its covariance, how well the model fits, and whether it may be relied upon.

Pure functions; every threshold is stated where it is used.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bs_controller.features import brightest_box, delay_energy, noise_level, squared
from bs_controller.sweeps import Covariance, GoodnessOfFit

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

# The brightest band that an angle sweep leaves unexplained, relative to the brightest that is explained, from which on a
# fix is doubted that cannot tell an echo from the line of sight: -7 dB.
STRONG_RIVAL_SHARE = 0.2
# Relative variance of mean over median for n exponential energies, by their joint asymptotic normality: 1.08 / n.
_MEAN_OVER_MEDIAN_VARIANCE = 1 / np.log(2) ** 2 - 1


def covariance_from_information(information: Floats) -> Covariance:
    """Return the inverse of the Fisher information, ``(2, 2)`` of range, m, and angle, rad [CBS, eq. (25)]."""
    (of_range, of_both), (_, of_angle) = information.tolist()
    determinant = of_range * of_angle - of_both * of_both
    return Covariance(
        range_m2=of_angle / determinant, range_angle_m_rad=-of_both / determinant, angle_rad2=of_range / determinant
    )


def goodness_of_fit(residuals: Sequence[ComplexArray]) -> GoodnessOfFit:
    """Return mean over median energy of the residuals on the delay axis, relative to what it is for noise alone.

    A path that the model lacks brightens some of the delays, which moves the mean and hardly the median; so neither the
    noise power nor the gain need be known. Samples without noise leave rounding, which looks like noise here too.
    """
    return mean_fit([goodness_of_residual(residual) for residual in residuals])


def goodness_of_residual(residual: ComplexArray) -> GoodnessOfFit:
    """Return the same of one sweep."""
    energy = delay_energy(residual)
    noise = noise_level(energy)
    ratio = float(energy.sum()) / energy.size / noise if noise > 0 else 1.0
    return GoodnessOfFit(statistic=ratio, degrees=round(residual.size / _MEAN_OVER_MEDIAN_VARIANCE))


def mean_fit(fits: Sequence[GoodnessOfFit]) -> GoodnessOfFit:
    """Return the fit of several sweeps."""
    return GoodnessOfFit(
        statistic=sum(fit.statistic for fit in fits) / len(fits), degrees=sum(fit.degrees for fit in fits)
    )


def rival_share(samples: ComplexArray, residual: ComplexArray, box: int) -> float:
    """Return the brightest box of subcarriers of what an angle sweep leaves, relative to the brightest box of what it fits.

    A second path from another direction lights a band of its own. Noise is taken off by the median of the residual.
    """
    left = squared(residual, 1.0)
    above = brightest_box(left - noise_level(left), box)[1]
    brightest = brightest_box(squared(samples - residual, 1.0), box)[1]
    return max(above, 0.0) / brightest if brightest > 0 else 0.0
