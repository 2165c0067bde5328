"""Full-size sweeps: the emulator's nonuniform FFT against the dense sum over elements that it replaces.

One user's sweep without noise, and all that the emulator does for a sweep that sixteen users in motion hear.
"""

from itertools import count

import numpy as np
import numpy.typing as npt

from emulator.config import EmulatorSection, RandomWalkSection, UserSection
from emulator.downlink import DownlinkEmulator
from emulator.scene import Position, Scene
from emulator.server import RadioServer
from protocol.messages import Configure, Listen
from protocol.testbed import Downlink, Setting, default_facts
from tests.benchmarks.harness import Row, median_ms

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

RATIO_TARGET = 100.0
ERROR_TARGET = 1e-8  # 80 dB below what a sweep at 80 dB SNR could show
USERS = 16
USERS_RATIO_TARGET = 50.0  # noise and places, which the dense sums leave out, take as long as the sweeps themselves
SWEEP_INTERVAL_S = 0.05


def rows() -> list[Row]:
    """Return the rows of this benchmark."""
    return [one_user(), users_in_motion()]


def one_user() -> Row:
    """Return the row of one user's sweep, without noise."""
    facts = default_facts()
    c_m_s, downlink = facts.speed_of_light_m_s, facts.downlink
    position, visible = Position(range_m=15.0, angle_rad=0.3), np.ones(downlink.array.elements)
    setting = angle_sweep(downlink, c_m_s)
    emulator = DownlinkEmulator(downlink, c_m_s)
    ours = emulator.received(setting, position, visible)
    dense = dense_sum(downlink, setting, position, visible, c_m_s)
    error = float(np.linalg.norm(ours - dense) / np.linalg.norm(dense))
    ours_ms, baseline_ms = median_ms(
        lambda: emulator.received(setting, position, visible),
        lambda: dense_sum(downlink, setting, position, visible, c_m_s),
        ours_runs=300,
        baseline_runs=15,
    )
    return Row(
        name="one full-size downlink sweep, one user, one core",
        ours_ms=ours_ms,
        baseline_ms=baseline_ms,
        error=error,
        target=">= 100 x, error <= 1e-8",
        met=baseline_ms / ours_ms >= RATIO_TARGET and error <= ERROR_TARGET,
        details={"elements": downlink.array.elements, "subcarriers": downlink.grid.count},
    )


def users_in_motion() -> Row:
    """Return the row of a sweep from setting to grids with noise; no user is ever twice in one place."""
    facts = default_facts()
    c_m_s, downlink = facts.speed_of_light_m_s, facts.downlink
    user = UserSection(range_m="drawn", angle_deg="drawn", motion=RandomWalkSection(speed_m_s=1.4))
    section = EmulatorSection(users={f"ue-1..{USERS}": user})
    scene = Scene.from_section(section, facts)
    radio, setting, epochs = RadioServer(facts, section, scene), angle_sweep(downlink, c_m_s), count(1)
    position, visible = scene.position("ue-1", 0.0), np.ones(downlink.array.elements)

    def sweep() -> None:
        epoch = next(epochs)
        now_s = epoch * SWEEP_INTERVAL_S
        phase_cycles, delay_s = setting.phase_cycles, setting.delay_s
        radio.hear(Configure(epoch=epoch, phase_cycles=phase_cycles, delay_s=delay_s, groups_per_pilot=1), now_s)
        for name in scene.names:
            radio.listen(Listen(ue=name, epoch=epoch))
        radio.truth.clear()

    ours_ms, one_ms = median_ms(
        sweep, lambda: dense_sum(downlink, setting, position, visible, c_m_s), ours_runs=60, baseline_runs=15
    )
    return Row(
        name=f"one full-size downlink sweep with noise, {USERS} users in motion, one core",
        ours_ms=ours_ms,
        baseline_ms=USERS * one_ms,
        error=None,
        target=f">= {USERS_RATIO_TARGET:g} x",
        met=USERS * one_ms / ours_ms >= USERS_RATIO_TARGET,
        details={"users": USERS, "sweeps_per_s": 1e3 / ours_ms},
    )


def dense_sum(downlink: Downlink, setting: Setting, position: Position, visible: Floats, c_m_s: float) -> ComplexArray:
    """Sum the tones of all elements as one would write it in numpy: one exponential per element and subcarrier."""
    x_m = downlink.array.element_x_m
    r_m, theta_rad = position.range_m, position.angle_rad
    tau_s = np.sqrt(r_m**2 + x_m**2 - 2 * r_m * x_m * np.sin(theta_rad)) / c_m_s
    f_hz, ft_hz = downlink.grid.frequency_hz, downlink.grid.offset_hz
    # channel and weight in one exponential: half the work of the two matrices that the formula has
    cycles = np.outer(tau_s, f_hz) - np.outer(setting.delay_s[0], ft_hz) - setting.phase_cycles[0][:, np.newaxis]
    tones = np.exp(2j * np.pi * cycles)
    received: ComplexArray = (visible @ tones) * (c_m_s / (4 * np.pi * f_hz * r_m * np.sqrt(x_m.size)))
    return received


def angle_sweep(downlink: Downlink, c_m_s: float) -> Setting:
    """Return the sweep from +60 to -60 deg at 5 m [CBS, eq. (7)]."""
    grid, x_m = downlink.grid, downlink.array.element_x_m
    start_m = np.sqrt(25 + x_m**2 - 10 * x_m * np.sin(np.pi / 3))
    end_m = np.sqrt(25 + x_m**2 + 10 * x_m * np.sin(np.pi / 3))
    delay_s = (grid.last_hz * end_m - grid.first_hz * start_m) / (c_m_s * (grid.last_hz - grid.first_hz))
    phase_cycles = grid.first_hz * start_m / c_m_s
    return Setting(phase_cycles=phase_cycles[np.newaxis], delay_s=(delay_s - delay_s.min())[np.newaxis])
