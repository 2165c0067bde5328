"""Sweeps of the emulator, sent as samples through the waveform of real radios, are the grids that the emulator gives."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import fftconvolve

from bs_controller.beams import setting_from_focus
from bs_controller.sweeps import Trajectory
from emulator.downlink import DownlinkEmulator
from emulator.scene import Position
from protocol.testbed import default_facts
from sdr_backend.ofdm import FrameLayout, Modulator
from sdr_backend.synchronisation import Burst, BurstDetector
from sdr_backend.tag import Tag

ComplexArray = npt.NDArray[np.complex128]

FACTS = default_facts()
COUNT = FACTS.downlink.grid.count
LAYOUT = FrameLayout.of(COUNT)
USERS = [(5.0, 1.0), (15.0, 0.3), (50.0, -1.0)]


def sweeps(range_m: float, angle_rad: float) -> list[ComplexArray]:
    """The angle sweep and the range sweep of CBS as one user hears them, each of unit mean power."""
    emulator, user = (
        DownlinkEmulator(FACTS.downlink, FACTS.speed_of_light_m_s),
        Position(range_m=range_m, angle_rad=angle_rad),
    )
    arcs = [
        Trajectory(start_range_m=5, start_angle_rad=np.pi / 3, end_range_m=5, end_angle_rad=-np.pi / 3),
        Trajectory(start_range_m=50, start_angle_rad=angle_rad, end_range_m=5, end_angle_rad=angle_rad),
    ]
    grids = [emulator.received(setting_from_focus(arc, FACTS), user, np.ones(512)) for arc in arcs]
    return [grid / np.sqrt(np.mean(np.abs(grid) ** 2)) for grid in grids]


def middle_of_power(response: npt.NDArray[np.complexfloating]) -> int:
    """Mean tap of a response whose taps are those of a circle."""
    circle = np.exp(2j * np.pi * np.arange(COUNT) / COUNT)
    return round(float(np.angle(np.sum(np.abs(response) ** 2 * circle))) * COUNT / (2 * np.pi))


def heard(grids: Sequence[ComplexArray], snr_db: float, rng: np.random.Generator) -> list[Burst]:
    """What a receiver makes of one frame for each grid, whose medium delays by what advances the grid (SPEC 6.2)."""
    modulator, frame = Modulator(LAYOUT), LAYOUT.frame_samples
    samples = np.zeros((len(grids) + 2) * frame, dtype=np.complex128)
    for k, grid in enumerate(grids):
        response = np.fft.ifft(grid.conj())
        late = np.roll(response, COUNT // 2 - middle_of_power(response))  # neither end of the response wraps around
        received = fftconvolve(modulator.burst(Tag.of(1, k, len(grids))), late)
        samples[k * frame :][: received.size] += received
    samples += LAYOUT.amplitude * 10 ** (-snr_db / 20) / np.sqrt(2) * (rng.standard_normal((samples.size, 2)) @ (1, 1j))
    return BurstDetector(LAYOUT).heard(samples, 0)


@pytest.mark.parametrize(("range_m", "angle_rad"), USERS)
def test_the_grid_of_a_sweep_arrives_but_for_a_delay_and_a_phase(range_m: float, angle_rad: float) -> None:
    grids = sweeps(range_m, angle_rad)
    bursts = heard(grids, 200.0, np.random.default_rng(1))
    assert [burst.tag.pilot for burst in bursts] == [0, 1]
    for grid, burst in zip(grids, bursts, strict=True):
        late = np.fft.ifft(burst.channel * grid)  # the phases of the grid cancel: one tap at the delay
        delay = int(np.abs(late).argmax())
        aligned = burst.channel.conj() * np.exp(-2j * np.pi * np.arange(COUNT) * delay / COUNT)
        # delays between two samples have tails over all taps, of which what is beyond the prefix disturbs: -40 dB
        assert np.linalg.norm(aligned - grid) <= 1e-2 * np.linalg.norm(grid)


@pytest.mark.parametrize(("range_m", "angle_rad"), USERS)
def test_sweeps_are_read_at_minus_six_decibel_wherever_the_user_is(range_m: float, angle_rad: float) -> None:
    bursts = heard(sweeps(range_m, angle_rad) * 20, -6.0, np.random.default_rng(2))
    # four of five even of the user in focus, half of whose power lies on three subcarriers; less five deviations of the count
    assert len(bursts) >= 0.8 * 40 - 5 * np.sqrt(40 * 0.8 * 0.2)


@pytest.mark.parametrize(("range_m", "angle_rad"), USERS)
def test_the_frame_phase_is_locked_to_within_a_nanosecond_again(range_m: float, angle_rad: float) -> None:
    first, *others = (
        heard(sweeps(range_m, angle_rad)[:1], 5.0, np.random.default_rng(seed))[0].first_index for seed in range(10)
    )
    # the middle of the power of 512 elements; a nanosecond is 6 samples
    assert max(abs(other - first) for other in others) <= 6
