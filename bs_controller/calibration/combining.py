"""What several users tell together of the elements: means weighted by inverse variances, and how well they agree. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bs_controller.calibration.elements import ElementErrors

Floats = npt.NDArray[np.float64]


def combined(each: Sequence[ElementErrors]) -> tuple[ElementErrors, list[float]]:
    """Return the elements as all users hear them, and each user's agreement with that.

    An element that one user hears is alive: another's sight of it may be blocked.

    Returns
    -------
    errors
        With the standard errors of the means.
    agreement
        For each user, the mean square of its differences in phase and delay over their variances: 1 where noise alone makes
        them, more where a survey is off or an echo is heard, 0 of a single user.
    """
    phases, delays = np.stack([one.phase_rad for one in each]), np.stack([one.delay_s for one in each])
    phase_weights, delay_weights = (
        np.stack([getattr(one, name) for one in each]) ** -2.0 for name in ("phase_error_rad", "delay_error_s")
    )
    gain_db, gain_error_db = _mean(
        np.stack([one.gain_db for one in each]), np.stack([one.gain_error_db for one in each]) ** -2.0
    )
    delay_s, delay_error_s = _mean(delays, delay_weights)
    turns = (phase_weights * np.exp(1j * phases)).sum(axis=0)
    with np.errstate(divide="ignore"):
        phase_error_rad = phase_weights.sum(axis=0) ** -0.5
    errors = ElementErrors(
        gain_db=gain_db,
        phase_rad=np.angle(turns),
        delay_s=delay_s,
        gain_error_db=gain_error_db,
        phase_error_rad=phase_error_rad,
        delay_error_s=delay_error_s,
        alive=np.any([one.alive for one in each], axis=0),
    )
    if len(each) == 1:
        return errors, [0.0]
    apart = np.angle(np.exp(1j * (phases - errors.phase_rad))) ** 2 * phase_weights
    apart = (apart + (delays - delay_s) ** 2 * delay_weights) / 2
    lost = 1 - 1 / len(each)  # the share of a variance that is left beside the mean of equals
    return errors, [float(np.mean(row[one.alive]) / lost) for row, one in zip(apart, each, strict=True)]


def _mean(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return means over users, ``(element,)``, and their standard errors; zero and infinite where nobody hears anything."""
    total = weights.sum(axis=0)
    heard = total > 0
    mean = np.where(heard, (weights * values).sum(axis=0) / np.where(heard, total, 1.0), 0.0)
    return mean, np.where(heard, np.where(heard, total, 1.0) ** -0.5, np.inf)
