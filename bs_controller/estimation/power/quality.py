"""How well powers fit their model, and how bright what it leaves is. Pure functions."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bs_controller.features import box_energy
from bs_controller.sweeps import GoodnessOfFit

Floats = npt.NDArray[np.float64]

# Variance of the ratio below times the number of samples: 17/9. The fourth moment of the powers falls out.
_RATIO_VARIANCE = 17 / 9
# Noise power over the mean power below which the rounding of the responses, 1e-9 of an amplitude, would be judged.
SMALLEST_NOISE_SHARE = 1e-8


def goodness_of_fit(
    power_w: Sequence[Floats], expected_w: Sequence[Floats], sigma2_w: Sequence[float]
) -> GoodnessOfFit:
    """Return the mean square of residuals over that of their second differences, relative to what it is for noise alone.

    Residuals are ``P - |u|^2 - sigma^2`` in units of their standard deviation ``sigma sqrt(sigma^2 + 2 |u|^2)``. What the
    model lacks changes slowly with the subcarrier and shows in the former alone; the noise power, which the fit may have
    raised to explain it, falls out.

    Parameters
    ----------
    power_w, expected_w
        One ``(subcarrier,)`` per sweep: as reported, and noise-free by the fit.
    sigma2_w
        ``(sweep,)`` by the fit.
    """
    count, total = 0, 0.0
    for power, expected, noise_w in zip(power_w, expected_w, sigma2_w, strict=True):
        ratio = expected / noise_w
        residual = (power / noise_w - 1 - ratio) / np.sqrt(1 + 2 * ratio)
        rough = float(np.mean(np.diff(residual, 2) ** 2)) / 6
        noisy = noise_w > SMALLEST_NOISE_SHARE * float(power.mean()) and rough > 0
        total += power.size * (float(np.mean(residual**2)) / rough if noisy else 1.0)
        count += power.size
    return GoodnessOfFit(statistic=total / count, degrees=round(count / _RATIO_VARIANCE))


def rival_power_share(power_w: Floats, expected_w: Floats, sigma2_w: float, box: int) -> float:
    """Return the brightest box of subcarriers of what an angle sweep leaves, relative to the brightest of what it explains."""
    left = box_energy(power_w - expected_w - sigma2_w, box, circular=False)
    brightest = float(box_energy(expected_w, box, circular=False).max())
    return max(float(left.max()), 0.0) / brightest if brightest > 0 else 0.0
