"""Information matrices by finite differences: every unknown is one more parameter, the inverse is cut to range and angle.

Nothing of the product's numerics is imported here.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import integrate, stats

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
Model = Callable[[Floats], ComplexArray]


def slopes(model: Model, at: Floats, step: Floats) -> ComplexArray:
    """Slope of a model by each parameter over its step, by Richardson's fourth-order rule, ``(parameter, sample)``."""

    def central(parameter: int, share: float) -> ComplexArray:
        move = np.zeros_like(at)
        move[parameter] = share * step[parameter]
        difference: ComplexArray = (model(at + move) - model(at - move)) / (2 * move[parameter])
        return difference

    return np.stack([(4 * central(index, 0.5) - central(index, 1.0)) / 3 for index in range(at.size)])


def position_covariance(information: Floats) -> Floats:
    """Inverse of a whole information matrix, cut to its first two parameters, ``(2, 2)``."""
    scale = np.sqrt(np.diag(information))
    inverse = np.linalg.inv(information / np.outer(scale, scale)) / np.outer(scale, scale)
    covariance: Floats = inverse[:2, :2]
    return covariance


def gaussian_covariance(model: Model, at: Floats, step: Floats, sigma2_w: Floats) -> Floats:
    """Bound for samples in circular noise, whose variance is ``(sample,)``."""
    jacobian = slopes(model, at, step)
    return position_covariance(2 * np.real((jacobian / sigma2_w) @ jacobian.conj().T))


def rician_covariance(model: Model, at: Floats, step: Floats, sigma2_w: Floats) -> Floats:
    """Bound for magnitudes of samples in circular noise."""
    by_parameter = slopes(lambda parameters: np.abs(model(parameters)) + 0j, at, step).real
    amplitude = np.abs(model(at))
    carried = np.array([rician_information(a, s) for a, s in zip(amplitude, sigma2_w, strict=True)])
    return position_covariance((by_parameter * carried) @ by_parameter.T)


def rician_information(amplitude: float, sigma2_w: float) -> float:
    """Information of one magnitude on the noise-free amplitude: the mean square of the log-density's slope."""
    part, step = np.sqrt(sigma2_w / 2), 1e-4 * np.sqrt(sigma2_w / 2)
    x = np.linspace(max(1e-9, amplitude - 9 * part), amplitude + 9 * part, 4001)

    def log_density(a: float) -> Floats:
        density: Floats = stats.rice.logpdf(x, a / part, scale=part)
        return density

    score = (log_density(amplitude + step) - log_density(amplitude - step)) / (2 * step)
    return float(integrate.simpson(score**2 * np.exp(log_density(amplitude)), x=x))


def with_gain_and_delay(parts: Sequence[tuple[Model, Floats]], *, delays: str) -> tuple[Model, int]:
    """All sweeps in one row, behind a complex gain each and no, one shared or each its own delay, and how many unknowns.

    Parameters are range, angle, then two per gain (relative change), then delays in units of 1 ns.
    """
    count = len(parts)
    unknowns = 2 * count + {"none": 0, "shared": 1, "own": count}[delays]

    def model(parameters: Floats) -> ComplexArray:
        gains, late_ns = parameters[2 : 2 + 2 * count].reshape(count, 2), parameters[2 + 2 * count :]
        rows = []
        for index, (sweep, frequency_hz) in enumerate(parts):
            delay_s = 1e-9 * (late_ns[index if delays == "own" else 0] if late_ns.size else 0.0)
            turned = np.exp(2j * np.pi * frequency_hz * delay_s)
            rows.append((1 + gains[index, 0] + 1j * gains[index, 1]) * turned * sweep(parameters[:2]))
        return np.concatenate(rows)

    return model, unknowns
