import numpy as np
import pytest

from emulator.scene import Position, Scatterer
from emulator.uplink import UplinkEmulator
from protocol.testbed import SPEED_OF_LIGHT_M_S, SubcarrierGrid, Uplink, default_facts
from tests.oracles import dense_snapshot

C_M_S = SPEED_OF_LIGHT_M_S
# 28 GHz over 21 m is 2000 cycles: a double's 1e-16 of that, times 2 pi, is 1e-12; three digits of room.
SNAPSHOT_ERROR = 1e-9


def uplink(subcarriers: int) -> Uplink:
    grid = SubcarrierGrid(first_hz=28e9, spacing_hz=960e3, count=subcarriers)
    return Uplink(grid=grid, array=default_facts().uplink.array)


def cartesian_m(position: Position) -> complex:
    return complex(position.range_m * np.exp(1j * position.angle_rad))


def oracle_path(user: Position, scatterer: Scatterer | None) -> tuple[complex, float, float, float]:
    direct = C_M_S / (4 * np.pi * 28e9 * user.range_m)
    if scatterer is None:
        return direct, user.range_m, user.angle_rad, 0.0
    place = scatterer.position
    return direct * scatterer.gain, place.range_m, place.angle_rad, abs(cartesian_m(user) - cartesian_m(place))


@pytest.mark.parametrize("subcarriers", [2, 97, 100, 200])
@pytest.mark.parametrize("range_m", [2.0, 21.0])
def test_snapshot_is_the_double_sum(subcarriers: int, range_m: float) -> None:
    user = Position(range_m=range_m, angle_rad=0.6)
    scatterers = (
        Scatterer(position=Position(range_m=7.0, angle_rad=-0.5), gain=0.4 + 0.3j),
        Scatterer(position=Position(range_m=19.0, angle_rad=0.9), gain=-0.2j),
    )
    for present in ((), scatterers):
        samples = UplinkEmulator(uplink(subcarriers), C_M_S).received(user, present)
        paths = [oracle_path(user, scatterer) for scatterer in (None, *present)]
        dense = dense_snapshot(uplink(subcarriers), paths, C_M_S)
        assert samples.shape == (392, subcarriers)
        assert np.linalg.norm(samples - dense) <= SNAPSHOT_ERROR * np.linalg.norm(dense)


def test_scatterer_at_the_users_place_with_opposite_gain_cancels_the_user() -> None:
    user = Position(range_m=10.0, angle_rad=0.2)
    emulator = UplinkEmulator(uplink(100), C_M_S)
    alone = emulator.received(user)
    cancelled = emulator.received(user, (Scatterer(position=user, gain=-1 + 0j),))
    assert np.abs(cancelled).max() <= SNAPSHOT_ERROR * np.abs(alone).max()
