"""An emulated radio of a small testbed without its process, and what a controller and UEs hear of it."""

import numpy as np
import numpy.typing as npt

from emulator.config import EmulatorSection, FrontEndSection, Noise, ScattererSection, UserSection
from emulator.scene import Scene
from emulator.server import RadioServer
from protocol import messages as msg
from protocol.testbed import default_facts

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

FACTS = default_facts(subcarriers=64, elements=16, uplink_subcarriers=6)
C_M_S = FACTS.speed_of_light_m_s
USERS = {
    "ue-a": UserSection(range_m=12.0, angle_deg=20.0),
    "ue-b": UserSection(range_m=8.0, angle_deg=-30.0, visible_subarrays=(1, 2)),
    "ue-c": UserSection(range_m=10.0, angle_deg=0.0, velocity_m_s=(0.0, 1.0)),
    "ue-d": UserSection(range_m=6.0, angle_deg=0.0, velocity_m_s=(-1.0, 0.0)),  # walks into the array
}
NOISE_DB = EmulatorSection(users=USERS).downlink_noise


def server(
    *,
    noise: Noise = NOISE_DB,
    front_end: FrontEndSection | None = None,
    scatterers: tuple[ScattererSection, ...] = (),
    seed: int = 1,
) -> RadioServer:
    section = EmulatorSection(
        users=USERS,
        seed=seed,
        front_end=front_end or FrontEndSection(),
        downlink_noise=noise,
        uplink_noise=noise,
        scatterers=scatterers,
    )
    return RadioServer(FACTS, section, Scene.from_section(section, FACTS))


def configure(epoch: int, *, groups: int = 1, elements: int = 16, span_s: float = 1e-9) -> msg.Configure:
    """A setting whose delays grow from zero to the span; each epoch has phases of its own."""
    phase_cycles = np.random.default_rng(epoch).random((groups, elements))
    delay_s = np.tile(np.linspace(0.0, span_s, elements), (groups, 1))
    return msg.Configure(epoch=epoch, groups_per_pilot=groups, phase_cycles=phase_cycles, delay_s=delay_s)


def listened(radio: RadioServer, ue: str, epoch: int = 1) -> msg.Grid:
    answer = radio.listen(msg.Listen(ue=ue, epoch=epoch))
    assert isinstance(answer, msg.Grid)
    return answer


def grid_samples(radio: RadioServer, ue: str) -> ComplexArray:
    return np.asarray(listened(radio, ue).samples, dtype=np.complex128)


def captured(radio: RadioServer, ue: str, epoch: int = 1, now_s: float = 0.0) -> msg.Snapshot:
    answer = radio.hear(msg.Capture(epoch=epoch, ue=ue), now_s)
    assert isinstance(answer, msg.Snapshot)
    return answer


def ready(radio: RadioServer, request: msg.Configure, now_s: float = 0.0) -> msg.Ready:
    answer = radio.hear(request, now_s)
    assert isinstance(answer, msg.Ready)
    return answer


def declined(radio: RadioServer, request: msg.Message, now_s: float = 0.0) -> msg.Declined:
    answer = radio.hear(request, now_s)
    assert isinstance(answer, msg.Declined)
    return answer


def silence(radio: RadioServer, ue: str) -> msg.Silence:
    answer = radio.listen(msg.Listen(ue=ue, epoch=1))
    assert isinstance(answer, msg.Silence)
    return answer


def on_air(radio: RadioServer, epoch: int = 1, now_s: float = 0.0) -> RadioServer:
    ready(radio, configure(epoch), now_s)
    return radio
