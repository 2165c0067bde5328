import msgspec

from bs_controller.config import ControllerSection
from protocol.hub import MAX_SESSIONS


def test_a_testbed_may_have_more_ues_than_there_are_sessions_since_they_come_and_go() -> None:
    names = [f"ue-{number}" for number in range(2 * MAX_SESSIONS)]
    section = msgspec.convert({"ues": names, "schemes": [{"scheme": "cbs"}]}, ControllerSection)
    assert len(section.ues) == 2 * MAX_SESSIONS
