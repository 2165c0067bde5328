"""The contract of a representation: which two sweeps it takes, the input that it makes of them, and what networks answer."""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from bs_controller.representations.correction import Correction
from bs_controller.sweeps import Trajectory
from protocol.testbed import Setting

ComplexArray = npt.NDArray[np.complex128]

# Name and unit of each output of a network, in order: the two units of `Correction.position`, and the natural logarithms of
# how far off these are, as deviations for `Correction.covariance`.
OUTPUTS = (
    ("range_correction", "1"),
    ("direction_correction", "1"),
    ("range_log_deviation", "1"),
    ("direction_log_deviation", "1"),
)
# Logarithms of deviations beyond these, a hundred-thousandth and ten thousand units, are taken for these.
LOG_DEVIATION_LIMITS = (-11.5, 9.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardSweep:
    """What a user heard of a sweep, ``(subcarrier,)``, where it was to focus, and what was applied."""

    samples: ComplexArray
    focus: Trajectory
    setting: Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInput:
    """Features for a network, and what its outputs are corrections of."""

    features: npt.NDArray[np.float32]  # (channel, place) or (channel, row, column)
    correction: Correction
    mask: npt.NDArray[np.float64] | None  # (subarray,) the sub-arrays that the supposed position was found with, if any


class Representation(Protocol):
    """Makes inputs of two sweeps of one testbed; one thread at a time.

    `name` and `version` go into a model's metadata; `shape` is that of one input.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    shape: ClassVar[tuple[int, ...]]

    def first(self) -> Trajectory:
        """Return the focus of the first sweep, which is common to all users."""

    def second(self, first: HeardSweep) -> Trajectory:
        """Return the focus of the second sweep for a user that heard the first."""

    def of(self, first: HeardSweep, second: HeardSweep, timing_rms_m: float) -> NetworkInput:
        """Return the input of both sweeps.

        Parameters
        ----------
        first, second
            The sweeps; several of one kind come here as one, see `combined`.
        timing_rms_m
            How far the user's clock is known to be off in both sweeps alike, as path.
        """


@runtime_checkable
class MovingRepresentation(Representation, Protocol):
    """One that can also show a user who moves by centimetres between the sweeps."""

    def of_moving(self, first: HeardSweep, second: HeardSweep, timing_rms_m: float) -> NetworkInput:
        """Return the input, of which outputs correct the place midway between those at the sweeps; see `of`."""
