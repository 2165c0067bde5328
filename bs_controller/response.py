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
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.nufft import ToneSums
from bs_controller.tones import KINDS, element_tones, scaled
from protocol.testbed import Setting, TestbedFacts

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
Visible = Sequence[int] | npt.NDArray[np.intp]  # sub-arrays

# Measured at most 4e-9 of what the tones bring unaligned.
NUFFT_TOLERANCE = 1e-9


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
        self._elements, self._subarrays = array.elements, array.subarrays
        self._x_m = np.array(array.element_x_m).reshape(array.subarrays, -1)
        self._first_hz, self._spacing_hz, self._subcarriers = grid.first_hz, grid.spacing_hz, grid.count
        self._tolerance = tolerance
        self._falls_with_frequency = falls_with_frequency
        self._window = window or Window(first=0, count=grid.count)
        self._plans: dict[int, ToneSums] = {}
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

    def seen_value(self, range_m: float, angle_rad: float, visible: Visible) -> ComplexArray:
        """Return what a user sees of these sub-arrays together, ``(subcarrier,)``."""
        value: ComplexArray = self._rows(range_m, angle_rad, visible, 1)[0]
        return value

    def seen_with_derivatives(self, range_m: float, angle_rad: float, visible: Visible) -> Derivatives:
        """Return what a user sees of these sub-arrays together, ``(subcarrier,)``; faster than adding them up."""
        return Derivatives(rows=self._rows(range_m, angle_rad, visible, KINDS))

    def _rows(self, range_m: float, angle_rad: float, visible: Visible, kinds: int) -> ComplexArray:
        """Return a value alone or with its derivatives, ``(kind, subcarrier)``."""
        if not (range_m > 0 and math.isfinite(range_m) and math.isfinite(angle_rad)):
            raise ValueError(f"a point at a positive finite range expected, got {range_m:g} m, {angle_rad:g} rad")
        step_rad, strength = element_tones(
            range_m,
            angle_rad,
            np.asarray(visible, dtype=np.intp),
            self._x_m,
            self._delay_s,
            self._cycles,
            self._c_m_s,
            self._middle_hz,
            self._spacing_hz,
            self._window.block,
            kinds,
        )
        return scaled(self._plan(kinds)(step_rad, strength), self._scale, self.frequency_hz)

    def _point_at(self, first: int) -> None:
        """Let the window begin at a subcarrier."""
        window = Window(first=first, count=self._window.count, block=self._window.block)
        if not 0 <= first <= self._subcarriers - window.count * window.block or window.count < 1:
            raise ValueError(f"a window within {self._subcarriers} subcarriers expected, got {window}")
        self._window = window
        # of blocks the middle counts
        offset = first + (window.block - 1) / 2 + window.block * np.arange(window.count, dtype=np.float64)
        self.frequency_hz: Floats = self._first_hz + self._spacing_hz * offset
        # finufft's bins run from -(size // 2): the tones start at the frequency of the bin called zero
        self._middle_offset_hz = self._spacing_hz * float(offset[window.count // 2])
        self._middle_hz = self._first_hz + self._middle_offset_hz
        flat = math.sqrt(self._elements)
        self._scale: Floats = (
            self._first_hz / flat / self.frequency_hz if self._falls_with_frequency else np.full(window.count, 1 / flat)
        )

    def _steer(self, setting: Setting) -> None:
        """Take a setting; of its phases and delays only these are needed."""
        expected = (1, self._elements)
        if setting.phase_cycles.shape != expected:
            raise ValueError(
                f"a setting of one group and {expected[1]} elements expected, got {setting.phase_cycles.shape}"
            )
        # of each sub-array, and writable as compiled code expects: a setting is not
        self._delay_s: Floats = np.array(setting.delay_s[0]).reshape(self._x_m.shape)
        self._cycles: Floats = setting.phase_cycles[0].reshape(self._x_m.shape) + self._middle_offset_hz * self._delay_s

    def _plan(self, sums: int) -> ToneSums:
        if sums not in self._plans:
            self._plans[sums] = ToneSums(self._window.count, self._elements, sums, self._tolerance)
        return self._plans[sums]
