import msgspec
import pytest

from bs_controller.config import ControllerSection
from protocol.hub import MAX_SESSIONS


def test_a_testbed_may_have_more_ues_than_there_are_sessions_since_they_come_and_go() -> None:
    names = [f"ue-{number}" for number in range(2 * MAX_SESSIONS)]
    section = msgspec.convert({"ues": names, "schemes": [{"scheme": "cbs"}]}, ControllerSection)
    assert len(section.ues) == 2 * MAX_SESSIONS


def test_numbered_ues_are_one_by_one_once_they_are_read() -> None:
    section = msgspec.convert({"ues": ["cart", "ue-1..3"], "schemes": [{"scheme": "cbs"}]}, ControllerSection)
    assert section.ues == ("cart", "ue-1", "ue-2", "ue-3")


@pytest.mark.parametrize(
    ("ues", "said"),
    [
        (["a", "a"], "ues: expected distinct names, got a twice"),
        (["ue-2..1"], "ues: expected at most 4096 numbers that grow"),
        (["a1..4096", "b"], "ues: expected at most 4096 names, got 4097"),
    ],
)
def test_ues_that_are_one_or_too_many_are_refused(ues: list[str], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert({"ues": ues, "schemes": [{"scheme": "cbs"}]}, ControllerSection)
