"""Reports against the obvious loop over subcarriers."""

import numpy as np
import numpy.typing as npt
import pytest

from protocol.messages import ComplexReport, FeedbackKind, GroupReport, PeakReport, PowerReport
from ue_agent.measure import power_w, report_from_samples, strongest_group, strongest_subcarrier

ComplexArray = npt.NDArray[np.complex128]


def received(seed: int, subcarriers: int = 96) -> ComplexArray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(subcarriers) + 1j * rng.standard_normal(subcarriers)


def loop_peak(samples: ComplexArray) -> int:
    best = 0
    for subcarrier, sample in enumerate(samples):
        if abs(sample) > abs(samples[best]):
            best = subcarrier
    return best


def loop_group(samples: ComplexArray, groups: int) -> int:
    size, sums = len(samples) // groups, []
    for group in range(groups):
        sums.append(sum(abs(samples[group * size + index]) for index in range(size)))
    return sums.index(max(sums))


@pytest.mark.parametrize("seed", range(20))
def test_strongest_subcarrier_is_that_of_the_loop(seed: int) -> None:
    samples = received(seed)
    assert strongest_subcarrier(samples) == loop_peak(samples)


@pytest.mark.parametrize("groups", [1, 2, 3, 32, 96])
@pytest.mark.parametrize("seed", range(5))
def test_strongest_group_is_that_of_the_loop(seed: int, groups: int) -> None:
    samples = received(seed)
    assert strongest_group(samples, groups) == loop_group(samples, groups)


def test_group_is_judged_by_amplitudes_not_by_powers() -> None:
    samples = np.array([1.0, 1.0, 1.9, 0.0], dtype=np.complex128)  # sums 2 and 1.9, energies 2 and 3.61
    assert strongest_group(samples, 2) == 0


def test_peaks_that_single_precision_cannot_tell_apart_are_told_apart() -> None:
    samples = np.array([1.0, 1.0 + 1e-8, 1.0], dtype=np.complex128)  # float32 resolves 6e-8 at one
    assert strongest_subcarrier(samples) == 1


def test_equally_strong_subcarriers_report_the_first() -> None:
    assert strongest_subcarrier(np.array([0.0, 1.0, 1j, -1.0], dtype=np.complex128)) == 1


def test_power_is_the_squared_amplitude_of_every_subcarrier() -> None:
    samples = received(1)
    loop = [abs(sample) ** 2 for sample in samples]
    np.testing.assert_allclose(power_w(samples), loop, rtol=1e-15 * 4)  # a root and a square: four roundings


@pytest.mark.parametrize("groups", [5, 97])
def test_groups_that_do_not_divide_the_subcarriers_are_refused(groups: int) -> None:
    with pytest.raises(ValueError, match=f"96 subcarriers cannot be cut into {groups} equal groups"):
        strongest_group(received(1), groups)


@pytest.mark.parametrize(
    ("kind", "report"),
    [
        (FeedbackKind.PEAK, PeakReport),
        (FeedbackKind.GROUP, GroupReport),
        (FeedbackKind.POWER, PowerReport),
        (FeedbackKind.COMPLEX, ComplexReport),
    ],
)
def test_report_is_of_the_kind_asked_for(kind: FeedbackKind, report: type) -> None:
    assert type(report_from_samples(kind, 1, received(1), 32)) is report


@pytest.mark.parametrize("kind", FeedbackKind)
def test_report_carries_the_epoch(kind: FeedbackKind) -> None:
    report = report_from_samples(kind, 7, received(1), 32)
    assert isinstance(report, PeakReport | GroupReport | PowerReport | ComplexReport)
    assert report.epoch == 7


def test_complex_report_holds_the_samples_in_single_precision() -> None:
    samples = received(1)
    report = report_from_samples(FeedbackKind.COMPLEX, 1, samples, 1)
    assert isinstance(report, ComplexReport)
    np.testing.assert_array_equal(report.samples, samples.astype(np.complex64))
