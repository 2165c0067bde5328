"""Where to start if delays are unknown: blocks on the delay axis, arrival of a range sweep, a scan along the ridge.

On the delay axis a user is where range plus delay put it, so that energies alone speak for a mask and a path length. For
each such pair the elements are dechirped once, and carriers alone tell curvature and direction: the scan turns about the
centre of the visible sub-arrays, on a grid uniform in the curvature, with the path left as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d

from bs_controller.estimation.candidates import AngleSweep
from bs_controller.estimation.delay_axis import summed_twice, two_level_likelihood
from bs_controller.estimation.masks import all_masks, log_likelihood
from bs_controller.estimation.unsynchronised.delayed import Place, place_from_ridge
from bs_controller.estimation.unsynchronised.posterior import Prior, curvature_limits_per_m
from bs_controller.features import Dechirper, box_energy, delay_bins_hz, delay_energy, element_path_s
from protocol.testbed import Setting, TestbedFacts

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

PATH_STRIDE = 2  # delay bins
# At the ends of four sub-arrays half a step of curvature turns the carrier by 0.1 cycles against the middle.
CURVATURE_STEP_PER_M = 0.008
DIRECTION_REACH = 0.012  # as in `candidates`
DIRECTIONS_PER_BEAM = 4
RIVALS = 5
# By energies alone: at the region's edges blocks are not evenly bright. Shifts by whole sub-arrays are rivals in any case.
RIVAL_NATS = 150.0
ARRIVAL_BOX = 5  # delay bins
ARRIVALS = 2
ARRIVAL_SHARE = 0.25
LARGEST_COARSE_SHARE = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A mask and the paths, range plus delay seen from the array's centre, that energies speak for, ``(sweep,)``."""

    mask: Floats
    path_m: Floats
    log_likelihood: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A place and mask to start from, with one delay per angle sweep; `log_likelihood` compares starts approximately."""

    place: Place
    mask: Floats
    log_likelihood: float


class RidgeSearcher:
    """Finds starts for one testbed; owns a plan and tables, one thread at a time."""

    def __init__(self, facts: TestbedFacts, prior: Prior) -> None:
        grid, array = facts.downlink.grid, facts.downlink.array
        self._facts, self._prior = facts, prior
        self._masks = all_masks(array.subarrays)
        self._dechirper = Dechirper(facts)
        self._carrier_rad_m = np.pi * (grid.first_hz + grid.last_hz) / facts.speed_of_light_m_s
        steps = round(DIRECTION_REACH * array.elements * DIRECTIONS_PER_BEAM / 2)
        self._offsets = np.linspace(-DIRECTION_REACH, DIRECTION_REACH, 2 * steps + 1)
        ramps = np.exp(1j * self._carrier_rad_m * np.outer(array.element_x_m, self._offsets))
        self._ramps = ramps.reshape(array.subarrays, -1, self._offsets.size)
        self.subarray_x_m: Floats = array.element_x_m.reshape(array.subarrays, -1).mean(axis=1)
        self._bin_m = facts.speed_of_light_m_s / delay_bins_hz(facts)
        low, high = prior.range_min_m - prior.delay_span_m, prior.range_max_m + prior.delay_span_m
        self._path_m = np.arange(low - 0.5, high + 0.5, self._bin_m)  # half a metre: starts may lie a little outside

    def blocks(self, sweeps: Sequence[AngleSweep], *, together: bool) -> list[Block]:
        """Return the masks and paths that energies of angle sweeps speak for, best first.

        Parameters
        ----------
        sweeps
            One or several.
        together
            Whether one delay is common to all sweeps.
        """
        paths = self._path_m[::PATH_STRIDE]
        scores = np.stack([self._block_scores(sweep, paths) for sweep in sweeps])  # (sweep, mask, path)
        reach = 0 if together else int(2 * self._prior.delay_span_m / (PATH_STRIDE * self._bin_m))
        first, later = scores[0], scores[1:]
        within = maximum_filter1d(later, 2 * reach + 1, axis=-1, mode="constant", cval=-np.inf)
        total = first + within.sum(axis=0)
        found = []
        for k in self._rivals(total.max(axis=1)):
            at = int(total[k].argmax())
            low = max(at - reach, 0)
            near = [low + int(one[k, low : at + reach + 1].argmax()) for one in later]
            path_m = paths[np.array([at, *near])]
            found.append(Block(mask=self._masks[k], path_m=path_m, log_likelihood=float(total[k, at])))
        return found

    def blocks_at(self, sweep: AngleSweep, path_m: float, reach_m: float) -> list[Block]:
        """Return the masks that an angle sweep's energies speak for within reach of a path length, best first."""
        steps = int(reach_m / self._bin_m)
        offsets = np.arange(-steps, steps + 1, PATH_STRIDE if steps else 1, dtype=np.float64)
        paths: Floats = path_m + self._bin_m * offsets
        scores = self._block_scores(sweep, paths)
        best, heights = scores.argmax(axis=1), scores.max(axis=1)
        return [
            Block(mask=self._masks[k], path_m=paths[best[k : k + 1]], log_likelihood=float(heights[k]))
            for k in self._rivals(heights)
        ]

    def _rivals(self, heights: Floats) -> list[int]:
        """Return the best mask and its rivals, best first: what is nearly as likely, and the best shifted.

        A shift differs by the rounding of blocks to bins alone, which weighs the more the less noise there is.
        """
        order = np.argsort(-heights).tolist()
        best = order[0]
        shape = np.trim_zeros(self._masks[best])
        near = [
            k
            for k in order
            if heights[k] > heights[best] - RIVAL_NATS or np.array_equal(np.trim_zeros(self._masks[k]), shape)
        ]
        return near[:RIVALS]

    def arrivals_m(self, samples: ComplexArray, setting: Setting, angle_rad: float) -> list[float]:
        """Return the paths of the strongest peaks on a range sweep's delay axis, strongest first, right to about 0.1 m."""
        energy = box_energy(delay_energy(samples), ARRIVAL_BOX, circular=True)
        own_m = float(self._own_s(setting, float(np.sin(angle_rad))).mean()) * self._facts.speed_of_light_m_s
        inside = energy[np.rint((self._path_m + own_m) / self._bin_m).astype(np.intp) % energy.size]
        smallest, peaks = ARRIVAL_SHARE * inside.max(), list[float]()
        while len(peaks) < ARRIVALS and inside.max() > smallest:
            peak = int(inside.argmax())
            peaks.append(float(self._path_m[peak]))
            inside[max(peak - 2 * ARRIVAL_BOX, 0) : peak + 2 * ARRIVAL_BOX] = 0.0
        return peaks

    def starts(
        self, sweeps: Sequence[AngleSweep], block: Block, others_m: Sequence[float] = (), *, anywhere: bool = False
    ) -> list[Start]:
        """Return the best start and those on rival maxima along the ridge, best first; none if the prior excludes all.

        Parameters
        ----------
        sweeps
            The angle sweeps.
        block
            Mask and path of each of them.
        others_m
            Paths of further sweeps with a delay of their own, seen from the array's centre: they narrow the ridge.

        Returns
        -------
        starts
            With one delay per angle sweep.
        """
        centre_x_m = float(block.mask @ self.subarray_x_m / block.mask.sum())
        sine = float(np.mean([sweep.lit_sine for sweep in sweeps]))
        # seen from the visible centre a path is shorter by its place times the sine, to a millimetre
        paths_m = block.path_m - centre_x_m * sine
        all_m = np.concatenate([paths_m, np.array(others_m) - centre_x_m * sine])
        low, high = curvature_limits_per_m(all_m, np.arcsin(sine), centre_x_m, self._prior)
        if low > high and anywhere:
            low, high = 1 / self._prior.range_max_m, 1 / self._prior.range_min_m
        if low > high:
            return []
        count = int(np.ceil((high - low) / CURVATURE_STEP_PER_M)) + 1
        curvature = np.linspace(low, high, count)
        sines = np.mean([_local_sine(sweep, centre_x_m) for sweep in sweeps]) * np.ones(count)
        shares = np.stack(
            [
                self._shares(sweep, float(path_m), curvature, sines, centre_x_m)
                for sweep, path_m in zip(sweeps, paths_m, strict=True)
            ]
        )
        likelihood = log_likelihood(shares, self._facts.downlink.grid.count)  # (curvature, direction, mask)
        return self._maxima(likelihood, curvature, sines, paths_m, centre_x_m)

    def _maxima(
        self, likelihood: Floats, curvature: Floats, sines: Floats, paths_m: Floats, centre_x_m: float
    ) -> list[Start]:
        """Return starts at the maxima along the ridge, of the best direction and mask at each curvature, best first."""
        flat = likelihood.reshape(curvature.size, -1)
        best, heights = flat.argmax(axis=1), flat.max(axis=1)
        padded = np.concatenate([[-np.inf], heights, [-np.inf]])
        peaks = np.flatnonzero((heights >= padded[:-2]) & (heights >= padded[2:]))
        found = []
        for k in peaks[np.argsort(-heights[peaks])]:
            direction, mask = divmod(int(best[k]), len(self._masks))
            local = np.arcsin(np.clip(sines[k] + self._offsets[direction], -1, 1))
            ridge = np.concatenate([[curvature[k], local], paths_m])
            found.append(
                Start(
                    place=place_from_ridge(ridge, centre_x_m),
                    mask=self._masks[mask],
                    log_likelihood=float(heights[k]),
                )
            )
        return found

    def _shares(self, sweep: AngleSweep, path_m: float, curvature: Floats, sines: Floats, centre_x_m: float) -> Floats:
        """Return the share of a sweep's energy that each mask explains along the ridge, ``(curvature, direction, mask)``.

        The Gram matrix is taken for diagonal, and the elements' delays for those of the middle curvature.
        """
        x, middle = self._facts.downlink.array.element_x_m, curvature.size // 2
        elements = self._dechirped(sweep, path_m, float(curvature[middle]), float(sines[middle]), centre_x_m)
        along, across = np.sqrt(1 - sines**2) / curvature, sines / curvature + centre_x_m
        excess_m = np.hypot(along[:, np.newaxis], across[:, np.newaxis] - x) - 1 / curvature[:, np.newaxis]
        turned = elements * np.exp(-1j * self._carrier_rad_m * (excess_m - excess_m[middle]))
        blocks = turned.reshape(curvature.size, self._ramps.shape[0], -1).swapaxes(0, 1)
        correlation = np.moveaxis(blocks @ self._ramps, 0, -1)  # (curvature, direction, subarray)
        delay_s = sweep.setting.delay_s[0]
        spread = np.ptp(delay_s) * delay_bins_hz(self._facts) / (delay_s.size - 1)
        norm = self._masks.sum(axis=1) * (blocks.shape[2] * sweep.samples.size * max(1.0, 1.0 / spread))
        shares: Floats = np.abs(correlation @ self._masks.T) ** 2 / (norm * sweep.energy)
        return np.minimum(shares, LARGEST_COARSE_SHARE)

    def _dechirped(
        self, sweep: AngleSweep, path_m: float, curvature: float, sine: float, centre_x_m: float
    ) -> ComplexArray:
        """Return the elements at one point of the ridge, ``(element,)``."""
        place = place_from_ridge(np.array([curvature, np.arcsin(sine), path_m]), centre_x_m)
        grid = self._facts.downlink.grid
        offset_hz = grid.frequency_hz - (grid.first_hz + grid.last_hz) / 2
        late_rad = 2 * np.pi / self._facts.speed_of_light_m_s * float(place.delay_m[0]) * offset_hz
        on_time = sweep.samples * np.exp(-1j * late_rad)
        return self._dechirper.elements(on_time, sweep.setting, place.range_m, place.angle_rad)

    def _own_s(self, setting: Setting, sine: float) -> Floats:
        """Return the delay of each element's tone, less that of the range, ``(element,)``; nearly the same at all ranges."""
        middle_m = float(np.sqrt(self._prior.range_min_m * self._prior.range_max_m))
        path_s = element_path_s(self._facts, middle_m, float(np.arcsin(sine)))
        own_s: Floats = path_s - middle_m / self._facts.speed_of_light_m_s - setting.delay_s[0]
        return own_s

    def _block_scores(self, sweep: AngleSweep, paths_m: Floats) -> Floats:
        """Return the likelihood of each mask at each path length by energies on the delay axis alone, ``(mask, path)``."""
        energy = sweep.delay_energy
        own = self._own_s(sweep.setting, sweep.lit_sine).reshape(self._masks.shape[1], -1) * delay_bins_hz(self._facts)
        low, high = np.rint(own.min(axis=1)), np.rint(own.max(axis=1))  # half-open, so that none counts twice
        start = (low[:, np.newaxis] + np.rint(paths_m / self._bin_m)).astype(np.intp) % energy.size
        width = (high - low).astype(np.intp)
        summed = summed_twice(energy)
        inside = summed[start + width[:, np.newaxis]] - summed[start]
        return two_level_likelihood(self._masks @ inside, self._masks @ width, energy)


def _local_sine(sweep: AngleSweep, centre_x_m: float) -> float:
    """Return the sine at which elements centred beside the array's centre see the user that the sweep lit."""
    return float(np.clip(sweep.lit_sine - centre_x_m * (1 - sweep.lit_sine**2) * sweep.lit_curvature_per_m, -1, 1))
