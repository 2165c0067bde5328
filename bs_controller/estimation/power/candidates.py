"""Where to start with powers: scores of the angle sweep by profiles and of the range sweep by its blurred powers, summed."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.power.profiles import ProfileScores
from bs_controller.estimation.power.scoring import SEARCH_NOISE_SHARE
from protocol.testbed import Setting, TestbedFacts

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.complex64]

BINS = 64  # of a range sweep: its powers change over hundreds of subcarriers
GROUP = 8  # elements taken as one, at most: within 0.05 of the aim in sine they differ by 0.6 rad
_SPLIT = 8  # bins are BINS / _SPLIT long steps of _SPLIT short ones
# The noise power by differences of neighbours has this relative error, which fits of the powers may use up.
NOISE_ERROR = 0.05
# How far below the best the angle sweep alone may put what the range sweep is asked about: what the table's steps cost.
ANGLE_NATS = 100.0
ANGLE_SHARE = 0.2
# How far below the best a start may be: in 120 users at 0 dB the winner's was 7 nats below at most, 0.4 % of the best's height.
NATS = 25.0
SHARE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCandidate:
    """A position and mask to start from."""

    range_m: float
    angle_rad: float
    mask: Floats  # (subarray,)
    nats: float


def neighbours_noise_w(power_w: Floats) -> float:
    """Return the noise power by the second differences of powers that change slowly with the subcarrier.

    The variance of a power whose mean is ``P`` is ``sigma^2 (2 P - sigma^2)``.
    """
    variance = float(np.mean(np.diff(power_w, 2) ** 2)) / 6
    mean = float(power_w.mean())
    # sigma^4 - 2 P sigma^2 + variance = 0, without the cancellation of its usual solution
    return variance / (mean + float(np.sqrt(max(mean**2 - variance, 0.0))))


def candidates(
    facts: TestbedFacts,
    scores: ProfileScores,
    masks: Floats,
    *,
    most: int,
    swept: "RangeScorer | None" = None,
) -> list[PowerCandidate]:
    """Return local maxima over the curvature of each mask, best first.

    Parameters
    ----------
    facts
        The testbed.
    scores
        What the angle sweep says.
    masks
        ``(mask, subarray)`` of the scores.
    most
        How many at most.
    swept
        What a range sweep says, if there is one.
    """
    sine = np.clip(scores.sine, -0.999, 0.999)
    range_m = (1 - sine**2) / scores.curvature_per_m[:, np.newaxis]
    low_m, high_m = facts.region.range_min_m, facts.region.range_max_m
    spare = 1.1  # half a step of the curvature
    nats = np.where((range_m > low_m / spare) & (range_m < high_m * spare), scores.nats, -np.inf)
    if swept is not None:
        possible = nats > nats.max() - max(ANGLE_NATS, ANGLE_SHARE * float(nats.max()))
        rows, columns = np.nonzero(possible)
        nats = np.where(possible, nats, -np.inf)
        nats[rows, columns] += swept.nats(range_m[rows, columns], np.arcsin(sine[rows, columns]), masks[columns])
    padded = np.pad(nats, ((1, 1), (0, 0)), constant_values=-np.inf)
    peaks = np.isfinite(nats) & (nats >= padded[:-2]) & (nats >= padded[2:])
    rows, columns = np.nonzero(peaks)
    order = np.argsort(-nats[rows, columns])[:most]
    heights = nats[rows, columns][order]
    order = order[heights >= heights[0] - max(NATS, SHARE * float(scores.nats.max()))]
    return [
        PowerCandidate(
            range_m=float(np.clip(range_m[row, column], low_m, high_m)),
            angle_rad=float(np.arcsin(sine[row, column])),
            mask=masks[column],
            nats=float(nats[row, column]),
        )
        for row, column in zip(rows[order], columns[order], strict=True)
    ]


class RangeScorer:
    """Scores hypotheses by the powers of one range sweep, averaged over blocks of subcarriers."""

    def __init__(self, facts: TestbedFacts, setting: Setting, power_w: Floats) -> None:
        grid, array = facts.downlink.grid, facts.downlink.array
        group = math.gcd(array.elements // array.subarrays, GROUP)
        self._c_m_s, self._x_m = facts.speed_of_light_m_s, array.element_x_m.reshape(-1, group).mean(axis=1)
        self._groups_per_subarray = self._x_m.size // array.subarrays
        # phases of neighbours differ by less than half a turn, so that they can be unwrapped for the mean over a group
        cycles = setting.phase_cycles[0]
        steps = np.diff(cycles)
        unwrapped = np.concatenate([[0.0], np.cumsum(steps - np.rint(steps))]) + cycles[0]
        self._phase_cycles = unwrapped.reshape(-1, group).mean(axis=1)
        self._delay_s = setting.delay_s[0].reshape(-1, group).mean(axis=1)
        block = grid.count // BINS
        self._first_hz, self._step_hz = grid.first_hz, block * grid.spacing_hz
        self._first_offset_hz = (block - 1) / 2 * grid.spacing_hz
        self.sigma2_w = max(neighbours_noise_w(power_w), SEARCH_NOISE_SHARE * float(power_w.mean()))
        self._power = power_w[: block * BINS].reshape(BINS, block).mean(axis=1) / self.sigma2_w
        self._weight = block / np.maximum(2 * self._power - 1, 1.0)

    def nats(self, range_m: Floats, angle_rad: Floats, masks: Floats) -> Floats:
        """Return half the weighted squares that remain beside the best gain, negative, ``(hypothesis,)``.

        Parameters
        ----------
        range_m, angle_rad
            ``(hypothesis,)``.
        masks
            ``(hypothesis, subarray)``.
        """
        expected = self.expected(range_m, angle_rad, masks)
        expected /= expected.max(axis=1, keepdims=True)
        weight, above = self._weight, self._power - 1
        # normal equations of gain and of what the noise power is off by, whose own variance is NOISE_ERROR^2
        gg, gn = (expected**2) @ weight, expected @ weight
        nn = weight.sum() + 1 / NOISE_ERROR**2
        gy, ny = expected @ (weight * above), float(weight @ above)
        gain = np.maximum((gy * nn - gn * ny) / (gg * nn - gn**2 + 1e-12 * gg * nn), 0.0)
        offset = (ny - gn * gain) / nn
        left = above - gain[:, np.newaxis] * expected - offset[:, np.newaxis]
        result: Floats = -((left**2) @ weight + (offset / NOISE_ERROR) ** 2) / 2
        return result

    def expected(self, range_m: Floats, angle_rad: Floats, masks: Floats) -> Floats:
        """Return noise-free powers, ``(hypothesis, bin)``.

        Phases are linear in the bin, so that a tone over 64 bins is the product of one over eight long steps and one over
        eight short ones, and the sum over elements a small matrix product.
        """
        x, r, theta = self._x_m, range_m[:, np.newaxis], angle_rad[:, np.newaxis]
        # relative to the range: what is common turns no power
        tau_s = (np.hypot(r - x * np.sin(theta), x * np.cos(theta)) - r) / self._c_m_s
        step = self._step_hz * (tau_s - self._delay_s)
        first = self._first_hz * tau_s - self._phase_cycles + self._first_offset_hz * (tau_s - self._delay_s)
        steps = np.arange(_SPLIT)
        long = _turned(first[:, np.newaxis, :] + _SPLIT * steps[:, np.newaxis] * step[:, np.newaxis, :])
        long *= np.repeat(masks, self._groups_per_subarray, axis=1)[:, np.newaxis, :].astype(np.float32)
        short = _turned(step[:, :, np.newaxis] * steps)
        sums = (long @ short).reshape(range_m.size, -1)
        powers: Floats = (sums.real**2 + sums.imag**2).astype(np.float64)
        return powers


def _turned(cycles: Floats) -> Singles:
    """Return ``exp(2 pi j cycles)`` in single precision, good to 4e-7."""
    angle = (2 * np.pi * (cycles - np.rint(cycles))).astype(np.float32)
    turned = np.empty(angle.shape, dtype=np.complex64)
    turned.real, turned.imag = np.cos(angle), np.sin(angle)
    return turned
