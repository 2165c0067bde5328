"""What line-of-sight users hear of angle and range sweeps, with and without noise; the model is tested elsewhere."""

from functools import cache

import numpy as np
import numpy.typing as npt

from bs_controller.beams import setting_from_focus
from bs_controller.response import DownlinkResponse
from bs_controller.sweeps import Trajectory
from protocol.testbed import Setting, default_facts

ComplexArray = npt.NDArray[np.complex128]

FACTS = default_facts()
EDGE_RAD = float(np.deg2rad(62))
FORWARD = Trajectory(start_range_m=5.0, start_angle_rad=EDGE_RAD, end_range_m=5.0, end_angle_rad=-EDGE_RAD)
BACKWARD = Trajectory(start_range_m=5.0, start_angle_rad=-EDGE_RAD, end_range_m=5.0, end_angle_rad=EDGE_RAD)
ALL = (0, 1, 2, 3)


@cache
def setting_of(trajectory: Trajectory) -> Setting:
    return setting_from_focus(trajectory, FACTS)


@cache
def response_of(trajectory: Trajectory) -> DownlinkResponse:
    return DownlinkResponse(FACTS, setting_of(trajectory))


def heard(
    trajectory: Trajectory, range_m: float, angle_rad: float, visible: tuple[int, ...] = ALL, gain: complex = 2e-4j
) -> ComplexArray:
    """Noise-free samples, ``(subcarrier,)``."""
    samples: ComplexArray = gain * response_of(trajectory).value(range_m, angle_rad)[list(visible)].sum(axis=0)
    return samples


def noise(samples: ComplexArray, snr_db: float, rng: np.random.Generator) -> ComplexArray:
    """Flat noise against the mean power of the samples."""
    sigma = np.sqrt(np.mean(np.abs(samples) ** 2) / 10 ** (snr_db / 10) / 2)
    drawn: ComplexArray = sigma * (rng.standard_normal(samples.size) + 1j * rng.standard_normal(samples.size))
    return drawn
