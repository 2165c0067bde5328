"""From a start to the most likely position given powers: Fisher scoring with a gain and a noise power per sweep.

The position is one over the range and the angle: the likelihood is nearly normal in the former, however far away the user is.
Each sweep's gain and noise power are stepped along and taken off the information by Schur complements, so that what is left
is the information on the position beside them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.newton import Response, UnresolvableError
from bs_controller.estimation.power.rician import rician_terms

Floats = npt.NDArray[np.float64]

MOST_STEPS = 25
_HALVINGS = 4
# A step whose predicted gain of likelihood is below this is the last: a seventh of a standard deviation is left by it.
SMALL_GAIN = 0.01
# Noise power over the mean power below which samples are free of noise: float64 leaves 1e-16 and the responses 1e-9.
SMALLEST_NOISE_SHARE = 1e-14
# Noise power over the mean power that a search supposes at least. With less, what is left of a start's error would decide
# between starts: without noise, a quarter of the users were put on another maximum.
SEARCH_NOISE_SHARE = 1e-3
_LARGEST_LOG_STEP = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerObservation:
    """Powers of one sweep, ``(subcarrier,)``, and the model of exactly these subcarriers."""

    power_w: Floats
    response: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """What a sweep does not say beforehand: the power that the response's unit becomes, and the noise power."""

    gain: float
    sigma2_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerEstimate:
    """A position with a mask, how likely it is, and what the powers should be there."""

    curvature_per_m: float  # one over the range
    angle_rad: float
    mask: Floats  # (subarray,)
    log_likelihood: float
    slope: Floats  # (2,) by curvature and angle; not zero where a limit of the range holds the curvature
    information: Floats  # (2, 2) of curvature and angle, beside gains and noise powers
    expected_w: tuple[Floats, ...]  # noise-free, one (subcarrier,) per observation
    levels: tuple[Levels, ...]
    converged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one sweep contributes: slopes and information of curvature and angle beside its levels."""

    slope: Floats  # (2,)
    information: Floats  # (2, 2)
    level_step: Floats  # (2,) of the logarithms of amplitude gain and noise power, if the position stays
    level_by_position: Floats  # (2, 2) less of it for each unit of a position's step
    log_likelihood: float
    expected_w: Floats
    left_w: float  # noise power by the mean of what is left, one step of expectation-maximization
    gain: float  # of the levels' own slope, predicted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    position: Floats  # (2,) one over the range, and the angle
    levels: tuple[Levels, ...]
    parts: tuple[_Part, ...]

    @property
    def log_likelihood(self) -> float:
        return sum(part.log_likelihood for part in self.parts)

    @property
    def slope(self) -> Floats:
        total: Floats = np.sum([part.slope for part in self.parts], axis=0)
        return total

    @property
    def information(self) -> Floats:
        total: Floats = np.sum([part.information for part in self.parts], axis=0)
        return total


def initial_levels(power_w: Floats, unit_w: Floats, sigma2_w: float) -> Levels:
    """Return gain and noise power by least squares, weighted as the samples' variances at a supposed noise power are.

    Parameters
    ----------
    power_w
        ``(subcarrier,)`` as reported.
    unit_w
        ``(subcarrier,)`` powers of the response for a gain of one.
    sigma2_w
        The supposed noise power.
    """
    above = np.maximum(power_w - sigma2_w, 0.0)
    gain = float(above.sum() / unit_w.sum())
    for _ in range(3):
        variance = sigma2_w * (sigma2_w + 2 * gain * unit_w)
        fitted = float(((power_w - sigma2_w) * unit_w / variance).sum() / (unit_w**2 / variance).sum())
        gain = fitted if fitted > 0 else gain
    return Levels(gain=max(gain, np.finfo(float).tiny), sigma2_w=sigma2_w)


def started(
    observations: Sequence[PowerObservation], range_m: float, angle_rad: float, mask: Floats, sigma2_w: Sequence[float]
) -> PowerEstimate:
    """Return a start as an estimate: gains by least squares, noise powers ``(sweep,)`` as supposed.

    Raises
    ------
    UnresolvableError
        If the sweeps do not show the start, so that there is no information.
    """
    position, visible, levels = np.array([1 / range_m, angle_rad]), np.flatnonzero(mask).tolist(), []
    for one, noise_w in zip(observations, sigma2_w, strict=True):
        value = one.response.seen_value(range_m, angle_rad, visible)
        levels.append(initial_levels(one.power_w, value.real**2 + value.imag**2, noise_w))
    return _estimate(_evaluated(observations, position, mask, levels, sigma2_w), mask, converged=False)


def climbed(
    observations: Sequence[PowerObservation],
    start: PowerEstimate,
    *,
    range_limits_m: tuple[float, float],
    steps: int = MOST_STEPS,
    noise_share: float = SMALLEST_NOISE_SHARE,
) -> PowerEstimate:
    """Return the most likely position for the start's mask within limits of the range, or where so many steps lead.

    Parameters
    ----------
    observations
        The sweeps.
    start
        Within the basin of a maximum.
    range_limits_m
        The nearest and the farthest range to return; equal limits keep the range and find the rest.
    steps
        How many at most.
    noise_share
        The smallest noise power, relative to a sweep's mean power.

    Raises
    ------
    UnresolvableError
        If the information is singular.
    """
    limits = (1 / range_limits_m[1], 1 / range_limits_m[0])
    position = np.array([np.clip(start.curvature_per_m, *limits), start.angle_rad])
    smallest_w = [noise_share * float(one.power_w.mean()) for one in observations]

    def evaluate(at: Floats, levels: Sequence[Levels]) -> _Point:
        return _evaluated(observations, at, start.mask, levels, smallest_w)

    point = evaluate(position, start.levels)
    for _ in range(steps):
        step, gain = _step(point, limits)
        higher = _higher(point, step, limits, evaluate) if gain > SMALL_GAIN else None
        if higher is None:  # at the top, or as near as rounding lets
            return _estimate(point, start.mask, converged=True)
        point = higher
    return _estimate(point, start.mask, converged=False)


def _higher(
    point: _Point,
    step: Floats,
    limits: tuple[float, float],
    evaluate: Callable[[Floats, Sequence[Levels]], _Point],
) -> _Point | None:
    """Return a point along the step that is more likely, if there is one."""
    for _ in range(_HALVINGS):
        trial = evaluate(_moved(point.position, step, limits), _levels_after(point, step))
        if trial.log_likelihood > point.log_likelihood:
            return trial
        step = step / 4
    return None


def _estimate(point: _Point, mask: Floats, *, converged: bool) -> PowerEstimate:
    return PowerEstimate(
        curvature_per_m=float(point.position[0]),
        angle_rad=float(point.position[1]),
        mask=mask,
        log_likelihood=point.log_likelihood,
        slope=point.slope,
        information=point.information,
        expected_w=tuple(part.expected_w for part in point.parts),
        levels=point.levels,
        converged=converged,
    )


def _step(point: _Point, limits: tuple[float, float]) -> tuple[Floats, float]:
    """Return the step of curvature and angle that stays within limits, and the likelihood that it should gain."""
    slope, information = point.slope, point.information
    try:
        step: Floats = np.linalg.solve(information, slope).astype(np.float64)
    except np.linalg.LinAlgError as error:
        raise UnresolvableError("the Fisher information is singular") from error
    held = np.clip(point.position[0] + step[0], *limits) - point.position[0]
    if held != step[0]:
        step = np.array([held, (slope[1] - information[1, 0] * held) / information[1, 1]])
    gain = float(step @ slope - step @ information @ step / 2)
    return step, gain + sum(part.gain for part in point.parts)


def _moved(position: Floats, step: Floats, limits: tuple[float, float]) -> Floats:
    moved = position + step
    return np.array([np.clip(moved[0], *limits), np.clip(moved[1], -1.57, 1.57)])


def _levels_after(point: _Point, step: Floats) -> tuple[Levels, ...]:
    """Return each sweep's levels after a step of the position."""
    after = []
    for levels, part in zip(point.levels, point.parts, strict=True):
        moved = part.level_step - part.level_by_position @ step
        gain_step, noise_step = np.clip(moved, -_LARGEST_LOG_STEP, _LARGEST_LOG_STEP)
        # from far above, the noise power falls by a factor e a step at most; expectation-maximization goes there at once
        sigma2_w = levels.sigma2_w * np.exp(noise_step) if moved[1] > -_LARGEST_LOG_STEP else part.left_w
        after.append(Levels(gain=levels.gain * float(np.exp(2 * gain_step)), sigma2_w=float(sigma2_w)))
    return tuple(after)


def _evaluated(
    observations: Sequence[PowerObservation],
    position: Floats,
    mask: Floats,
    levels: Sequence[Levels],
    smallest_w: Sequence[float],
) -> _Point:
    """Return one evaluation, with noise powers of `smallest_w` at least, ``(sweep,)``."""
    visible = np.flatnonzero(mask).tolist()
    floored = tuple(
        level if level.sigma2_w >= least_w else Levels(gain=level.gain, sigma2_w=least_w)
        for level, least_w in zip(levels, smallest_w, strict=True)
    )
    parts = tuple(_part(one, position, visible, level) for one, level in zip(observations, floored, strict=True))
    return _Point(position=position, levels=floored, parts=parts)


def _part(observation: PowerObservation, position: Floats, visible: list[int], levels: Levels) -> _Part:
    range_m, part_w = 1 / float(position[0]), levels.sigma2_w / 2
    seen = observation.response.seen_with_derivatives(range_m, float(position[1]), visible).rows
    by_range, by_angle = (seen[1:] * np.conj(seen[0])).real
    unit_w = seen[0].real ** 2 + seen[0].imag ** 2
    rows = np.stack([-(range_m**2) * by_range, by_angle, unit_w])
    rows *= levels.gain / part_w  # half the change of the expected power, in halves of the noise power
    terms = rician_terms(observation.power_w, levels.gain * unit_w, levels.sigma2_w)
    information = np.empty((4, 4))
    information[:3, :3] = (rows * terms.information) @ rows.T
    information[3, :3] = information[:3, 3] = rows @ terms.shared
    information[3, 3] = terms.noise_information.sum()
    slope = np.append(rows @ terms.weight, terms.noise_slope.sum())
    # the little more keeps it regular where gain and noise of a flat pattern look the same
    own = information[2:, 2:] * (1 + 1e-9 * np.eye(2))
    solved: Floats = np.linalg.solve(own, np.column_stack([slope[2:], information[2:, :2]])).astype(np.float64)
    level_step, level_by = solved[:, 0], solved[:, 1:]
    return _Part(
        slope=slope[:2] - information[:2, 2:] @ level_step,
        information=information[:2, :2] - information[:2, 2:] @ level_by,
        level_step=level_step,
        level_by_position=level_by,
        log_likelihood=terms.log_likelihood,
        expected_w=levels.gain * unit_w,
        left_w=levels.sigma2_w * (1 + float(terms.noise_slope.mean())),
        gain=float(slope[2:] @ level_step) / 2,
    )
