"""Fewer samples that tell as much of a user: the lit part of an angle sweep, and sums over blocks of a range sweep.

With an angle and a range sweep the estimate costs less so and stays within 3 % of the bound (10 000 users). A pair of angle
sweeps has the range in its skirts, so nothing of it can be left out.
"""

import math

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.newton import Observation
from bs_controller.features import block_sums, path_delays_s
from bs_controller.response import DownlinkResponse, Window
from protocol.testbed import Setting, SubcarrierGrid, TestbedFacts

ComplexArray = npt.NDArray[np.complex128]

SKIRT_BEAMS = 40
GRANULE = 32  # subcarriers; windows are whole multiples, so that they can be summed in blocks
# Elements are heard within 0.8 ns of each other in a range sweep, by which a block of this width turns by a twentieth of a
# cycle; the model knows of it, so that only its energy's loss of 0.3 % counts.
WIDEST_BLOCK_HZ = 50e6
TOLERANCE = 1e-7  # of the transforms: noise at 60 dB is ten thousand times as much


class Reducer:
    """Reduces sweeps of one testbed; owns the models of what is left, one thread at a time."""

    def __init__(self, facts: TestbedFacts, setting: Setting) -> None:
        """Plan for settings like this one."""
        grid, block = facts.downlink.grid, neighbours(facts.downlink.grid)
        self._facts, self._x_m = facts, np.array(facts.downlink.array.element_x_m)
        self._lit = DownlinkResponse(
            facts, setting, window=Window(first=0, count=lit_subcarriers(facts)), tolerance=TOLERANCE
        )
        self._blocks = DownlinkResponse(
            facts, setting, window=Window(first=0, count=grid.count // block, block=block), tolerance=TOLERANCE
        )

    def lit(self, samples: ComplexArray, setting: Setting, middle: float) -> Observation:
        """Return the part of an angle sweep that the user is lit in, around the subcarrier in its middle."""
        first, _ = self._ends(samples, middle)
        response = self._lit.steered(setting, first)
        return Observation.of(response.window.of(samples), response)

    def left(self, samples: ComplexArray, middle: float, residual: ComplexArray) -> ComplexArray:
        """Return a sweep with its lit part, `lit`, replaced by what was left of it, ``(subcarrier,)``."""
        first, last = self._ends(samples, middle)
        return np.concatenate([samples[:first], residual, samples[last:]])

    def _ends(self, samples: ComplexArray, middle: float) -> tuple[int, int]:
        count = self._lit.window.count
        first = min(max(round(middle) - count // 2, 0), samples.size - count)
        return first, first + count

    def blocks(self, samples: ComplexArray, setting: Setting, range_m: float, angle_rad: float) -> Observation:
        """Return sums over neighbours of a range sweep, which turn alike once the delay of a supposed position is taken off."""
        path_s = path_delays_s(self._x_m, range_m, angle_rad, self._facts.speed_of_light_m_s)
        common_s = float((path_s - setting.delay_s[0]).mean())
        delayed = Setting(phase_cycles=setting.phase_cycles, delay_s=setting.delay_s + common_s)
        block = self._blocks.window.block
        return Observation(
            samples=block_sums(samples, block, self._facts.downlink.grid.spacing_hz * common_s),
            response=self._blocks.steered(delayed),
            energy=float(np.vdot(samples, samples).real),
            count=samples.size,
            block=block,
        )


def lit_subcarriers(facts: TestbedFacts) -> int:
    """Return how many subcarriers of an angle sweep hold all but 0.5 % of what it tells of a user.

    These are the lit band, in sine as wide as the aperture seen at the nearest range, and forty beams of skirts on both sides.
    """
    downlink, region = facts.downlink, facts.region
    lit_sine = float(np.ptp(downlink.array.element_x_m)) * (1 / region.range_min_m - 1 / region.range_max_m)
    beam_sine = 2 / downlink.array.elements
    swept_sine = math.sin(region.angle_max_rad) - math.sin(region.angle_min_rad)
    count = (lit_sine + 2 * SKIRT_BEAMS * beam_sine) / swept_sine * downlink.grid.count
    return min(GRANULE * math.ceil(count / GRANULE), downlink.grid.count)


def neighbours(grid: SubcarrierGrid) -> int:
    """Return how many subcarriers of a range sweep make a block: a power of two that divides their number."""
    block = 1
    while grid.count % (2 * block) == 0 and 2 * block * grid.spacing_hz <= WIDEST_BLOCK_HZ:
        block *= 2
    return block
