"""The integrity of an uplink fix with the emulator's physics: two users that transmit at once, from one angle."""

import msgspec
import numpy as np
import pytest

from bs_controller.schemes import BackprojectionOptions, scheme_from_options
from bs_controller.sweeps import Fix, Integrity, Snapshot
from deploy.simulation import SimulatedRadio, User, locate
from emulator.config import SweepMean
from protocol.testbed import TestbedFacts, default_facts

ANGLE_RAD = 0.2


def facts_at(carrier_hz: float, elements: int) -> TestbedFacts:
    facts = default_facts()
    grid = msgspec.structs.replace(facts.uplink.grid, first_hz=carrier_hz)
    array = msgspec.structs.replace(facts.uplink.array, elements=elements)
    return msgspec.structs.replace(facts, uplink=msgspec.structs.replace(facts.uplink, grid=grid, array=array))


def radio_of(facts: TestbedFacts) -> SimulatedRadio:
    return SimulatedRadio(facts, rng=np.random.default_rng(1), uplink_noise=SweepMean(snr_db=10.0))


def fix_of_two(facts: TestbedFacts, first_m: float, second_m: float, second_db: float) -> Fix:
    """Return the fix from the sum of two snapshots, the second user received `second_db` above the first."""
    radio = radio_of(facts)
    first, second = (radio.snapshot(User(range_m=m, angle_rad=ANGLE_RAD)).samples for m in (first_m, second_m))
    gain = 10 ** (second_db / 20) * np.linalg.norm(first) / np.linalg.norm(second)
    localization = scheme_from_options(BackprojectionOptions(), facts).locate()
    next(localization)
    with pytest.raises(StopIteration) as stopped:
        localization.send(Snapshot(samples=first + gain * second))
    fix: Fix = stopped.value.value
    return fix


@pytest.mark.parametrize(("carrier_hz", "elements"), [(3.5e9, 49), (10e9, 140), (28e9, 392)])
@pytest.mark.parametrize("second_db", [0.0, -6.0])
def test_fix_that_merges_two_users_is_suspect(carrier_hz: float, elements: int, second_db: float) -> None:
    fix = fix_of_two(facts_at(carrier_hz, elements), 8.0, 9.0, second_db)
    assert fix.integrity is Integrity.SUSPECT


def test_fix_beside_a_user_that_is_found_apart_is_trusted() -> None:
    fix = fix_of_two(facts_at(28e9, 392), 6.0, 12.0, -6.0)
    assert (fix.integrity, len(fix.targets)) == (Integrity.TRUSTED, 1)
    # a noise of -10 dB on each of 39 200 samples leaves millimetres, polishing beside the other user a little more
    np.testing.assert_allclose([fix.range_m, fix.targets[0].range_m], [6.0, 12.0], atol=0.05)


@pytest.mark.parametrize(("carrier_hz", "elements"), [(3.5e9, 49), (10e9, 140), (28e9, 392)])
def test_fix_of_a_lone_user_is_trusted(carrier_hz: float, elements: int) -> None:
    facts = facts_at(carrier_hz, elements)
    scheme = scheme_from_options(BackprojectionOptions(), facts)
    fix = locate(scheme, radio_of(facts), User(range_m=8.0, angle_rad=ANGLE_RAD))
    assert fix.integrity is Integrity.TRUSTED
