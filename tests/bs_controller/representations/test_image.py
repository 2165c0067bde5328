"""The sweeps of CBS as images: which number stands where, what a gain does to them, and that the sweeps are those of CBS."""

import msgspec
import numpy as np
import pytest

from bs_controller.beams import setting_from_focus
from bs_controller.representations import HeardSweep, representation
from bs_controller.response import DownlinkResponse
from bs_controller.schemes.cbs import Cbs, CbsOptions
from bs_controller.sweeps import PeakFeedback, Sweep, Trajectory
from protocol.testbed import SubcarrierGrid, default_facts
from tests.bs_controller.hearing import FACTS

IMAGE = representation("image", FACTS)
ANGLE_SWEEP = IMAGE.first()


def user_heard(focus: Trajectory, range_m: float, angle_rad: float) -> HeardSweep:
    setting = setting_from_focus(focus, FACTS)
    return HeardSweep(
        samples=DownlinkResponse(FACTS, setting).value(range_m, angle_rad).sum(axis=0), focus=focus, setting=setting
    )


def scaled(sweep: HeardSweep, gain: complex) -> HeardSweep:
    return HeardSweep(samples=gain * sweep.samples, focus=sweep.focus, setting=sweep.setting)


def sample_at(focus: Trajectory, subcarrier: int, sample: complex) -> HeardSweep:
    samples = np.zeros(FACTS.downlink.grid.count, dtype=np.complex128)
    samples[subcarrier] = sample
    return HeardSweep(samples=samples, focus=focus, setting=setting_from_focus(focus, FACTS))


def test_parts_of_a_subcarrier_are_neighbours_in_the_row_of_its_32() -> None:
    first, second = (
        sample_at(ANGLE_SWEEP, 100, 3 - 4j),
        sample_at(IMAGE.second(user_heard(ANGLE_SWEEP, 9, 0)), 2047, -2j),
    )
    features = IMAGE.of(first, second, 0.0).features
    assert features.shape == IMAGE.shape
    assert features.dtype == np.float32
    expected = np.zeros((2, 64, 64))
    # subcarrier 100 is number 4 of row 3; all energy of 4096 numbers of mean square one in one subcarrier
    expected[0, 3, 8:10] = np.array([3, -4]) / 5 * 64
    expected[1, 63, 63] = -64
    assert features[:2] == pytest.approx(expected, rel=1e-6)  # float32


def test_maps_are_the_sine_and_the_range_of_cbs() -> None:
    first = user_heard(ANGLE_SWEEP, 15.0, 0.4)
    second = user_heard(IMAGE.second(first), 15.0, 0.4)
    localization = Cbs(options=CbsOptions(), facts=FACTS).locate()
    asked = [next(localization)]
    asked.append(localization.send(PeakFeedback(subcarrier=int(np.abs(first.samples).argmax()))))
    with pytest.raises(StopIteration) as end:
        localization.send(PeakFeedback(subcarrier=int(np.abs(second.samples).argmax())))
    assert [request.focus for request in asked if isinstance(request, Sweep)] == [first.focus, second.focus]
    shown = IMAGE.of(first, second, 0.0)
    expected = np.sin(end.value.value.angle_rad), end.value.value.range_m / 50
    for one, constant in zip(shown.features[2:], expected, strict=True):
        assert one == pytest.approx(np.full((64, 64), constant), rel=1e-6)  # float32
    assert list(shown.correction.position(0.0, 0.0)) == pytest.approx([27.5, end.value.value.angle_rad], abs=1e-12)
    assert shown.mask is None


def test_features_know_the_phase_of_a_gain_and_not_its_modulus() -> None:
    first = user_heard(ANGLE_SWEEP, 30.0, -0.7)
    second = user_heard(IMAGE.second(first), 30.0, -0.7)

    def shown(gain: complex, other: complex) -> np.ndarray:
        return IMAGE.of(scaled(first, gain), scaled(second, other), 0.0).features

    plain, turned = shown(1.0, 1.0), shown(1j, -1.0)
    assert shown(40.0, 3e-7) == pytest.approx(plain, abs=1e-5)  # float32 of numbers up to some tens
    assert turned[0, :, 1::2] == pytest.approx(plain[0, :, ::2], abs=1e-5)
    assert turned[1] == pytest.approx(-plain[1], abs=1e-5)


def test_another_number_of_subcarriers_is_refused_by_name() -> None:
    grid = SubcarrierGrid(first_hz=97e9, spacing_hz=6e6, count=1024)
    facts = default_facts()
    other = msgspec.structs.replace(facts, downlink=msgspec.structs.replace(facts.downlink, grid=grid))
    with pytest.raises(ValueError, match="expected 2048 subcarriers, 64 x 64 numbers, got 1024 subcarriers"):
        representation("image", other)
