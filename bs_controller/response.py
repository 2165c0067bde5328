"""The controller's own near-field forward model: what a one-group sweep brings from each sub-array to a point.

``u_m = f_0 / (f_m sqrt(N)) sum_n exp(j 2 pi f_m r_n / c) w[n, m]`` [CBS, eqs. (1), (7)] with exact distances and its exact
derivatives, for a path of unit gain at the grid's first frequency: the line of sight has the gain
``c / (4 pi f_0 r)``, which estimators project out with the unknown phase. Nothing is shared with the emulator.

Phases are linear in the subcarrier's index, so each sub-array is a type-1 nonuniform FFT of its own elements; ``f_m``
leaves the sum of a derivative, ``du_m/dr = j 2 pi f_m sum_n (d tau_n/dr) ...``, which makes it one more transform of the
same points. A response owns its plans and buffers and must not be used by two threads at once.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import finufft
import numpy as np
import numpy.typing as npt

from protocol.testbed import Setting, TestbedFacts

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
Mask = npt.NDArray[np.bool_]

# Measured at most 2e-9 of what the tones bring unaligned; the smaller oversampling takes two thirds of the usual one's time.
NUFFT_TOLERANCE = 1e-9
NUFFT_OPTIONS = {"nthreads": 1, "upsampfac": 1.25, "spread_sort": 0}
ALL_SUBCARRIERS = slice(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivatives:
    """A response at a point and its derivatives by range, per m, and by angle, per rad, all of one shape."""

    value: ComplexArray
    by_range_m: ComplexArray
    by_angle_rad: ComplexArray


class DownlinkResponse:
    """One setting's noise-free sweep as a function of the user's position, each sub-array by itself."""

    def __init__(
        self,
        facts: TestbedFacts,
        setting: Setting,
        *,
        subcarriers: slice = ALL_SUBCARRIERS,
        falls_with_frequency: bool = True,
    ) -> None:
        """Prepare the plans for one setting.

        Parameters
        ----------
        facts
            The testbed.
        setting
            What the front end applies; one group.
        subcarriers
            Which subcarriers to compute; a step other than one is a coarser grid.
        falls_with_frequency
            Whether the gain is that of free space, proportional to ``1 / f_m``, or flat over the band.

        Raises
        ------
        ValueError
            If the setting has several groups or is for another array, or no subcarrier is left.
        """
        grid, array = facts.downlink.grid, facts.downlink.array
        if setting.phase_cycles.shape != (1, array.elements):
            raise ValueError(
                f"a setting of one group and {array.elements} elements expected, got {setting.phase_cycles.shape}"
            )
        chosen = range(*subcarriers.indices(grid.count))
        if not chosen:
            raise ValueError(f"subcarriers must leave some of {grid.count}, got {subcarriers}")
        self._c_m_s = facts.speed_of_light_m_s
        self._gain_at_1_m = facts.speed_of_light_m_s / (4 * np.pi * grid.first_hz)
        self._element_x_m = array.element_x_m
        self._element_subarray = array.element_subarray
        self._subarrays = array.subarrays
        self._setting = setting
        self.frequency_hz: Floats = grid.frequency_hz[subcarriers]
        # finufft's bins run from -(size // 2): the tones start at the frequency of the bin called zero
        self._middle_offset_hz = grid.spacing_hz * chosen[len(chosen) // 2]
        self._middle_hz = grid.first_hz + self._middle_offset_hz
        self._step_hz = grid.spacing_hz * chosen.step
        shape = grid.first_hz / self.frequency_hz if falls_with_frequency else np.ones(len(chosen))
        scale: Floats = shape / np.sqrt(array.elements)
        slope = 2j * np.pi * self.frequency_hz * scale
        self._scales: ComplexArray = np.stack([scale + 0j, slope, slope])
        self._plans: dict[int, tuple[finufft.Plan, ComplexArray]] = {}

    def steered(self, setting: Setting) -> "DownlinkResponse":
        """Return the response to another setting of one group; both share plans and must stay in one thread."""
        if setting.phase_cycles.shape != self._setting.phase_cycles.shape:
            raise ValueError(
                f"a setting of shape {self._setting.phase_cycles.shape} expected, got {setting.phase_cycles.shape}"
            )
        other = copy.copy(self)
        other._setting = setting
        return other

    def gain(self, range_m: float) -> float:
        """Return the free-space gain ``c / (4 pi f_0 r)`` that the response leaves out [CBS, eq. (1)]."""
        return self._gain_at_1_m / range_m

    def value(self, range_m: float, angle_rad: float) -> ComplexArray:
        """Return the sweep at a point, ``(subarray, subcarrier)``; a user sees the sum over its visible sub-arrays."""
        tau_s, _, _ = self._delay_s(range_m, angle_rad)
        result: ComplexArray = self._sums(tau_s, self._tones(tau_s)[np.newaxis])[:, 0] * self._scales[0].real
        return result

    def values(self, range_m: Floats, angle_rad: Floats) -> ComplexArray:
        """Return the sweep at several points ``(point,)``, one after the other, ``(point, subarray, subcarrier)``."""
        points = zip(range_m, angle_rad, strict=True)
        return np.stack([self.value(float(r_m), float(theta_rad)) for r_m, theta_rad in points])

    def with_derivatives(self, range_m: float, angle_rad: float) -> Derivatives:
        """Return the sweep at a point with its derivatives, ``(subarray, subcarrier)``, exact as the distances are."""
        scaled: ComplexArray = self._sums(*self._delays_and_strengths(range_m, angle_rad)) * self._scales
        # views of one block: three of fresh memory cost twice the time
        return Derivatives(value=scaled[:, 0], by_range_m=scaled[:, 1], by_angle_rad=scaled[:, 2])

    def seen_with_derivatives(self, range_m: float, angle_rad: float, visible: Sequence[int]) -> Derivatives:
        """Return what a user sees of these sub-arrays together, ``(subcarrier,)``; faster than adding them up."""
        tau_s, strengths = self._delays_and_strengths(range_m, angle_rad)
        elements = self._is_visible(visible)
        scaled: ComplexArray = self._sums(tau_s, strengths, elements)[0] * self._scales
        return Derivatives(value=scaled[0], by_range_m=scaled[1], by_angle_rad=scaled[2])

    def _is_visible(self, visible: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Return whether each element is in one of these sub-arrays, ``(element,)``; np.isin takes ten times as long."""
        seen = np.zeros(self._subarrays, dtype=np.bool_)
        seen[list(visible)] = True
        return seen[self._element_subarray]

    def _delay_s(self, range_m: float, angle_rad: float) -> tuple[Floats, Floats, Floats]:
        """Return delays and their derivatives by range and angle, each ``(element,)``."""
        if not (range_m > 0 and np.isfinite(range_m) and np.isfinite(angle_rad)):
            raise ValueError(f"a point at a positive finite range expected, got {range_m:g} m, {angle_rad:g} rad")
        x, c = self._element_x_m, self._c_m_s
        # along and across the line from the origin: the law of cosines without its cancellation
        along_m, across_m = range_m - x * np.sin(angle_rad), x * np.cos(angle_rad)
        r_n = np.hypot(along_m, across_m)
        return r_n / c, along_m / (r_n * c), -range_m * across_m / (r_n * c)

    def _tones(self, tau_s: Floats) -> ComplexArray:
        """Return each element's contribution at the middle subcarrier, ``(element,)``."""
        setting = self._setting
        cycles = self._middle_hz * tau_s - setting.phase_cycles[0] - self._middle_offset_hz * setting.delay_s[0]
        tones: ComplexArray = np.exp(2j * np.pi * cycles)
        return tones

    def _delays_and_strengths(self, range_m: float, angle_rad: float) -> tuple[Floats, ComplexArray]:
        """Return delays ``(element,)`` and the tones of value and derivatives, ``(3, element)``."""
        tau_s, by_range_s_m, by_angle_s_rad = self._delay_s(range_m, angle_rad)
        tones = self._tones(tau_s)
        return tau_s, np.stack([tones, tones * by_range_s_m, tones * by_angle_s_rad])

    def _sums(self, tau_s: Floats, strengths: ComplexArray, together: Mask | None = None) -> ComplexArray:
        """Return sums of tones ``(kind, element)`` over each sub-array, or over the elements of one mask together.

        The result, ``(sum, kind, subcarrier)``, is overwritten by the next call.
        """
        points = 2 * np.pi * self._step_hz * (tau_s - self._setting.delay_s[0])
        if together is None:
            points, strengths = (
                points.reshape(self._subarrays, -1),
                strengths.reshape(len(strengths), self._subarrays, -1),
            )
        else:
            points, strengths = points[np.newaxis, together], strengths[:, np.newaxis, together]
        blocks = np.ascontiguousarray(strengths.swapaxes(0, 1))
        plan, room = self._plan(strengths.shape[0])
        sums = room[: points.shape[0]]
        # setting a sub-array's points is cheaper than spreading the zeros of the others
        for point, block, out in zip(points, blocks, sums, strict=True):
            plan.setpts(point)
            plan.execute(block.squeeze(0) if len(block) == 1 else block, out.squeeze(0) if len(block) == 1 else out)
        return sums

    def _plan(self, kinds: int) -> tuple[finufft.Plan, ComplexArray]:
        """Return the plan for so many sums over the same points, and room for those of each sub-array."""
        if kinds not in self._plans:
            size = self.frequency_hz.size
            plan = finufft.Plan(1, (size,), n_trans=kinds, eps=NUFFT_TOLERANCE, isign=1, **NUFFT_OPTIONS)
            # fresh memory of this size costs as much as the transforms
            self._plans[kinds] = (plan, np.empty((self._subarrays, kinds, size), dtype=np.complex128))
        return self._plans[kinds]
