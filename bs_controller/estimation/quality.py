"""What to think of an estimate: its covariance, how well the model fits, and whether it may be relied upon.

Pure functions; every threshold is stated where it is used.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bs_controller.features import box_energy, delay_energy, noise_level
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
    inverse = np.linalg.inv(information)
    return Covariance(
        range_m2=float(inverse[0, 0]), range_angle_m_rad=float(inverse[0, 1]), angle_rad2=float(inverse[1, 1])
    )


def goodness_of_fit(residuals: Sequence[ComplexArray]) -> GoodnessOfFit:
    """Return mean over median energy of the residuals on the delay axis, relative to what it is for noise alone.

    A path that the model lacks brightens some of the delays, which moves the mean and hardly the median; so neither the
    noise power nor the gain need be known. Samples without noise leave rounding, which looks like noise here too.
    """
    ratios = []
    for residual in residuals:
        energy = delay_energy(residual)
        noise = noise_level(energy)
        ratios.append(float(energy.mean()) / noise if noise > 0 else 1.0)
    count = sum(residual.size for residual in residuals)
    return GoodnessOfFit(statistic=float(np.mean(ratios)), degrees=round(count / _MEAN_OVER_MEDIAN_VARIANCE))


def rival_share(samples: ComplexArray, residual: ComplexArray, box: int) -> float:
    """Return the brightest box of subcarriers of what an angle sweep leaves, relative to the brightest box of what it fits.

    A second path from another direction lights a band of its own. Noise is taken off by the median of the residual.
    """
    fitted, left = samples - residual, residual.real**2 + residual.imag**2
    above = box_energy(left - noise_level(left), box, circular=False)
    brightest = box_energy(fitted.real**2 + fitted.imag**2, box, circular=False).max()
    return float(max(above.max(), 0.0) / brightest) if brightest > 0 else 0.0
