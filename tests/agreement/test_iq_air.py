"""The air of samples and the receiver, each from its own side, agree with the grids that the emulator gives."""

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.beams import setting_from_focus
from bs_controller.sweeps import Trajectory
from emulator.config import EmulatorSection, FrontEndSection, NoNoise, PathSection, SweepMean, UserSection
from emulator.downlink import DownlinkEmulator
from emulator.iq_air import IqAir, common_delay_samples
from emulator.scene import Scene
from protocol.config import SdrSection
from protocol.messages import Configure
from protocol.testbed import FrontEndLimits, Setting, default_facts
from sdr_backend.channel import SampleChannel
from sdr_backend.front_end import pilots_from_setting, setting_from_pilot
from sdr_backend.ofdm import DEFAULT_AMPLITUDE, FrameLayout, Modulator
from sdr_backend.radio import Block
from sdr_backend.receiver import BurstListener, OfdmOptions
from sdr_backend.tag import Tag

ComplexArray = npt.NDArray[np.complex128]

FACTS = default_facts()
COUNT = FACTS.downlink.grid.count
LAYOUT = FrameLayout.of(COUNT)
SPAN_S = 100e-9
DELAY = common_delay_samples(FACTS, SPAN_S)
UNIT = np.ones(1, dtype=np.complex128)
USERS = {
    "near": UserSection(range_m=5.0, angle_deg=57.0),
    "late": UserSection(range_m=15.0, angle_deg=17.0, timing_offset_s=2e-9, carrier_offset_hz=1e3),
    "far": UserSection(range_m=50.0, angle_deg=-57.0, visible_subarrays=(1, 2)),
    "echo": UserSection(range_m=8.0, angle_deg=5.0, paths=(PathSection(kind="reflected", gain_db=-6.0),)),
}
ARC = Trajectory(start_range_m=5, start_angle_rad=np.pi / 3, end_range_m=5, end_angle_rad=-np.pi / 3)


def section(noise: SweepMean | NoNoise) -> EmulatorSection:
    return EmulatorSection(users=USERS, front_end=FrontEndSection(delay_span_s=SPAN_S), downlink_noise=noise)


def air(noise: SweepMean | NoNoise) -> IqAir:
    wanted = section(noise)
    return IqAir(FACTS, wanted, Scene.from_section(wanted, FACTS), DEFAULT_AMPLITUDE)


def grid_of_emulator(setting: Setting, ue: str) -> ComplexArray:
    scene = Scene.from_section(section(NoNoise()), FACTS)
    user = scene.user(ue)
    downlink = DownlinkEmulator(FACTS.downlink, FACTS.speed_of_light_m_s)
    heard = downlink.received(setting, user.start, user.visible, user.paths)
    late: ComplexArray = heard * np.exp(2j * np.pi * FACTS.downlink.grid.offset_hz * user.timing_offset_s)
    return late


def configure(setting: Setting) -> Configure:
    return Configure(epoch=1, groups_per_pilot=1, phase_cycles=setting.phase_cycles, delay_s=setting.delay_s)


def grid_over_samples(settings: list[Setting], ue: str, noise: SweepMean | NoNoise, offset: float) -> ComplexArray:
    """What a UE reports of pilots that were sent one after another, each through its own setting."""
    through, channel, listener = (
        air(noise),
        SampleChannel(1),
        BurstListener(LAYOUT, OfdmOptions(radio="none", frame_delay_samples=DELAY)),
    )
    found = None
    for pilot, setting in enumerate(settings):
        heard = through.latched(configure(setting), 1, 0.0)[ue]
        channel.change(heard.taps, UNIT, heard.noise_rms, offset / COUNT)
        frames = [
            Modulator(LAYOUT).frame(Tag.of(1, pilot, len(settings))),
            np.zeros(LAYOUT.frame_samples, np.complex64),
        ]
        for k, frame in enumerate(frames):
            first = (2 * pilot + k) * LAYOUT.frame_samples
            found = listener.heard(Block(samples=channel.passed(frame), first_index=first), 1) or found
    assert found is not None
    assert found[0] == 1
    return found[1]


def without_phase(grid: ComplexArray, expected: ComplexArray) -> ComplexArray:
    product = np.vdot(grid, expected)
    turned: ComplexArray = grid * product / abs(product)
    return turned


@pytest.mark.parametrize("ue", USERS)
def test_grid_over_samples_is_the_emulators_with_its_time_of_flight(ue: str) -> None:
    setting = setting_from_focus(ARC, FACTS)
    expected = grid_of_emulator(setting, ue)
    grid = without_phase(grid_over_samples([setting], ue, NoNoise(), 0.05), expected)
    # delays between two samples have tails over all taps, of which what is beyond the prefix disturbs: -40 dB
    assert np.linalg.norm(grid - expected) <= 1e-2 * np.linalg.norm(expected)


def test_taps_are_causal_and_end_before_a_symbol() -> None:
    setting = setting_from_focus(ARC, FACTS)
    for heard in air(NoNoise()).latched(configure(setting), 1, 0.0).values():
        power = np.abs(heard.taps) ** 2
        # a wavefront has ends where its elements have: what is left on the other side of the symbol are tails
        assert power[:16].sum() + power[-16:].sum() <= 1e-3 * power.sum()


def test_noise_of_a_symbol_is_that_of_the_emulator() -> None:
    setting, snr_db = setting_from_focus(ARC, FACTS), 10.0
    heard = air(SweepMean(snr_db=snr_db)).latched(configure(setting), 1, 0.0)["near"]
    power = np.mean(np.abs(grid_of_emulator(setting, "near")) ** 2) * DEFAULT_AMPLITUDE**2
    assert heard.noise_rms**2 == pytest.approx(power / 10 ** (snr_db / 10), rel=1e-9)  # finufft's tolerance is 1e-10


def test_groups_in_pilots_of_their_own_are_put_together_in_spite_of_the_carriers_offset() -> None:
    limits = FrontEndLimits(elements=512, groups=1, phase_bits=0, delay_step_s=0, delay_span_s=SPAN_S, settle_s=0)
    one = setting_from_focus(ARC, FACTS)
    rng = np.random.default_rng(5)
    setting = Setting(
        phase_cycles=np.repeat(one.phase_cycles, 4, axis=0) + rng.random((4, 1)), delay_s=np.repeat(one.delay_s, 4, 0)
    )
    pilots = [setting_from_pilot(pilot) for pilot in pilots_from_setting(setting, limits)]
    expected = grid_of_emulator(setting, "near")
    grid = without_phase(grid_over_samples(pilots, "near", NoNoise(), 0.05), expected)
    # the offset is known to 1e-6 spacings without noise, over six frames of 7.5 symbols to a few 1e-4 turns
    assert np.linalg.norm(grid - expected) <= 1.5e-2 * np.linalg.norm(expected)


def test_a_pilot_that_holds_some_groups_sends_the_nearest_one_elsewhere() -> None:
    limits = FrontEndLimits(elements=2, groups=2, phase_bits=0, delay_step_s=0, delay_span_s=SPAN_S, settle_s=0)
    phase_cycles = np.arange(12.0).reshape(6, 2)
    setting = Setting(phase_cycles=phase_cycles, delay_s=np.zeros((6, 2)), groups_per_pilot=2)
    middle = setting_from_pilot(pilots_from_setting(setting, limits)[1])
    np.testing.assert_array_equal(middle.phase_cycles, phase_cycles[[2, 2, 2, 3, 3, 3]])


def test_the_files_rms_is_that_of_the_waveform() -> None:
    values = {"settings": "ipc:///s", "channel_port": 1, "transmit": "ipc:///{ue}.t", "receive": "ipc:///{ue}.r"}
    assert SdrSection(**values).sent_rms == DEFAULT_AMPLITUDE  # type: ignore[arg-type]
