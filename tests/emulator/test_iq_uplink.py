"""Taps from users to the uplink array are the emulator's own snapshots, and so is the noise behind them."""

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from emulator.config import EmulatorSection
from emulator.iq_uplink import ArrayAir, UplinkIqAir
from emulator.scene import Scene
from emulator.server import RadioServer
from protocol.messages import Capture, Snapshot
from protocol.testbed import default_facts

ComplexArray = npt.NDArray[np.complex128]
FACTS = default_facts(subcarriers=64, elements=8, uplink_subcarriers=20)
VALUES = {
    "users": {"ue-1": {"range_m": 8.0, "angle_deg": 5.0}, "ue-2": {"range_m": 12.0, "angle_deg": -32.0}},
    "scatterers": [{"range_m": 9.0, "angle_deg": 30.0, "gain_db": -6.0}],
    "uplink_errors": {"phase_rms_deg": 20.0, "gain_rms_db": 1.0},
}
SENT_RMS = 0.2


def section(noise: object) -> EmulatorSection:
    return msgspec.convert({**VALUES, "uplink_noise": noise}, EmulatorSection)


def air(noise: object, ue: str = "ue-2") -> ArrayAir:
    made = section(noise)
    return UplinkIqAir(FACTS, made, Scene.from_section(made, FACTS), SENT_RMS).captured(Capture(epoch=1, ue=ue), 0.0)


def emulated(noise: object, ue: str, epochs: int = 1) -> ComplexArray:
    """Snapshots of the emulator, ``(epoch, element, subcarrier)``."""
    made = section(noise)
    server = RadioServer(FACTS, made, Scene.from_section(made, FACTS))
    answers = [server.hear(Capture(epoch=epoch, ue=ue), 0.0) for epoch in range(1, epochs + 1)]
    return np.stack([answer.samples for answer in answers if isinstance(answer, Snapshot)]).astype(np.complex128)


@pytest.mark.parametrize("ue", ["ue-1", "ue-2"])
def test_response_of_taps_without_their_delay_of_half_a_symbol_is_the_emulators_snapshot(ue: str) -> None:
    response = np.fft.fft(air({"mode": "none"}).taps[ue])
    undelayed = response * np.exp(2j * np.pi * np.arange(20) * 10 / 20)
    (snapshot,) = emulated({"mode": "none"}, ue)
    # the emulator's answer is complex64
    np.testing.assert_allclose(undelayed, snapshot, rtol=0, atol=1e-6 * abs(snapshot).max())


@pytest.mark.parametrize(
    "noise",
    [
        {"mode": "sweep_mean", "snr_db": 3.0},
        {"mode": "link_budget", "transmit_power_dbm": -60.0, "noise_figure_db": 6.0},
    ],
    ids=["sweep_mean", "link_budget"],
)
def test_noise_behind_taps_is_the_emulators_against_what_is_sent(noise: object) -> None:
    first, second = emulated(noise, "ue-2", 2)
    measured = np.mean(abs(first - second) ** 2) / 2
    # five deviations of the mean of so many exponential powers
    assert (air(noise).noise_rms / SENT_RMS) ** 2 == pytest.approx(measured, rel=5 / np.sqrt(first.size / 2))


def test_a_user_whom_the_scene_does_not_have_is_listened_to_without_noise_or_truth() -> None:
    made = section({"mode": "sweep_mean", "snr_db": 3.0})
    uplink = UplinkIqAir(FACTS, made, Scene.from_section(made, FACTS), SENT_RMS)
    assert uplink.captured(Capture(epoch=1, ue="ue-9"), 0.0).noise_rms == 0.0
    assert uplink.truth == []


def test_noise_that_differs_between_subcarriers_is_refused() -> None:
    with pytest.raises(ValueError, match="uplink_noise: expected noise that is flat"):
        air({"mode": "per_subcarrier", "snr_db": 3.0})
