"""The example of users who move."""

from pathlib import Path

from deploy.checks import checked
from emulator.config import RandomWalkSection, RecordedSection, WaypointsSection
from emulator.scene import Scene
from emulator.tracks import read_tracks
from protocol.config import facts, read_testbed

FILE = Path(__file__).parents[2] / "deploy" / "testbeds" / "moving.yaml"


def test_example_of_motions_shows_every_kind_to_the_controller() -> None:
    testbed = checked(read_testbed(FILE))
    assert testbed.controller.ues == tuple(testbed.emulator.users)
    motions = {type(user.motion) for user in testbed.emulator.users.values()}
    assert motions == {WaypointsSection, RandomWalkSection, RecordedSection}


def test_everybody_in_the_example_moves_and_stays_in_the_region() -> None:
    loaded = read_testbed(FILE)
    section, shared = checked(loaded).emulator, facts(loaded.file)
    region = shared.region
    scene = Scene.from_section(section, shared, read_tracks(section, FILE.parent, region))
    for name in scene.names:
        places = [scene.position(name, 0.5 * step) for step in range(200)]
        assert len(set(places)) > 10, name  # those on a round come by again
        # borders may be passed by the rounding of coordinates
        assert all(region.range_min_m - 1e-9 <= place.range_m <= region.range_max_m + 1e-9 for place in places), name
        assert all(region.angle_min_rad <= place.angle_rad <= region.angle_max_rad for place in places), name
