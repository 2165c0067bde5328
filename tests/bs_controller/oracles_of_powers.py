"""Where a user is by the powers of its sweeps: sums over positions, the likelihood of each at its best gains and noise powers.

Nothing of the product's numerics is imported here; distances and weights are those of `tests.oracles`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from protocol.testbed import Setting, TestbedFacts
from tests.oracles import linear_distance_m, setting_weight

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PowersHeard:
    """Powers of neighbouring subcarriers, ``(subcarrier,)``, the first of them, and what the front end applied."""

    power_w: Floats
    first: int
    setting: Setting


class VisibleUser:
    """A user that some elements see, as powers of its sweeps tell of it."""

    def __init__(self, facts: TestbedFacts, sweeps: Sequence[PowersHeard], visible: npt.NDArray[np.bool_]) -> None:
        self._x_m, self._c_m_s = facts.downlink.array.element_x_m[visible], facts.speed_of_light_m_s
        self._sweeps, self._weights, self._frequencies = sweeps, [], []
        for one in sweeps:
            chosen = slice(one.first, one.first + one.power_w.size)
            self._weights.append(setting_weight(facts.downlink, one.setting)[visible, chosen])
            self._frequencies.append(facts.downlink.grid.frequency_hz[chosen])

    def log_likelihood(self, range_m: float, angle_rad: float) -> float:
        """Of all powers, each sweep with the gain and the noise power that suit it best."""
        distance_m, total = linear_distance_m(self._x_m, range_m, angle_rad), 0.0
        for one, weight, f_hz in zip(self._sweeps, self._weights, self._frequencies, strict=True):
            heard = (np.exp(2j * np.pi * np.outer(distance_m, f_hz) / self._c_m_s) * weight).sum(axis=0) / f_hz
            total += _best_log_likelihood(one.power_w, np.abs(heard) ** 2)
        return total

    def moments(self, range_m: Floats, angle_rad: Floats) -> tuple[Floats, Floats]:
        """Mean and covariance of range and angle over points ``(range, angle)`` that stand for equal areas."""
        height = np.array(
            [
                [self.log_likelihood(r, a) for r, a in zip(*row, strict=True)]
                for row in zip(range_m, angle_rad, strict=True)
            ]
        )
        share = np.exp(height - height.max()).ravel()
        share /= share.sum()
        points = np.stack([range_m.ravel(), angle_rad.ravel()])
        mean = points @ share
        apart = points - mean[:, np.newaxis]
        return mean, (apart * share) @ apart.T


def _best_log_likelihood(power_w: Floats, unit_w: Floats) -> float:
    """Rice's likelihood of powers whose noise-free values are ``unit_w`` but for a gain, ``(subcarrier,)``."""
    scale = power_w.mean()

    def cost(logarithms: Floats) -> float:
        gain, sigma2_w = np.exp(logarithms)
        mean_w = gain * unit_w / unit_w.mean() * scale
        noise_w = sigma2_w * scale
        z = 2 * np.sqrt(power_w * mean_w) / noise_w
        near = -((np.sqrt(power_w) - np.sqrt(mean_w)) ** 2) / noise_w
        return -float((near + np.log(special.i0e(z)) - np.log(noise_w)).sum())

    best = optimize.minimize(cost, np.log([0.5, 0.5]), method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-3})
    return -float(best.fun)
