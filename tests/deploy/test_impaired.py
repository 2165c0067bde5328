"""The example of every impairment, and the same options in a simulation without processes."""

from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from bs_controller import Sweep, Trajectory, default_facts
from deploy.checks import CheckedTestbed, checked
from deploy.simulation import SimulatedRadio, User
from emulator.config import (
    ClocksSection,
    ElementErrorsSection,
    FrontEndErrorsSection,
    FrontEndSection,
    LinkBudget,
    UserSection,
)
from emulator.scene import drawn_paths
from protocol.config import read_testbed
from protocol.messages import FeedbackKind

ComplexArray = npt.NDArray[np.complex128]

FILE = Path(__file__).parents[2] / "deploy" / "testbeds" / "impaired.yaml"
FACTS = default_facts(subcarriers=256, elements=64, uplink_subcarriers=8)
ARC = Trajectory(start_range_m=5, start_angle_rad=1.0, end_range_m=5, end_angle_rad=-1.0)
SWEEP = Sweep(focus=ARC, kind=FeedbackKind.COMPLEX)
PLACE = User(range_m=15.0, angle_rad=0.1)
# Weak enough that the noise is as large as the signal: a change of the noise would show.
THERMAL = LinkBudget(transmit_power_dbm=-20.0, noise_figure_db=10.0)


@pytest.fixture(scope="module")
def impaired() -> CheckedTestbed:
    return checked(read_testbed(FILE))


def test_example_of_impairments_fits_its_testbed(impaired: CheckedTestbed) -> None:
    assert impaired.expected_fixes == 8


@pytest.mark.parametrize("section", ["front_end", "front_end.errors", "uplink_errors", "clocks"])
def test_example_switches_on_every_impairment_of_the_hardware(impaired: CheckedTestbed, section: str) -> None:
    part: msgspec.Struct = impaired.emulator
    for name in section.split("."):
        part = getattr(part, name)
    defaults = type(part)()
    same = [name for name in part.__struct_fields__ if getattr(part, name) == getattr(defaults, name)]
    assert same in ([], ["delay_span_s"])  # a length is there by default


def test_example_shows_every_field_of_a_user_and_of_a_path(impaired: CheckedTestbed) -> None:
    users = impaired.emulator.users.values()
    for field in set(UserSection.__struct_fields__) - {"range_m", "angle_deg", "motion"}:  # that is moving.yaml's
        default = getattr(UserSection(range_m=1.0, angle_deg=0.0), field)
        assert any(getattr(user, field) != default for user in users), field
    paths = impaired.emulator.users["ue-3"].paths
    assert paths != "mixed"
    for field in paths[0].__struct_fields__:
        assert getattr(paths[0], field) != "drawn"


def test_example_explains_every_line_of_what_is_impaired() -> None:
    """One comment per field, or one for the line that opens a block of fields explained before."""
    text = FILE.read_text(encoding="utf-8")
    block = text[text.index("  front_end:") : text.index("  uplink_errors:")]
    assert [line for line in block.splitlines()[1:] if "#" not in line] == []


# --- without processes -----------------------------------------------------------------------------------------------


def samples(user: User, **options: object) -> ComplexArray:
    radio = SimulatedRadio(FACTS, rng=np.random.default_rng(3), **options)  # type: ignore[arg-type]
    return radio.received(SWEEP, user)[0]


ERRORS = FrontEndErrorsSection(gain_rms_db=1.0, phase_rms_deg=10.0, dead_fraction=0.1, delay_rms_s=5e-12)
CASES: dict[str, tuple[User, dict[str, object]]] = {
    "front end": (PLACE, {"front_end": FrontEndSection(errors=ERRORS)}),
    "clocks": (PLACE, {"clocks": ClocksSection(phase_noise_rms_deg=20.0)}),
    "paths": (
        User(range_m=15.0, angle_rad=0.1, paths=drawn_paths("mixed", FACTS, np.random.default_rng(2))),
        {},
    ),
    "timing": (User(range_m=15.0, angle_rad=0.1, timing_offset_s=1e-9), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_simulation_has_the_impairment_and_the_noise_of_a_simulation_without(case: str) -> None:
    user, options = CASES[case]
    clean = samples(user, **options)
    assert np.linalg.norm(clean - samples(PLACE)) > 1e-3 * np.linalg.norm(clean)
    silent = msgspec.structs.replace(THERMAL, temperature_k=1e-12)
    with_it = samples(user, downlink_noise=THERMAL, **options) - samples(user, downlink_noise=silent, **options)
    without = samples(PLACE, downlink_noise=THERMAL) - samples(PLACE, downlink_noise=silent)
    # the quiet one has noise as well, 6e-8 of the other's amplitude
    assert np.linalg.norm(with_it - without) <= 1e-6 * np.linalg.norm(without)


def test_simulated_carrier_offset_turns_the_phase_from_sweep_to_sweep() -> None:
    radio = SimulatedRadio(FACTS, rng=np.random.default_rng(3), sweep_interval_s=0.25e-3)
    user = User(range_m=15.0, angle_rad=0.1, carrier_offset_hz=1e3)
    first, second = (radio.received(SWEEP, user)[0] for _ in range(2))
    np.testing.assert_allclose(second, 1j * first, rtol=1e-9)  # a quarter of a turn


def test_simulated_uplink_array_errs_as_asked_for() -> None:
    errors = ElementErrorsSection(dead_fraction=0.25)
    radio = SimulatedRadio(FACTS, rng=np.random.default_rng(3), uplink_errors=errors)
    snapshot = radio.snapshot(PLACE).samples
    assert np.count_nonzero(np.abs(snapshot).sum(axis=1) == 0) == 98  # a quarter of 392
