"""A user's pilot through the air to the circular array: the noise-free snapshot of line of sight and scatterers.

Phases are linear in the subcarrier's index ``m = q P + p``: the tone is the product of a coarse one over q and a fine
one over p, about 2 sqrt(M) exponentials per element and path instead of M, and paths add up in a matrix product. One
product per sample leaves no rounding to accumulate.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from emulator.propagation import free_space_gain, sector_element_delay_s, separation_m
from emulator.scene import Position, Scatterer
from protocol.testbed import Uplink

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]


class UplinkEmulator:
    """Snapshots as the uplink array receives them."""

    def __init__(self, uplink: Uplink, c_m_s: float) -> None:
        self._uplink = uplink
        self._c_m_s = c_m_s
        grid = uplink.grid
        block = math.isqrt(grid.count - 1) + 1
        self._coarse_hz = grid.first_hz + grid.spacing_hz * np.arange(0, grid.count, block)
        self._fine_hz = grid.spacing_hz * np.arange(block)

    def received(self, position: Position, scatterers: Sequence[Scatterer] = ()) -> ComplexArray:
        """Return the noise-free snapshot ``sum_l a_l exp(-j 2 pi f_m (r_n(l) + d_l) / c)`` [SUCA, eqs. (1)-(2)].

        The line of sight has the free-space gain of the grid's first frequency on all subcarriers, as in [SUCA]; it
        would change by 0.7 % over 192 MHz at 28 GHz. A scatterer's gain is relative to it.

        Parameters
        ----------
        position
            Where the user is.
        scatterers
            Each adds a path by its own place, longer by its distance from the user.

        Returns
        -------
        samples
            ``(element, subcarrier)`` complex128.
        """
        delay_s, gain = self._paths(position, scatterers)
        coarse = np.exp(-2j * np.pi * self._coarse_hz[:, np.newaxis] * delay_s[:, np.newaxis, :]) * gain
        fine = np.exp(-2j * np.pi * self._fine_hz * delay_s[:, :, np.newaxis])
        samples: ComplexArray = (coarse @ fine).reshape(self._uplink.array.elements, -1)
        return np.ascontiguousarray(samples[:, : self._uplink.grid.count])

    def _paths(self, position: Position, scatterers: Sequence[Scatterer]) -> tuple[Floats, ComplexArray]:
        """Return the delays ``(element, path)`` and gains ``(path,)``, the line of sight first."""
        array, c_m_s = self._uplink.array, self._c_m_s
        direct = free_space_gain(np.array(self._uplink.grid.first_hz), position.range_m, c_m_s)
        delays_s = [sector_element_delay_s(array, position.range_m, position.angle_rad, c_m_s)]
        for scatterer in scatterers:
            place = scatterer.position
            extra_m = separation_m(position.range_m, position.angle_rad, place.range_m, place.angle_rad)
            own_s = sector_element_delay_s(array, place.range_m, place.angle_rad, c_m_s)
            delays_s.append(own_s + extra_m / c_m_s)
        gain: ComplexArray = direct * np.array([1.0 + 0j, *(scatterer.gain for scatterer in scatterers)])
        return np.stack(delays_s, axis=1), gain
