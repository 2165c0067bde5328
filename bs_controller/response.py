"""The controller's own near-field forward model: what a one-group sweep brings from each sub-array to a point.

``u_m = f_0 / (f_m sqrt(N)) sum_n exp(j 2 pi f_m r_n / c) w[n, m]`` [CBS, eqs. (1), (7)] with exact distances and its exact
derivatives, for a path of unit gain at the grid's first frequency: the line of sight has the gain
``c / (4 pi f_0 r)``, which estimators project out with the unknown phase. Nothing is shared with the emulator.

Phases are linear in the subcarrier's index, so each sub-array is a type-1 nonuniform FFT of its own elements; ``f_m``
leaves the sum of a derivative, ``du_m/dr = j 2 pi f_m sum_n (d tau_n/dr) ...``, which makes it one more transform of the
same points. A window of the subcarriers costs less than all, and so do sums over blocks of neighbours, which lose nothing
where elements are heard with nearly one delay. A response owns its plans and buffers, shares them with those that were
steered from it, and must not be used by two threads at once.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.nufft import ToneSums
from protocol.testbed import Setting, TestbedFacts

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
Indices = npt.NDArray[np.intp]

# Measured at most 4e-9 of what the tones bring unaligned.
NUFFT_TOLERANCE = 1e-9
KINDS = 3  # value, derivative by range, derivative by angle


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which subcarriers: `count` blocks of `block` neighbours from the first on.

    A sample is a block's sum over ``sqrt(block)``, so that noise keeps its variance.
    """

    first: int
    count: int
    block: int = 1

    def of(self, samples: ComplexArray) -> ComplexArray:
        """Return the window of samples ``(subcarrier,)``: ``(count,)``."""
        chosen = samples[self.first : self.first + self.count * self.block]
        if self.block == 1:
            return chosen
        sums: ComplexArray = chosen.reshape(self.count, self.block).sum(axis=1) / np.sqrt(self.block)
        return sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivatives:
    """A response at a point and its derivatives by range, per m, and by angle, per rad, all of one shape."""

    rows: ComplexArray  # (..., kind, subcarrier)

    @property
    def value(self) -> ComplexArray:
        """Return the response, ``(..., subcarrier)``."""
        return self.rows[..., 0, :]

    @property
    def by_range_m(self) -> ComplexArray:
        """Return its derivative by range, ``(..., subcarrier)``."""
        return self.rows[..., 1, :]

    @property
    def by_angle_rad(self) -> ComplexArray:
        """Return its derivative by angle, ``(..., subcarrier)``."""
        return self.rows[..., 2, :]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paths:
    """Delays from a point to elements and their derivatives by range and angle, each ``(element,)``."""

    delay_s: Floats
    by_range_s_m: Floats
    by_angle_s_rad: Floats


class DownlinkResponse:
    """One setting's noise-free sweep as a function of the user's position, each sub-array by itself."""

    def __init__(
        self,
        facts: TestbedFacts,
        setting: Setting,
        *,
        window: Window | None = None,
        falls_with_frequency: bool = True,
        tolerance: float = NUFFT_TOLERANCE,
    ) -> None:
        """Prepare the plans for one setting.

        Parameters
        ----------
        facts
            The testbed.
        setting
            What the front end applies; one group.
        window
            Which subcarriers to compute, by default all.
        falls_with_frequency
            Whether the gain is that of free space, proportional to ``1 / f_m``, or flat over the band.
        tolerance
            Of the transforms, relative to what the tones bring unaligned.

        Raises
        ------
        ValueError
            If the setting has several groups or is for another array, or the window reaches beyond the subcarriers.
        """
        grid, array = facts.downlink.grid, facts.downlink.array
        self._c_m_s = facts.speed_of_light_m_s
        self._gain_at_1_m = facts.speed_of_light_m_s / (4 * np.pi * grid.first_hz)
        self._element_x_m = array.element_x_m
        self._subarrays = array.subarrays
        self._per_subarray = array.elements // array.subarrays
        self._first_hz, self._spacing_hz, self._subcarriers = grid.first_hz, grid.spacing_hz, grid.count
        self._tolerance = tolerance
        self._falls_with_frequency = falls_with_frequency
        self._window = window or Window(first=0, count=grid.count)
        self._plans: dict[int, ToneSums] = {}
        self._paths: dict[tuple[float, float, tuple[int, ...]], _Paths] = {}
        self._point_at(self._window.first)
        self._steer(setting)

    def steered(self, setting: Setting, first: int | None = None) -> "DownlinkResponse":
        """Return the response to another setting of one group, seen in a window from another subcarrier on.

        Both share plans and must stay in one thread.
        """
        other = copy.copy(self)
        if first is not None and first != self._window.first:
            other._point_at(first)
        other._steer(setting)
        return other

    @property
    def window(self) -> Window:
        """Return which subcarriers it is computed for."""
        return self._window

    def gain(self, range_m: float) -> float:
        """Return the free-space gain ``c / (4 pi f_0 r)`` that the response leaves out [CBS, eq. (1)]."""
        return self._gain_at_1_m / range_m

    def value(self, range_m: float, angle_rad: float) -> ComplexArray:
        """Return the sweep at a point, ``(subarray, subcarrier)``; a user sees the sum over its visible sub-arrays."""
        rows = [self.seen_value(range_m, angle_rad, (subarray,)) for subarray in range(self._subarrays)]
        return np.stack(rows)

    def values(self, range_m: Floats, angle_rad: Floats) -> ComplexArray:
        """Return the sweep at several points ``(point,)``, one after the other, ``(point, subarray, subcarrier)``."""
        points = zip(range_m, angle_rad, strict=True)
        return np.stack([self.value(float(r_m), float(theta_rad)) for r_m, theta_rad in points])

    def with_derivatives(self, range_m: float, angle_rad: float) -> Derivatives:
        """Return the sweep at a point with its derivatives, ``(subarray, subcarrier)``, exact as the distances are."""
        each = [self.seen_with_derivatives(range_m, angle_rad, (subarray,)).rows for subarray in range(self._subarrays)]
        return Derivatives(rows=np.stack(each))

    def seen_value(self, range_m: float, angle_rad: float, visible: Sequence[int]) -> ComplexArray:
        """Return what a user sees of these sub-arrays together, ``(subcarrier,)``."""
        elements, paths = self._elements_and_paths(range_m, angle_rad, visible)
        tones, step_rad = self._tones_and_steps(paths, elements)
        value: ComplexArray = self._plan(1)(step_rad, tones[np.newaxis])[0] * self._scale
        return value

    def seen_with_derivatives(self, range_m: float, angle_rad: float, visible: Sequence[int]) -> Derivatives:
        """Return what a user sees of these sub-arrays together, ``(subcarrier,)``; faster than adding them up."""
        elements, paths = self._elements_and_paths(range_m, angle_rad, visible)
        tones, step_rad = self._tones_and_steps(paths, elements)
        strength = np.empty((KINDS, tones.size), dtype=np.complex128)
        strength[0] = tones
        np.multiply(tones, paths.by_range_s_m, out=strength[1])
        np.multiply(tones, paths.by_angle_s_rad, out=strength[2])
        rows = self._plan(KINDS)(step_rad, strength) * self._scale
        rows[1:] *= self._turn_hz
        return Derivatives(rows=rows)

    def _point_at(self, first: int) -> None:
        """Let the window begin at a subcarrier."""
        window = Window(first=first, count=self._window.count, block=self._window.block)
        if not 0 <= first <= self._subcarriers - window.count * window.block or window.count < 1:
            raise ValueError(f"a window within {self._subcarriers} subcarriers expected, got {window}")
        self._window = window
        # of blocks the middle counts
        offset = first + (window.block - 1) / 2 + window.block * np.arange(window.count)
        self.frequency_hz: Floats = self._first_hz + self._spacing_hz * offset.astype(np.float64)
        # finufft's bins run from -(size // 2): the tones start at the frequency of the bin called zero
        self._middle_offset_hz = self._spacing_hz * float(offset[window.count // 2])
        self._middle_hz = self._first_hz + self._middle_offset_hz
        shape = self._first_hz / self.frequency_hz if self._falls_with_frequency else np.ones(window.count)
        self._scale = np.asarray(shape / np.sqrt(self._element_x_m.size), dtype=np.float64)
        self._turn_hz = 2j * np.pi * self.frequency_hz

    def _steer(self, setting: Setting) -> None:
        """Take a setting; of its phases and delays only these are needed."""
        expected = (1, self._element_x_m.size)
        if setting.phase_cycles.shape != expected:
            raise ValueError(
                f"a setting of one group and {expected[1]} elements expected, got {setting.phase_cycles.shape}"
            )
        self._delay_s: Floats = setting.delay_s[0]
        self._cycles: Floats = setting.phase_cycles[0] + self._middle_offset_hz * setting.delay_s[0]

    def _elements_and_paths(
        self, range_m: float, angle_rad: float, visible: Sequence[int]
    ) -> tuple[slice | Indices, _Paths]:
        """Return which elements are visible, and their paths, which are kept: the next sweep is asked for the same point."""
        point = (range_m, angle_rad, tuple(visible))
        elements = self._elements(point[2])
        if point not in self._paths:
            self._paths.clear()
            self._paths[point] = self._paths_to(range_m, angle_rad, self._element_x_m[elements])
        return elements, self._paths[point]

    def _elements(self, visible: tuple[int, ...]) -> slice | Indices:
        """Return the elements of these sub-arrays: a slice where they follow each other, which need not be copied."""
        if not visible:
            return slice(0, 0)
        first, last = min(visible), max(visible) + 1
        if len(visible) == last - first:
            return slice(first * self._per_subarray, last * self._per_subarray)
        starts = np.array(sorted(visible))[:, np.newaxis] * self._per_subarray
        return (starts + np.arange(self._per_subarray)).ravel()

    def _paths_to(self, range_m: float, angle_rad: float, x: Floats) -> _Paths:
        if not (range_m > 0 and np.isfinite(range_m) and np.isfinite(angle_rad)):
            raise ValueError(f"a point at a positive finite range expected, got {range_m:g} m, {angle_rad:g} rad")
        # along and across the line from the origin: the law of cosines without its cancellation
        along_m, across_m = range_m - x * np.sin(angle_rad), x * np.cos(angle_rad)
        distance_m = np.sqrt(along_m * along_m + across_m * across_m)
        speed_m_s = distance_m * self._c_m_s
        return _Paths(
            delay_s=distance_m / self._c_m_s,
            by_range_s_m=along_m / speed_m_s,
            by_angle_s_rad=-range_m * across_m / speed_m_s,
        )

    def _tones_and_steps(self, paths: _Paths, elements: slice | Indices) -> tuple[ComplexArray, Floats]:
        """Return each element's contribution at the middle of the window, and its phase steps, both ``(element,)``."""
        turn_rad = 2 * np.pi * (self._middle_hz * paths.delay_s - self._cycles[elements])
        tones: ComplexArray = np.empty(turn_rad.size, dtype=np.complex128)
        np.cos(turn_rad, out=tones.real)
        np.sin(turn_rad, out=tones.imag)
        step_rad = (2 * np.pi * self._spacing_hz) * (paths.delay_s - self._delay_s[elements])
        block = self._window.block
        if block == 1:
            return tones, step_rad
        # A block of neighbours adds up to the tone at its middle times a Dirichlet kernel. Its slope is left out of the
        # derivatives: 1e-5 of theirs where the block turns by a tenth of a cycle.
        half_rad = step_rad / 2
        near = np.abs(half_rad) < 1e-9
        half_rad[near] = 1e-9
        return tones * (np.sin(block * half_rad) / (np.sqrt(block) * np.sin(half_rad))), block * step_rad

    def _plan(self, sums: int) -> ToneSums:
        if sums not in self._plans:
            self._plans[sums] = ToneSums(self._window.count, self._element_x_m.size, sums, self._tolerance)
        return self._plans[sums]
