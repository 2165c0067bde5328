"""The radio process beside an uplink array of its own: ``python -m tests.sdr_backend.sounded_radio FILE``."""

import sys
from pathlib import Path

from emulator.config import EmulatorSection
from emulator.scene import Scene
from emulator.uplink import UplinkEmulator
from protocol.config import facts, read_testbed
from sdr_backend.config import SdrBackendSection
from sdr_backend.process import main
from sdr_backend.sounding import Rounds
from tests.sdr_backend.sounded_array import SoundedArray, heard_round

FAINT = 1e-5  # of the signal; two measurements differ


def sounded(path: Path) -> SoundedArray:
    loaded = read_testbed(path)
    shared = facts(loaded.file)
    scene = Scene.from_section(loaded.section("emulator", EmulatorSection), shared)
    uplink = UplinkEmulator(shared.uplink, shared.speed_of_light_m_s)
    receiver = loaded.section("sdr_backend", SdrBackendSection).uplink
    assert receiver is not None
    rounds = Rounds.of(shared.uplink.grid.count, scene.names)
    snapshots = {ue: uplink.received(scene.position(ue, 0.0)) for ue in scene.names}
    heard = heard_round(rounds, snapshots, receiver.delay_samples)
    return SoundedArray(str(receiver.radio.options["receive"]), heard, FAINT * abs(heard).max())


if __name__ == "__main__":
    array = sounded(Path(sys.argv[1]))
    sys.exit(main(Path(sys.argv[1]), quiet=True))
