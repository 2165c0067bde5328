"""Received grid to the report asked for (SPEC 7): kernels, no I/O.

Amplitudes are computed in float64: in the distance sweep best and second subcarrier differ by as little as 1e-8, which
float32 would decide by rounding.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from protocol.messages import ComplexReport, FeedbackKind, GroupReport, Message, PeakReport, PowerReport

ComplexArray = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]


def strongest_subcarrier(samples: ComplexArray) -> int:
    """Return the index of the largest amplitude; `samples` is ``(subcarrier,)``."""
    return int(np.argmax(np.abs(samples)))


def strongest_group(samples: ComplexArray, groups: int) -> int:
    """Return the group of equal runs of subcarriers with the largest sum of amplitudes [CBS, Algorithm 1, line 11].

    Raises
    ------
    ValueError
        If the subcarriers cannot be cut into that many equal groups.
    """
    if samples.size % groups:
        raise ValueError(f"{samples.size} subcarriers cannot be cut into {groups} equal groups")
    return int(np.argmax(np.abs(samples).reshape(groups, -1).sum(axis=1)))


def power_w(samples: ComplexArray) -> Floats:
    """Return the power of every subcarrier, ``(subcarrier,)``; `samples` is in square roots of W."""
    return samples.real**2 + samples.imag**2


_REPORTS: Mapping[FeedbackKind, Callable[[int, ComplexArray, int], Message]] = {
    FeedbackKind.PEAK: lambda epoch, y, _: PeakReport(epoch=epoch, subcarrier=strongest_subcarrier(y)),
    FeedbackKind.GROUP: lambda epoch, y, groups: GroupReport(epoch=epoch, group=strongest_group(y, groups)),
    FeedbackKind.POWER: lambda epoch, y, _: PowerReport(epoch=epoch, power_w=power_w(y)),
    FeedbackKind.COMPLEX: lambda epoch, y, _: ComplexReport(epoch=epoch, samples=y.astype(np.complex64)),
}


def report_from_samples(kind: FeedbackKind, epoch: int, samples: ComplexArray, groups: int) -> Message:
    """Return the report of one sweep in the kind asked for; `samples` is ``(subcarrier,)``."""
    return _REPORTS[kind](epoch, samples, groups)
