"""The forward model of a sweep whose groups of subcarriers have settings of their own [CBS, Algorithm 1].

The same as `response.py`, for groups too small for a transform each. Within a group the delays of all elements differ
little from one common delay, so that the tones are smooth in what is left of them: a few Chebyshev terms, whose moments
over the elements are one matrix product for all groups, say every subcarrier to double precision. Phases and delays of all
groups count from the grid's first subcarrier.
"""

import copy
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.fft

from bs_controller.imaging import chebyshev_terms
from bs_controller.response import Derivatives
from bs_controller.tones import KINDS
from protocol.testbed import Setting, TestbedFacts, group_slices

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

_LEAST_SPREAD_CYCLES = 1e-12  # per subcarrier; below it the elements of a group turn as one


class GroupedResponse:
    """The noise-free sweep of a setting of equal groups.

    Raises
    ------
    ValueError
        If the setting is for another array or the groups do not divide the subcarriers.
    """

    def __init__(self, facts: TestbedFacts, setting: Setting) -> None:
        grid, array = facts.downlink.grid, facts.downlink.array
        starts = [group.start for group in group_slices(grid.count, len(setting.phase_cycles))]
        self.frequency_hz: Floats = grid.frequency_hz
        self._c_m_s = facts.speed_of_light_m_s
        self._element_x_m, self._element_subarray = array.element_x_m, array.element_subarray
        self._spacing_hz, self._size = grid.spacing_hz, grid.count // len(starts)
        self._middle_offset_hz = grid.spacing_hz * (np.array(starts)[:, np.newaxis] + (self._size - 1) / 2)
        self._scale = grid.first_hz / (self.frequency_hz * np.sqrt(array.elements))
        self._steer(setting)

    def steered(self, setting: Setting) -> "GroupedResponse":
        """Return the response to another setting of as many groups.

        Raises
        ------
        ValueError
            If the number of groups or of elements differs.
        """
        other = copy.copy(self)
        other._steer(setting)
        return other

    def gain(self, range_m: float) -> float:
        """Return the free-space gain that the response leaves out [CBS, eq. (1)]."""
        return float(self._c_m_s / (4 * np.pi * self.frequency_hz[0] * range_m))

    def seen_with_derivatives(self, range_m: float, angle_rad: float, visible: Sequence[int]) -> Derivatives:
        """Return what a user sees of these sub-arrays together, ``(subcarrier,)``."""
        chosen = np.isin(self._element_subarray, visible)
        delay_s, slopes = self._delay_and_slopes(range_m, angle_rad, self._element_x_m[chosen])
        cycles = (self.frequency_hz[0] + self._middle_offset_hz) * delay_s - self._cycles[:, chosen]
        step_cycles = self._spacing_hz * (delay_s - self._delay_s[:, chosen])
        sums = self._sums(cycles, step_cycles, np.vstack([np.ones(delay_s.size), slopes]))
        rows = sums.transpose(1, 0, 2).reshape(KINDS, -1) * self._scale
        rows[1:] *= 2j * np.pi * self.frequency_hz
        return Derivatives(rows=rows)

    def _steer(self, setting: Setting) -> None:
        expected = (self._middle_offset_hz.size, self._element_x_m.size)
        if setting.phase_cycles.shape != expected:
            raise ValueError(
                f"a setting of {expected[0]} groups expected, got {len(setting.phase_cycles)}, "
                f"and of {expected[1]} elements, got {setting.phase_cycles.shape[1]}"
            )
        self._delay_s: Floats = setting.delay_s
        self._cycles: Floats = setting.phase_cycles + self._middle_offset_hz * setting.delay_s

    def _delay_and_slopes(self, range_m: float, angle_rad: float, x: Floats) -> tuple[Floats, Floats]:
        """Return delays ``(element,)`` and their derivatives by range and angle, ``(2, element)``."""
        if not (range_m > 0 and np.isfinite(range_m) and np.isfinite(angle_rad)):
            raise ValueError(f"a point at a positive finite range expected, got {range_m:g} m, {angle_rad:g} rad")
        along_m, across_m = range_m - x * np.sin(angle_rad), x * np.cos(angle_rad)
        distance_m = np.sqrt(along_m**2 + across_m**2)
        return distance_m / self._c_m_s, np.stack([along_m, -range_m * across_m]) / (distance_m * self._c_m_s)

    def _sums(self, cycles: Floats, step_cycles: Floats, weight: Floats) -> ComplexArray:
        """Return ``sum_n w_n exp(j 2 pi (cycles_n + m step_n))`` for ``m`` about each group's middle.

        Parameters
        ----------
        cycles, step_cycles
            ``(group, element)``.
        weight
            ``(kind, element)``.

        Returns
        -------
        sums
            ``(group, kind, subcarrier of the group)``.
        """
        low, high = step_cycles.min(axis=1, keepdims=True), step_cycles.max(axis=1, keepdims=True)
        common, half = (high + low) / 2, max(float((high - low).max()) / 2, _LEAST_SPREAD_CYCLES)
        offset: Floats = np.arange(self._size, dtype=np.float64) - (self._size - 1) / 2
        series = _series(2 * np.pi * half * offset)
        moments = _moments(cycles, (step_cycles - common) / half, weight, len(series))
        turn = np.exp(2j * np.pi * common * offset)[:, np.newaxis]
        sums: ComplexArray = (moments @ series) * turn
        return sums


def _series(turn_rad: Floats) -> ComplexArray:
    """Return the Chebyshev series of ``exp(j turn x)`` in ``x`` within +-1, ``(term, subcarrier)``."""
    count = chebyshev_terms(float(np.abs(turn_rad).max()))
    nodes = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    series: ComplexArray = scipy.fft.dct(np.exp(1j * np.outer(nodes, turn_rad)), axis=0) / count
    series[0] /= 2
    return series


def _moments(cycles: Floats, x: Floats, weight: Floats, count: int) -> ComplexArray:
    """Return ``sum_n w_n exp(j 2 pi cycles_n) T_p(x_n)`` of the first Chebyshev polynomials, ``(group, kind, term)``."""
    polynomials = np.polynomial.chebyshev.chebvander(x, count - 1)  # (group, element, term)
    turn_rad = 2 * np.pi * (cycles - np.rint(cycles))  # sines of small numbers are faster
    # both parts as real rows: the polynomials are real
    parts = np.empty((len(cycles), 2, *weight.shape))
    np.multiply(weight, np.cos(turn_rad)[:, np.newaxis], out=parts[:, 0])
    np.multiply(weight, np.sin(turn_rad)[:, np.newaxis], out=parts[:, 1])
    product = parts.reshape(len(cycles), -1, cycles.shape[1]) @ polynomials
    moments: ComplexArray = product[:, : len(weight)] + 1j * product[:, len(weight) :]
    return moments
