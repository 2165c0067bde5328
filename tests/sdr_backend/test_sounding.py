"""Soundings of several UEs through an array's air, computed tap by tap, to snapshots."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from sdr_backend.array_calibration import ArrayCalibration, corrections
from sdr_backend.array_radio import ArrayBlock
from sdr_backend.sounding import Rounds, SlotListener, Sounding
from tests.oracles import dense_snapshot
from tests.sdr_backend.settings import UPLINK
from tests.sdr_backend.sounded_array import heard_round

ComplexArray = npt.NDArray[np.complex128]
C_M_S = 299_792_458.0
ROUNDS = Rounds.of(UPLINK.grid.count, ("near", "away", "far"))
LONGEST = 20.0 / C_M_S * UPLINK.grid.count * UPLINK.grid.spacing_hz  # of a region of 20 m
DELAY = 41  # of chains and cables; not a multiple of anything
# the second user by an echo as well, 10 dB below and 4 m longer
SNAPSHOTS = {
    "near": dense_snapshot(UPLINK, [(1.0, 6.0, 0.4, 0.0)], C_M_S),
    "far": dense_snapshot(UPLINK, [(0.3, 18.5, -0.7, 0.0), (0.1j, 9.0, 0.2, 13.5)], C_M_S),
}
HEARD = heard_round(ROUNDS, SNAPSHOTS, DELAY)
#: As in test_demodulation: rounding of cf32 samples in channels of power 1, the other user's samples are as large.
CF32 = 4e-7


def soundings(samples: ComplexArray, ue: str, *, block: int = 700, first: int = 0) -> Iterator[Sounding]:
    listener = SlotListener(ROUNDS, DELAY, LONGEST)
    listener.begin(ue)
    for place in range(0, samples.shape[1], block):
        part = samples[:, place : place + block].astype(np.complex64)
        sounding = listener.heard(ArrayBlock(samples=part, first_index=first + place))
        if sounding is not None:
            yield sounding


def in_phase(samples: ComplexArray, reference: ComplexArray) -> ComplexArray:
    """Samples turned by the one phase that is nobody's."""
    turned: ComplexArray = samples * np.exp(1j * np.angle(np.vdot(samples, reference)))
    return turned


@pytest.mark.clause("6.4")
@pytest.mark.parametrize("ue", SNAPSHOTS)
@pytest.mark.parametrize("block", [1, 333, 5000])
@pytest.mark.parametrize("spacings", [0.0, -0.37])
def test_sounding_is_the_snapshot_but_for_one_phase_whatever_blocks_and_carrier(
    ue: str, block: int, spacings: float
) -> None:
    samples = np.tile(HEARD, 2)[:, 100:]  # listened to from somewhere on
    samples *= np.exp(2j * np.pi * spacings / UPLINK.grid.count * np.arange(samples.shape[1]))
    sounding = next(soundings(samples, ue, block=block, first=100))
    np.testing.assert_allclose(in_phase(sounding.samples, SNAPSHOTS[ue]), SNAPSHOTS[ue], rtol=0, atol=CF32)
    assert sounding.carrier_offset_spacings == pytest.approx(spacings, abs=CF32)


def test_noise_of_a_sample_is_a_fifth_in_a_snapshot_and_is_told() -> None:
    rng = np.random.default_rng(3)
    sigma2 = 0.1  # of one symbol against a signal of 1: 10 dB
    noise = rng.standard_normal((*HEARD.shape, 2)).view(np.complex128)[..., 0] * np.sqrt(sigma2 / 2)
    heard = np.roll(HEARD, 100, axis=1) + ROUNDS.layout.amplitude * noise
    (sounding,) = soundings(np.roll(heard, -100, axis=1), "near")
    error = in_phase(sounding.samples, SNAPSHOTS["near"]) - SNAPSHOTS["near"]
    # means of so many exponential powers: five deviations
    tolerance = 5 / np.sqrt(error.size)
    assert np.mean(abs(error) ** 2) == pytest.approx(sigma2 / 5, rel=tolerance)
    assert sounding.noise_variance == pytest.approx(sigma2 / 5, rel=tolerance)


def test_a_slot_that_nobody_uses_holds_nothing() -> None:
    assert list(soundings(np.tile(HEARD, 2), "away")) == []


def test_a_burst_in_the_slot_of_somebody_else_is_not_taken_for_theirs() -> None:
    shifted = np.roll(np.tile(HEARD, 2), ROUNDS.layout.frame_samples, axis=1)
    assert list(soundings(shifted, "away")) == []


@pytest.mark.parametrize("late", [-5, 6, 30])
def test_a_burst_of_a_ue_that_counts_other_samples_is_refused(late: int) -> None:
    samples = np.tile(np.roll(HEARD, late, axis=1), 2)
    listener = SlotListener(ROUNDS, DELAY, LONGEST)
    listener.begin("near")
    assert listener.heard(ArrayBlock(samples=samples.astype(np.complex64), first_index=0)) is None
    assert listener.untimely == 1


def test_a_sounding_with_a_gap_is_lost_and_the_next_one_is_heard() -> None:
    listener = SlotListener(ROUNDS, DELAY, LONGEST)
    listener.begin("near")
    samples = np.tile(HEARD, 2).astype(np.complex64)
    cut = ROUNDS.layout.burst_samples // 2
    before = ArrayBlock(samples=samples[:, :cut], first_index=0)
    after = ArrayBlock(samples=samples[:, cut + 1 :], first_index=cut + 1)
    assert listener.heard(before) is None
    sounding = listener.heard(after)
    assert sounding is not None
    np.testing.assert_allclose(in_phase(sounding.samples, SNAPSHOTS["near"]), SNAPSHOTS["near"], rtol=0, atol=CF32)


def test_what_was_calibrated_of_the_chains_is_taken_out() -> None:
    antennas, count = SNAPSHOTS["near"].shape
    gain_db, phase_deg = np.linspace(-3, 3, antennas), np.linspace(0, 300, antennas)
    delay_samples = np.linspace(0, 1.5, antennas)
    turns = np.exp(-2j * np.pi * np.outer(delay_samples, np.arange(count)) / count)
    chains = (10 ** (gain_db / 20) * np.exp(1j * np.deg2rad(phase_deg)))[:, np.newaxis] * turns
    heard = heard_round(ROUNDS, {"near": SNAPSHOTS["near"] * chains}, DELAY)
    calibration = ArrayCalibration(
        gain_db=tuple(gain_db), phase_deg=tuple(phase_deg), delay_samples=tuple(delay_samples)
    )
    sounding = next(soundings(heard, "near"))
    found = sounding.samples * corrections(calibration, antennas, count)
    # gains of up to 3 dB
    np.testing.assert_allclose(in_phase(found, SNAPSHOTS["near"]), SNAPSHOTS["near"], rtol=0, atol=2 * CF32)


def test_a_calibration_of_another_array_is_refused() -> None:
    with pytest.raises(ValueError, match="phase_deg: expected none or one of each of 3 antennas, got 2"):
        corrections(ArrayCalibration(phase_deg=(1.0, 2.0)), 3, 8)
