"""Real processes under a seeded campaign of faults: nothing acknowledged is lost, and everybody who was hit comes back."""

import pytest

from tests.faults.beds import PLACES
from tests.faults.campaign import MAX_HIT, Fault, campaign, planned
from tests.faults.kinds import KINDS, Wound, hit_users

SEED = 20


def test_campaign_has_as_many_faults_as_asked_for_and_each_kind() -> None:
    plan = planned(1000)
    assert sum(number for _, number in plan) == 1000
    assert [number for _, number in plan] == [kind.share for kind in KINDS]
    assert all(number == 1 for _, number in planned(1))


def test_two_users_at_least_are_healthy_while_users_are_hit() -> None:
    assert len(PLACES) - MAX_HIT >= 2
    assert all(len(hit_users(victim)) in {1, len(PLACES)} for kind in KINDS for victim in kind.victims)


def test_user_has_recovered_with_the_second_fix_after_the_fault_ended() -> None:
    fault = Fault("ue-1", Wound(), frozenset({"ue-1"}), heals_at_s=0.0)
    assert not fault.located("ue-1"), "the fault lasts"
    fault.healed_s = 0.0
    assert not fault.located("ue-2"), "nobody hit"
    assert not fault.located("ue-1"), "it may have been under way before"
    assert fault.located("ue-1")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.requirement("faults are survived: nothing acknowledged is lost, doubled or another's")
def test_no_invariant_breaks_under_sixty_faults_of_all_kinds() -> None:
    report = campaign(60, SEED)
    assert report.violations == ()
    assert {row.kind for row in report.rows} | set(report.skipped) == {kind.name for kind in KINDS}
    assert report.count >= 60 - sum(number for kind, number in planned(60) if kind.name in report.skipped)
