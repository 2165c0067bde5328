"""The integrity of `likelihood` among echoes, with the emulator's physics and thermal noise.

A miss is a trusted fix more than 10 cm off, a false alarm a suspect fix within 10 cm. The noise is that of a receiver, equal
in all sweeps of a user and 10 dB below the mean power of its line of sight in the angle sweep: noise that follows the
received power would all but vanish from a range sweep that is aimed at nothing, and any test of the residual would look
perfect. At -6 dB gross errors are one in 300 and come of echoes in the line of sight's own beam; to count misses, users are
drawn that have such an echo, as one user in 22 has. Bounds are the rates to be kept plus three standard deviations of a
count of so many users.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from bs_controller.schemes import LikelihoodOptions, scheme_from_options
from bs_controller.sweeps import Integrity, Sweep
from bs_controller.trajectories import wide_trajectory
from deploy.results import error_m
from deploy.simulation import SimulatedRadio, User, locate
from emulator.config import LinkBudget, PathSection
from emulator.impairments import link_budget_amplitude, link_budget_sigma2_w
from emulator.scene import Position, drawn_paths
from protocol.messages import FeedbackKind
from protocol.testbed import default_facts

FACTS = default_facts()
SCHEME = scheme_from_options(LikelihoodOptions(), FACTS)
ANGLE_SWEEP = Sweep(focus=wide_trajectory(FACTS, 2.0, forward=True), kind=FeedbackKind.COMPLEX)
SNR_DB = 10.0
NEAR_RAD = 0.024  # six beams of the whole array, one and a half of a sub-array
FALSE_ALARM_RATE = 0.02
MISS_RATE = 0.05


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Fixes of one cell."""

    right: int
    gross: int
    false_alarms: int
    misses: int


def most(rate: float, count: int) -> float:
    return rate * count + 3 * float(np.sqrt(rate * (1 - rate) * count))


def drawn_user(rng: np.random.Generator, echo_db: float | None, masks: str) -> User:
    length = int(rng.integers(1, 5))
    first = int(rng.integers(5 - length))
    sections = (
        ()
        if echo_db is None
        else (PathSection(kind="reflected", gain_db=echo_db), PathSection(kind="diffracted", gain_db=echo_db))
    )
    return User(
        range_m=float(rng.uniform(5, 50)),
        angle_rad=float(rng.uniform(-np.pi / 3, np.pi / 3)),
        visible_subarrays=(0, 1, 2, 3) if masks == "full" else tuple(range(first, first + length)),
        paths=drawn_paths(sections, FACTS, rng),
    )


def with_an_echo_in_its_beam(user: User, rng: np.random.Generator) -> User:
    """The user with the scatterer of one of its paths, either as likely, moved towards its line of sight."""
    paths, moved = list(user.paths), int(rng.integers(len(user.paths)))
    angle_rad = user.angle_rad + float(rng.uniform(-NEAR_RAD, NEAR_RAD))
    scatterer = Position(range_m=paths[moved].scatterer.range_m, angle_rad=angle_rad)
    paths[moved] = replace(paths[moved], scatterer=scatterer)
    return replace(user, paths=tuple(paths))


def noise_for(quiet: SimulatedRadio, user: User) -> LinkBudget:
    """The transmit power that puts the user's line of sight at the wanted distance above thermal noise."""
    spacing_hz, count = FACTS.downlink.grid.spacing_hz, FACTS.downlink.grid.count
    samples, _ = quiet.received(ANGLE_SWEEP, replace(user, paths=()))
    at_0_dbm = LinkBudget(transmit_power_dbm=0.0, noise_figure_db=7.0)
    power_w = float(np.mean(np.abs(samples) ** 2)) * link_budget_amplitude(at_0_dbm, count) ** 2
    snr_at_0_dbm_db = 10 * np.log10(power_w / link_budget_sigma2_w(at_0_dbm, spacing_hz))
    return LinkBudget(transmit_power_dbm=float(SNR_DB - snr_at_0_dbm_db), noise_figure_db=7.0)


def counts_of(echo_db: float | None, masks: str, n_user: int, seed: int, *, in_beam: bool = False) -> Counts:
    rng = np.random.default_rng(seed)
    quiet, rows = SimulatedRadio(FACTS, rng=rng), []
    for _ in range(n_user):
        user = drawn_user(rng, echo_db, masks)
        if in_beam:
            user = with_an_echo_in_its_beam(user, rng)
        fix = locate(SCHEME, SimulatedRadio(FACTS, rng=rng, downlink_noise=noise_for(quiet, user)), user)
        error = error_m(fix.range_m, fix.angle_rad, user.range_m, user.angle_rad)
        rows.append((error > 0.1, fix.integrity is Integrity.SUSPECT))
    gross, suspect = np.array(rows).T
    return Counts(
        right=int((~gross).sum()),
        gross=int(gross.sum()),
        false_alarms=int((suspect & ~gross).sum()),
        misses=int((gross & ~suspect).sum()),
    )


def test_fixes_beside_two_echoes_at_minus_10_db_are_right_and_trusted() -> None:
    counts = counts_of(-10, "run", n_user=15, seed=31)
    assert counts.gross == 0
    assert counts.false_alarms <= most(FALSE_ALARM_RATE, counts.right)


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("echo_db", "n_user"), [(None, 100), (-10, 200), (-6, 200)])
@pytest.mark.parametrize("masks", ["full", "run"])
def test_good_fixes_beside_weaker_echoes_are_trusted(echo_db: float | None, n_user: int, masks: str) -> None:
    # misses are not held: gross errors are too few to count
    counts = counts_of(echo_db, masks, n_user, seed=32)
    assert counts.gross <= most(1 / 200, n_user)
    assert counts.false_alarms <= most(FALSE_ALARM_RATE, counts.right)


@pytest.mark.long
@pytest.mark.timeout(180)
def test_gross_errors_by_echoes_in_the_beam_are_suspect_and_few_others_are() -> None:
    counts = counts_of(-6, "run", n_user=300, seed=34, in_beam=True)
    assert counts.gross >= 2  # 4 % are gross: three standard deviations below 12, or there is nothing to detect
    assert counts.misses <= most(MISS_RATE, counts.gross)
    # of all users these are one in 22, so that a fifth of them adds half of the rate to be kept
    assert counts.false_alarms <= most(FALSE_ALARM_RATE / 2 * 22, counts.right)


@pytest.mark.long
@pytest.mark.timeout(180)
def test_gross_errors_beside_echoes_as_strong_as_the_line_of_sight_are_suspect() -> None:
    counts = counts_of(0, "full", n_user=80, seed=33)
    assert counts.gross >= 3  # 15 % are gross: three standard deviations below 12, or there is nothing to detect
    assert counts.misses <= most(MISS_RATE, counts.gross)
