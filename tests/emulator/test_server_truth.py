"""What the emulated radio keeps as the truth: where each user was when the pilots of a setting were sent, told once."""

import math
from collections.abc import Callable

import pytest

from emulator.config import FrontEndSection
from emulator.server import RadioServer, Truth
from protocol import messages as msg
from tests.emulator.serving import captured, configure, listened, on_air, server, silence


def truth_of(ask: Callable[[RadioServer], object]) -> list[Truth]:
    radio = on_air(server(), epoch=1)
    ask(radio)
    return radio.truth


def test_truth_of_a_sweep_is_where_the_user_was_when_the_setting_came_on_the_air() -> None:
    (truth,) = truth_of(lambda radio: listened(on_air(radio, epoch=2, now_s=3.0), "ue-c", epoch=2))
    assert (truth.epoch, truth.ue, truth.link) == (2, "ue-c", "downlink")
    # ten metres ahead and three aside; two roundings of double precision
    assert truth.position.range_m == pytest.approx(math.hypot(10.0, 3.0), rel=1e-15 * 4)
    assert truth.position.angle_rad == pytest.approx(math.atan2(3.0, 10.0), rel=1e-15 * 4)
    assert (truth.scene_s, truth.velocity_m_s) == (3.0, (0.0, 1.0))


def test_truth_of_a_sounding_names_the_uplink_and_its_epoch() -> None:
    (truth,) = truth_of(lambda radio: captured(radio, "ue-a", epoch=2))
    assert (truth.epoch, truth.ue, truth.link) == (2, "ue-a", "uplink")


def test_truth_is_told_once_for_a_grid_asked_for_twice() -> None:
    assert len(truth_of(lambda radio: (listened(radio, "ue-a"), listened(radio, "ue-a")))) == 1


def test_truth_is_told_once_for_a_sounding_asked_for_twice() -> None:
    assert len(truth_of(lambda radio: (captured(radio, "ue-a", 2), captured(radio, "ue-a", 2)))) == 1


@pytest.mark.parametrize("first", [configure(1), msg.Capture(epoch=1, ue="ue-a")])
def test_users_stay_where_the_file_puts_them_until_a_controllers_first_request(first: msg.Message) -> None:
    radio = server()
    silence(radio, "ue-c")  # while the controller compiles
    radio.hear(first, 100.0)
    radio.reset()  # a later session finds them where they have got to
    captured(radio, "ue-c", epoch=1, now_s=103.0)
    assert radio.truth[-1].position.range_m == pytest.approx(math.hypot(10.0, 3.0), rel=1e-15 * 4)  # two roundings


def test_setting_that_takes_time_to_settle_is_heard_where_the_user_is_by_then() -> None:
    radio = on_air(server(front_end=FrontEndSection(settle_s=2.0)))
    listened(radio, "ue-c")
    assert radio.truth[-1].scene_s == 2.0


def test_users_who_ask_one_after_another_hear_one_sweep_at_one_time() -> None:
    radio = on_air(on_air(server()), epoch=2, now_s=3.0)
    for ue in ("ue-a", "ue-c"):
        listened(radio, ue, epoch=2)
    assert {truth.scene_s for truth in radio.truth} == {3.0}
