"""Where to start: positions and masks that the delay axis and the dechirped elements of angle sweeps speak for.

The delay axis of an angle sweep shows the visible sub-arrays as a block of energy whose place is the range. One sweep alone
cannot tell a range from a shift by whole sub-arrays; two sweeps in opposite directions can, because their blocks mirror
each other, and so can one with a range sweep, whose delay axis shows one sharp peak.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bs_controller.beams import focus_of_subcarrier, setting_from_focus
from bs_controller.estimation.delay_axis import held_energy, likeliest_ranges, summed_twice
from bs_controller.estimation.directions import direction_shares, likeliest_apart, likeliest_direction
from bs_controller.estimation.masks import all_masks
from bs_controller.features import (
    Dechirper,
    box_energy,
    delay_bins_hz,
    delay_energy,
    lit_subcarrier,
    path_delays_s,
    squared,
)
from bs_controller.sweeps import Trajectory
from protocol.testbed import Setting, TestbedFacts

Floats = npt.NDArray[np.float64]
Bins = npt.NDArray[np.intp]
ComplexArray = npt.NDArray[np.complex128]

LIT_BOX = 192  # subcarriers; wider than the lit band of any user
SINES = 257  # a step turns no element's delay by more than a thirtieth of a bin
RANGE_STRIDE = 2  # delay bins
RIVALS = 4  # masks that are compared by direction: shifts by whole sub-arrays make as many of one of four
RIVAL_NATS = (
    25.0  # by energies alone; rivals that differ by a shift differ by rounding to bins and by noise at the ends
)
# Energy explained neither by the best start nor by noise from which on a user is taken to have echoes. Starts lose 5 % to
# the steps of the search; two echoes at -10 dB are 17 %.
SHARE_OF_ECHOES = 0.1
SHARE_OF_START = 0.93  # of what is not noise, that a right start explains at least: see above
ECHO_STEP_M = 1.0
ECHO_BOX = 32  # subcarriers
ECHOES = 3
ARRIVAL_BOX = 5  # delay bins; about the spread of the elements' delays in a range sweep
ARRIVALS = 2
ARRIVAL_SHARE = 0.25  # of the strongest, below which a peak on the delay axis is no rival
# A sub-array too many or too few costs a line-of-sight user a quarter of four sub-arrays' share or more; taking the Gram
# matrix for diagonal, and the steps of range and direction, cost a few per cent.
CLEAR_SHARE = 0.9
# How far the centre of the lit band was from the user's own sine in 400 users at 0 dB: 0.009 at most.
DIRECTION_REACH = 0.012
DIRECTIONS_PER_BEAM = 4  # a beam of N elements is 2 / N wide in sine
BEYOND_REGION_M = 0.5  # ranges looked at outside the region, so that a user at its edge is not on the edge of a search


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonSweep:
    """What a sweep over the angle is for all users: its foci, and where its delay lines put each sub-array."""

    focus_sine: Floats  # (subcarrier,)
    focus_curvature_per_m: Floats  # (subcarrier,)
    first_bin: Floats  # (sine, subarray) on the delay axis, of a user at range zero, over a grid of sines from -1 to 1
    width_bins: Floats  # (sine, subarray)
    tone_energy: float  # of neighbouring elements together, over that of each by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class AngleSweep:
    """Samples of a sweep over the angle, what was sent, and what they say at once; see `Searcher.angle_sweep`."""

    samples: ComplexArray  # (subcarrier,)
    setting: Setting
    common: "CommonSweep"
    energy: float  # of all samples
    delay_energy: Floats  # (delay,)
    summed_energy: Floats  # (2 delay + 1,) of all delays before each, twice around
    lit: float  # the subcarrier in the middle of those that light the user
    lit_sine: float  # where the focus was when the user was lit
    lit_curvature_per_m: float  # one over the range of that focus


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A position and mask to start from; `log_likelihood` compares candidates of the same samples, approximately."""

    range_m: float
    angle_rad: float
    mask: Floats  # (subarray,)
    mask_is_clear: bool  # no other mask explains nearly as much
    share: float  # of the energy that it explains, the mean over sweeps
    log_likelihood: float
    turned_rad: tuple[float, ...] = ()  # how far from that angle a user who moves was in each sweep

    def in_sweep(self, number: int) -> "Candidate":
        """Return where a user who moves was in one of the sweeps."""
        return replace(self, angle_rad=self.angle_rad + self.turned_rad[number], turned_rad=())


class Searcher:
    """Finds candidates for one testbed; owns a plan and tables, one thread at a time.

    ``nearest_m`` is the smallest range of the region. Ranges up to ``beyond_m`` outside it are looked at.
    """

    def __init__(self, facts: TestbedFacts, beyond_m: float = BEYOND_REGION_M) -> None:
        grid, array, region = facts.downlink.grid, facts.downlink.array, facts.region
        self._facts = facts
        self._x_m, self._samples = np.array(array.element_x_m), grid.count
        self._masks = all_masks(array.subarrays).copy()  # writable, as compiled code expects
        self._dechirper = Dechirper(facts)
        steps = round(DIRECTION_REACH * array.elements * DIRECTIONS_PER_BEAM / 2)
        self._offsets = np.linspace(-DIRECTION_REACH, DIRECTION_REACH, 2 * steps + 1)
        # a path to an element shortens by x sin(theta): the ramps undo what a sine more does to the carrier
        carrier_cycles_m = (grid.first_hz + grid.last_hz) / 2 / facts.speed_of_light_m_s
        ramps = np.exp(2j * np.pi * carrier_cycles_m * np.outer(array.element_x_m, self._offsets))
        self._ramps = np.stack([ramps.real, ramps.imag]).reshape(2, array.subarrays, -1, self._offsets.size)
        self._centre_x_m = array.element_x_m.reshape(array.subarrays, -1).mean(axis=1)
        self._bin_m = facts.speed_of_light_m_s / delay_bins_hz(facts)
        low, high = region.range_min_m - beyond_m, region.range_max_m + beyond_m
        self._range_m = np.arange(max(low, self._bin_m), high, self._bin_m)
        self._range_bin = np.rint(self._range_m / self._bin_m).astype(np.intp)
        self._coarse_range_bin = self._range_bin[::RANGE_STRIDE].copy()
        self._common: dict[Trajectory, CommonSweep] = {}
        self.nearest_m = region.range_min_m

    def angle_sweep(self, samples: ComplexArray, trajectory: Trajectory, setting: Setting) -> AngleSweep:
        """Return samples of a sweep over the angle with what they say at once."""
        if trajectory not in self._common:
            self._common[trajectory] = self._common_sweep(trajectory)
        common, lit = self._common[trajectory], lit_subcarrier(samples, LIT_BOX)
        below, share = min(int(lit), samples.size - 2), lit - min(int(lit), samples.size - 2)
        sine, curvature_per_m = (
            float((1 - share) * axis[below] + share * axis[below + 1])
            for axis in (common.focus_sine, common.focus_curvature_per_m)
        )
        energy = delay_energy(samples)
        return AngleSweep(
            samples=samples,
            setting=setting,
            common=common,
            energy=float(np.vdot(samples, samples).real),
            delay_energy=energy,
            summed_energy=summed_twice(energy),
            lit=lit,
            lit_sine=sine,
            lit_curvature_per_m=curvature_per_m,
        )

    def _common_sweep(self, trajectory: Trajectory) -> CommonSweep:
        """Return the table of a sweep as it is meant: what is applied differs by less than a bin, and from time to time."""
        setting = setting_from_focus(trajectory, self._facts)
        range_m, angle_rad = focus_of_subcarrier(trajectory, self._facts)
        bins_hz, subarrays = delay_bins_hz(self._facts), self._facts.downlink.array.subarrays
        own_s = np.stack([self._own_s(setting, float(sine)) for sine in np.linspace(-1, 1, SINES)])
        own_bins = own_s.reshape(SINES, subarrays, -1) * bins_hz
        first, last = (
            np.rint(own_bins.min(axis=2)),
            np.rint(own_bins.max(axis=2)),
        )  # half-open, so that none counts twice
        # delay bins from one element to the next: where they share bins, their tones add up
        spread = float(np.ptp(setting.delay_s[0])) * bins_hz / (setting.delay_s.size - 1)
        return CommonSweep(
            focus_sine=np.sin(angle_rad),
            focus_curvature_per_m=1 / range_m,
            first_bin=first,
            width_bins=last - first,
            tone_energy=max(1.0, 1.0 / spread) if spread > 0 else float(setting.delay_s.size),
        )

    def from_angle_sweeps(self, sweeps: Sequence[AngleSweep], *, moving: bool = False) -> list[Candidate]:
        """Return candidates that angle sweeps speak for, best first; one that leaves nothing but noise ends the search.

        Where one sweep alone is ambiguous, the likeliest need not be the right one. A user who is `moving` may be in another
        direction, and some decimetres farther or nearer, in each sweep.
        """
        heights, best = self._best_ranges(sweeps, self._coarse_range_bin)
        order, clean, found = np.argsort(-heights)[:RIVALS].tolist(), 1 - _noise_share(sweeps), list[Candidate]()
        for k in order:
            if heights[k] <= heights[order[0]] - RIVAL_NATS:
                break
            range_m = float(self._range_m[RANGE_STRIDE * best[k]])
            found.append(self._towards(sweeps, range_m, self._masks[k], moving=moving))
            if found[-1].mask_is_clear and found[-1].share > SHARE_OF_START * clean:
                return found[-1:]
        if max(candidate.share for candidate in found) < clean - SHARE_OF_ECHOES:
            found += self._among_echoes(sweeps, moving=moving)
        return sorted(found, key=lambda candidate: -candidate.log_likelihood)

    def _among_echoes(self, sweeps: Sequence[AngleSweep], *, moving: bool) -> list[Candidate]:
        """Return candidates of a search over all ranges towards each bright band, which several paths cannot hide.

        The likelihood falls to no less than half within a metre of its maximum, so steps of a metre cannot miss it. With
        two echoes at -6 dB each this left 1 % of users more than 10 cm off (n = 600), where the delay axis alone left 12 %.
        """
        region, everywhere = self._facts.region, self._masks[-1]
        coarse_m = np.arange(region.range_min_m, region.range_max_m + ECHO_STEP_M, ECHO_STEP_M).tolist()
        shifts_m = ECHO_STEP_M * np.array([-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75])
        found = []
        for sine in _brightest_sines(sweeps[0]):
            turned = [replace(sweep, lit_sine=sine) for sweep in sweeps]
            coarse = [self._towards(turned, range_m, everywhere, moving=moving) for range_m in coarse_m]
            best = max(coarse, key=lambda candidate: candidate.log_likelihood)
            fine_m = np.maximum(best.range_m + shifts_m, self._bin_m).tolist()
            found += [self._towards(turned, range_m, everywhere, moving=moving) for range_m in fine_m]
        return found

    def towards_bright_bands(self, sweeps: Sequence[AngleSweep], range_m: Floats) -> list[Candidate]:
        """Return the best direction and mask towards each bright band of the first sweep at each of some ranges."""
        turned = [[replace(sweep, lit_sine=sine) for sweep in sweeps] for sine in _brightest_sines(sweeps[0])]
        return [self._towards(band, place_m, self._masks[-1]) for band in turned for place_m in range_m.tolist()]

    def curvature_share(self, sweeps: Sequence[AngleSweep], range_m: float, angle_rad: float, radius_m: float) -> float:
        """Return the share of the energy that waves explain which come a range's delay late, but curved by a radius.

        The waves of a line of sight have the range for their radius. Directions around an angle and all masks are tried.
        """
        extra_s = (range_m - radius_m) / self._facts.speed_of_light_m_s
        early = np.exp(-2j * np.pi * self._facts.downlink.grid.frequency_hz * extra_s)
        moved = [replace(sweep, samples=sweep.samples * early) for sweep in sweeps]
        shares = [self._direction_shares(sweep, radius_m, float(np.sin(angle_rad))) for sweep in moved]
        return float(np.mean(shares, axis=0).max())

    def at_range(self, sweep: AngleSweep, range_m: float, aim_rad: float) -> Candidate:
        """Return the best direction and mask at a known range, around where the user was lit and around an aim."""
        heights, _ = self._best_ranges([sweep], np.array([round(range_m / self._bin_m)]))
        mask = self._masks[int(heights.argmax())]
        lit_sine, aim_sine = _unshifted_sine(sweep, range_m, self._centre_m(mask)), math.sin(aim_rad)
        if abs(lit_sine - aim_sine) < DIRECTION_REACH / 2:
            return self._around([sweep], range_m, (lit_sine + aim_sine) / 2)
        both = self._around([sweep], range_m, lit_sine), self._around([sweep], range_m, aim_sine)
        return max(both, key=lambda candidate: candidate.log_likelihood)

    def arrivals_m(self, samples: ComplexArray, setting: Setting, angle_rad: float) -> list[float]:
        """Return the ranges of the strongest peaks on a range sweep's delay axis, strongest first.

        They are right to about 0.1 m: which elements are visible moves the peak within the spread of their delays.
        """
        energy = box_energy(delay_energy(samples), ARRIVAL_BOX, True)
        own_m = float(self._own_s(setting, math.sin(angle_rad)).mean()) * self._facts.speed_of_light_m_s
        inside = np.take(energy, self._range_bin + round(own_m / self._bin_m), mode="wrap")
        smallest, peaks = ARRIVAL_SHARE * float(inside.max()), list[float]()
        while len(peaks) < ARRIVALS and inside[peak := int(inside.argmax())] > smallest:
            peaks.append(float(self._range_m[peak]))
            inside[max(peak - 2 * ARRIVAL_BOX, 0) : peak + 2 * ARRIVAL_BOX] = 0.0
        return peaks

    def _centre_m(self, mask: Floats) -> float:
        return float(mask @ self._centre_x_m) / float(mask.sum())

    def _towards(
        self, sweeps: Sequence[AngleSweep], range_m: float, mask: Floats, *, moving: bool = False
    ) -> Candidate:
        """Return the best direction and mask at a range, looking where this mask makes the lit band come from."""
        centre_m = self._centre_m(mask)
        sines = [_unshifted_sine(sweep, range_m, centre_m) for sweep in sweeps]
        if moving:
            return self._around_each(sweeps, range_m, sines)
        return self._around(sweeps, range_m, sum(sines) / len(sines))

    def _around(self, sweeps: Sequence[AngleSweep], range_m: float, sine: float) -> Candidate:
        """Return the best direction and mask at a range, around a direction."""
        shares = _stacked([self._direction_shares(sweep, range_m, sine) for sweep in sweeps])
        direction, best, likelihood, aside, share, next_share = likeliest_direction(shares, self._samples)
        return Candidate(
            range_m=range_m,
            angle_rad=self._angle_rad(sine, direction, aside),
            mask=self._masks[best],
            mask_is_clear=next_share < CLEAR_SHARE * share,
            share=share,
            log_likelihood=likelihood,
        )

    def _around_each(self, sweeps: Sequence[AngleSweep], range_m: float, sines: Sequence[float]) -> Candidate:
        """Return the best direction of each sweep and the best mask of all at a range, around a direction each."""
        shares = [self._direction_shares(sweep, range_m, sine) for sweep, sine in zip(sweeps, sines, strict=True)]
        best, likelihood, share, next_share = likeliest_apart(np.stack(shares), self._samples)
        angles_rad = []
        for sine, of_sweep in zip(sines, shares, strict=True):
            of_best = np.ascontiguousarray(of_sweep[np.newaxis, :, best : best + 1])
            direction, _, _, aside, _, _ = likeliest_direction(of_best, self._samples)
            angles_rad.append(self._angle_rad(sine, direction, aside))
        angle_rad = sum(angles_rad) / len(angles_rad)
        return Candidate(
            range_m=range_m,
            angle_rad=angle_rad,
            mask=self._masks[best],
            mask_is_clear=next_share < CLEAR_SHARE * share,
            share=share,
            log_likelihood=likelihood,
            turned_rad=tuple(one - angle_rad for one in angles_rad),
        )

    def _angle_rad(self, sine: float, direction: int, aside: float) -> float:
        """Return the angle of one of the directions around a sine, or of a place between two."""
        offset = self._offsets[direction] + aside * (self._offsets[1] - self._offsets[0])
        return math.asin(min(max(sine + float(offset), -1.0), 1.0))

    def _direction_shares(self, sweep: AngleSweep, range_m: float, sine: float) -> Floats:
        """Return the share of the energy that each mask explains in directions around one, ``(direction, mask)``.

        The Gram matrix is taken for diagonal here: neighbouring sub-arrays touch in a few delay bins only.
        """
        elements = self._dechirper.elements(sweep.samples, sweep.setting, range_m, math.asin(sine))
        each = sweep.samples.size * sweep.common.tone_energy * sweep.energy
        return direction_shares(elements, self._ramps, self._masks, each)

    def _own_s(self, setting: Setting, sine: float) -> Floats:
        """Return the delay of each element's tone, less that of the range, ``(element,)``; nearly the same at all ranges."""
        region = self._facts.region
        middle_m = math.sqrt(region.range_min_m * region.range_max_m)
        path_s = path_delays_s(self._x_m, middle_m, math.asin(sine), self._facts.speed_of_light_m_s)
        own_s: Floats = path_s - middle_m / self._facts.speed_of_light_m_s - setting.delay_s[0]
        return own_s

    def _best_ranges(self, sweeps: Sequence[AngleSweep], range_bin: Bins) -> tuple[Floats, Bins]:
        """Return each mask's likelihood at its best range from the delay axis alone, and which range, ``(mask,)``."""
        sine = sum(sweep.lit_sine for sweep in sweeps) / len(sweeps)
        held = [self._held(sweep, sine, range_bin) for sweep in sweeps]
        energy, bins = (_stacked(list(part)) for part in zip(*held, strict=True))
        total = np.array([sweep.summed_energy[sweep.delay_energy.size] for sweep in sweeps])
        return likeliest_ranges(energy, bins, total, sweeps[0].delay_energy.size)

    def _held(self, sweep: AngleSweep, sine: float, range_bin: Bins) -> tuple[Floats, Floats]:
        """Return the energy in each mask's bins at each range, ``(mask, range)``, and how many bins, ``(mask,)``."""
        row = round((min(max(sine, -1.0), 1.0) + 1) / 2 * (SINES - 1))
        first, width = sweep.common.first_bin[row], sweep.common.width_bins[row]
        return held_energy(self._masks, sweep.summed_energy, first, width, range_bin), self._masks @ width


def _stacked(parts: list[Floats]) -> Floats:
    """Return arrays along a new first axis; a view if it is one."""
    return parts[0][np.newaxis] if len(parts) == 1 else np.stack(parts)


def _unshifted_sine(sweep: AngleSweep, range_m: float, centre_m: float) -> float:
    """Return the user's sine: that of the lit band less the parallax of elements centred beside the array's centre."""
    parallax = centre_m * (1 - sweep.lit_sine**2) * (sweep.lit_curvature_per_m - 1 / range_m)
    return min(max(sweep.lit_sine - parallax, -1.0), 1.0)


def _brightest_sines(sweep: AngleSweep) -> list[float]:
    """Return the sines of the brightest narrow bands of subcarriers, which are those of several paths."""
    left = box_energy(squared(sweep.samples, 1.0), ECHO_BOX, False)
    sines = []
    for _ in range(ECHOES):
        peak = int(left.argmax())
        sines.append(float(sweep.common.focus_sine[peak]))
        left[max(peak - ECHO_BOX // 2, 0) : peak + ECHO_BOX // 2] = 0.0
    return sines


def _noise_share(sweeps: Sequence[AngleSweep]) -> float:
    """Return the share of noise in the energy, by the darker quarter of the delay axis, which echoes leave alone."""
    share = 0.0
    for sweep in sweeps:
        quarter = sweep.delay_energy.size // 4
        share += float(np.partition(sweep.delay_energy, quarter)[quarter]) * sweep.delay_energy.size / sweep.energy
    return min(1.0, share / len(sweeps) / math.log(4 / 3))  # a quarter of exponential energies is below ln(4/3)
