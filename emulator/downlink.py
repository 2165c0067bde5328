"""A front-end setting through the air to one user: the noise-free sweep as nonuniform FFTs.

Phases are linear in the subcarrier's index, so that a group of subcarriers is a type-1 nonuniform FFT: one delayed tone
per element onto that group's bins, at O(N w + M log M) instead of O(N M). Paths over scatterers are more tones of the same
transform. A finufft plan may not be used by two threads at once, and neither may an emulator, which owns its plans: one
emulator per thread.
"""

from collections.abc import Sequence

import finufft
import numpy as np
import numpy.typing as npt

from emulator.propagation import free_space_gain, linear_element_delay_s
from emulator.scene import Path, Position
from protocol.testbed import Downlink, Setting, group_slices

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

# Measured at most 8e-11 of the dense sum at full size; one digit less saves no time that can be measured.
NUFFT_TOLERANCE = 1e-10
# Up to here one multiplication per element and subcarrier, all groups at once, beats one transform per group.
SMALL_GROUP_SUBCARRIERS = 64


class DownlinkEmulator:
    """Sweeps as users hear them; keeps one plan per size of group.

    ``element_amplitude`` is what each element really radiates relative to what it should, ``(element,)``; 1 by default.
    """

    def __init__(self, downlink: Downlink, c_m_s: float, element_amplitude: Floats | None = None) -> None:
        self._downlink = downlink
        self._c_m_s = c_m_s
        self._amplitude = np.ones(downlink.array.elements) if element_amplitude is None else element_amplitude
        # the gain falls as 1/r: at one metre once, so that a sweep costs one division
        self._gain_at_1_m = free_space_gain(downlink.grid.frequency_hz, 1.0, c_m_s) / np.sqrt(downlink.array.elements)
        self._plans: dict[int, finufft.Plan] = {}

    def received(
        self, setting: Setting, position: Position, visible: Floats, paths: Sequence[Path] = ()
    ) -> ComplexArray:
        """Return the noise-free pilot ``y = h^H w`` of one user on every subcarrier [CBS, eqs. (1), (4), (10)].

        Parameters
        ----------
        setting
            What the front end applies; all its groups, as if their pilots were put together.
        position
            Where the user is.
        visible
            ``(element,)`` weight of each element in the line of sight, 0 where the user is hidden.
        paths
            What reaches the user over scatterers, in addition to the line of sight.

        Returns
        -------
        samples
            ``(subcarrier,)`` complex128.

        Raises
        ------
        ValueError
            If the setting, the mask or a path is for another array, or the setting's groups do not divide the grid.
        """
        grid, elements = self._downlink.grid, self._downlink.array.elements
        if setting.phase_cycles.shape[1] != elements or visible.shape != (elements,):
            raise ValueError(
                f"setting and mask of {elements} elements expected, got {setting.phase_cycles.shape} and {visible.shape}"
            )
        tau_s = linear_element_delay_s(self._downlink.array, position.range_m, position.angle_rad, self._c_m_s)
        phase_cycles, delay_s, strength = setting.phase_cycles, setting.delay_s, visible * self._amplitude
        if paths:
            copies = (1, 1 + len(paths))
            phase_cycles, delay_s = np.tile(phase_cycles, copies), np.tile(delay_s, copies)
            tau_s = np.concatenate([tau_s, *(self._delay_s(path, position) for path in paths)])
            strength = np.concatenate([strength, *(self._strength(path, position, visible) for path in paths)])
        first_cycles = grid.first_hz * tau_s - phase_cycles
        step_cycles = grid.spacing_hz * (tau_s - delay_s)
        sums = self._summed_tones(first_cycles, step_cycles, strength)
        sums *= self._gain_at_1_m / position.range_m
        return sums

    def _strength(self, path: Path, user: Position, visible: Floats) -> ComplexArray:
        """Return what each element contributes over a path relative to the line of sight, ``(element,)``."""
        if path.weight.shape != self._amplitude.shape:
            raise ValueError(f"a path of {self._amplitude.size} elements expected, got {path.weight.shape}")
        # h^H: the gain enters conjugated, as the delays do
        strength: ComplexArray = np.conj(path.gain(user, visible)) * path.weight * self._amplitude
        return strength

    def _delay_s(self, path: Path, user: Position) -> Floats:
        """Return the delay from each element over the scatterer to the user, ``(element,)``."""
        place = path.scatterer
        own_s = linear_element_delay_s(self._downlink.array, place.range_m, place.angle_rad, self._c_m_s)
        return own_s + path.extra_m(user) / self._c_m_s

    def _summed_tones(self, first_cycles: Floats, step_cycles: Floats, strength: Floats | ComplexArray) -> ComplexArray:
        """Return ``sum_n s_n exp(j 2 pi (first + m step))`` with each group's own rows, ``(subcarrier,)``."""
        groups = group_slices(self._downlink.grid.count, first_cycles.shape[0])
        starts = np.array([[group.start] for group in groups])
        start_cycles = first_cycles + starts * step_cycles
        size = groups[0].stop
        if len(groups) > 1 and size <= SMALL_GROUP_SUBCARRIERS:
            return _small_groups(start_cycles, step_cycles, strength, size)
        sums = np.empty(self._downlink.grid.count, dtype=np.complex128)
        for group, start, step in zip(groups, start_cycles, step_cycles, strict=True):
            self._transform(start, step, strength, sums[group])
        return sums

    def _transform(
        self, start_cycles: Floats, step_cycles: Floats, strength: Floats | ComplexArray, sums: ComplexArray
    ) -> None:
        """Write the sum over elements of one group's tones into ``sums``, ``(subcarrier of the group,)``."""
        size = sums.size
        # finufft's bins run from -(size // 2): turn each tone to its phase at the bin called zero
        tones = strength * np.exp(2j * np.pi * (start_cycles + (size // 2) * step_cycles))
        plan = self._plan(size)
        plan.setpts(2 * np.pi * step_cycles)
        plan.execute(tones, sums)

    def _plan(self, size: int) -> finufft.Plan:
        if size not in self._plans:
            # too few points for their sorting to pay; a second thread costs more than it brings at this size
            options = {"nthreads": 1, "upsampfac": 2.0, "spread_sort": 0}
            self._plans[size] = finufft.Plan(1, (size,), eps=NUFFT_TOLERANCE, isign=1, **options)
        return self._plans[size]


def _small_groups(
    start_cycles: Floats, step_cycles: Floats, strength: Floats | ComplexArray, size: int
) -> ComplexArray:
    """Return the summed tones of all groups, one subcarrier of each at a time, ``(subcarrier,)``.

    The tones are turned by repeated multiplication, whose rounding grows with the size: below 1e-14 for 64.
    """
    tone = strength * np.exp(2j * np.pi * start_cycles)
    turn = np.exp(2j * np.pi * step_cycles)
    sums = np.empty((start_cycles.shape[0], size), dtype=np.complex128)
    for index in range(size):
        np.sum(tone, axis=1, out=sums[:, index])
        tone *= turn
    return sums.reshape(-1)
