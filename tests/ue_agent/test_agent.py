"""What one UE says to whom: one report per request, the same again if asked again, nothing of another epoch."""

import numpy as np
import numpy.typing as npt
import pytest

from protocol import messages as msg
from protocol.messages import FeedbackKind, Measure
from ue_agent.agent import REMEMBERED_REPORTS, Agent, Command, Listen, Say

ComplexArray = npt.NDArray[np.complex128]


def grid(peak: int) -> ComplexArray:
    """Eight subcarriers, of which this is the strongest."""
    samples = np.ones(8, dtype=np.complex128)
    samples[peak] = 2.0
    return samples


def measure(epoch: int, kind: FeedbackKind = FeedbackKind.PEAK, groups: int = 1) -> Measure:
    return Measure(epoch=epoch, kind=kind, groups=groups)


def said(commands: list[Command]) -> msg.Message:
    """Return the one message that is said."""
    (command,) = commands
    assert isinstance(command, Say)
    return command.message


def declined(commands: list[Command]) -> msg.Declined:
    message = said(commands)
    assert isinstance(message, msg.Declined)
    return message


def reported_peak(commands: list[Command]) -> tuple[int, int]:
    """Return epoch and subcarrier of the one report that is said."""
    message = said(commands)
    assert isinstance(message, msg.PeakReport)
    return message.epoch, message.subcarrier


def agent_after(epoch: int, peak: int) -> Agent:
    """An agent that has reported the peak of this epoch."""
    agent = Agent()
    agent.hear(measure(epoch))
    agent.receive(epoch, grid(peak))
    return agent


def test_request_tunes_the_receiver_to_its_epoch() -> None:
    assert Agent().hear(measure(3)) == [Listen(3)]


def test_grid_of_the_epoch_asked_for_is_reported() -> None:
    agent = Agent()
    agent.hear(measure(3))
    assert reported_peak(agent.receive(3, grid(5))) == (3, 5)


def test_repeated_request_gets_the_same_report_without_listening_again() -> None:
    agent = Agent()
    agent.hear(measure(3))
    report = said(agent.receive(3, grid(5)))
    assert said(agent.hear(measure(3))) is report


def test_request_repeated_after_further_sweeps_gets_the_same_report() -> None:
    agent = Agent()
    agent.hear(measure(1))
    report = said(agent.receive(1, grid(5)))
    for epoch in range(2, REMEMBERED_REPORTS + 1):
        agent.hear(measure(epoch))
        agent.receive(epoch, grid(0))
    assert said(agent.hear(measure(1))) is report


def test_report_is_forgotten_when_too_many_have_followed() -> None:
    agent = agent_after(1, peak=5)
    for epoch in range(2, REMEMBERED_REPORTS + 2):
        agent.hear(measure(epoch))
        agent.receive(epoch, grid(0))
    assert agent.hear(measure(1)) == [Listen(1)]


def test_other_kind_of_the_same_epoch_is_another_request() -> None:
    agent = agent_after(3, peak=5)
    assert agent.hear(measure(3, FeedbackKind.POWER)) == [Listen(3)]


@pytest.mark.clause("5.3")
def test_older_grid_is_not_measured_and_the_pilot_is_listened_for_again() -> None:
    agent = Agent()
    agent.hear(measure(3))
    assert agent.receive(2, grid(1)) == [Listen(3)]
    assert reported_peak(agent.receive(3, grid(5))) == (3, 5)


@pytest.mark.clause("5.3")
def test_newer_grid_is_not_measured_and_the_request_is_declined() -> None:
    agent = Agent()
    agent.hear(measure(3))
    answer = declined(agent.receive(4, grid(1)))
    assert (answer.epoch, answer.clause) == (3, "5.3")


def test_grid_after_a_declined_request_is_unwanted() -> None:
    agent = Agent()
    agent.hear(measure(3))
    agent.receive(4, grid(1))
    assert agent.receive(4, grid(1)) == []


def test_grid_that_nobody_asked_for_is_not_reported() -> None:
    assert Agent().receive(3, grid(5)) == []


def test_grid_received_twice_is_reported_once() -> None:
    assert agent_after(3, peak=5).receive(3, grid(5)) == []


def test_newer_request_replaces_one_that_is_under_way() -> None:
    agent = Agent()
    agent.hear(measure(3))
    assert agent.hear(measure(4)) == [Listen(4)]
    assert reported_peak(agent.receive(4, grid(5))) == (4, 5)


def test_groups_that_do_not_divide_the_subcarriers_are_declined() -> None:
    agent = Agent()
    agent.hear(measure(3, FeedbackKind.GROUP, groups=3))
    answer = declined(agent.receive(3, grid(5)))
    assert (answer.epoch, answer.clause) == (3, "7.3")
    assert "8 subcarriers cannot be cut into 3 equal groups" in answer.text


def test_strongest_group_of_as_many_as_asked_for_is_reported() -> None:
    agent = Agent()
    agent.hear(measure(3, FeedbackKind.GROUP, groups=4))
    report = said(agent.receive(3, grid(5)))
    assert isinstance(report, msg.GroupReport)
    assert report.group == 2  # subcarriers 4 and 5


def test_reset_forgets_the_reports() -> None:
    agent = agent_after(3, peak=5)
    agent.reset()
    assert agent.hear(measure(3)) == [Listen(3)]


def test_reset_forgets_the_request_under_way() -> None:
    agent = Agent()
    agent.hear(measure(3))
    agent.reset()
    assert agent.receive(3, grid(5)) == []


def test_other_messages_are_nothing_to_do() -> None:
    assert Agent().hear(msg.Capture(epoch=1, ue="ue-a")) == []


def test_what_is_not_measured_is_counted() -> None:
    agent = Agent()
    agent.receive(1, grid(0))
    agent.hear(measure(3))
    agent.receive(2, grid(0))
    agent.receive(4, grid(0))
    assert agent.counters == {"unwanted_grids": 1, "stale_grids": 1, "missed_pilots": 1}


@pytest.mark.clause("3.9")
@pytest.mark.parametrize(("kind", "amplitude"), [(FeedbackKind.POWER, 1e200), (FeedbackKind.COMPLEX, 1e40)])
def test_report_that_its_numbers_cannot_hold_is_declined(kind: FeedbackKind, amplitude: float) -> None:
    agent = Agent()
    agent.hear(measure(3, kind))
    answer = declined(agent.receive(3, amplitude * grid(2)))
    assert (answer.epoch, answer.clause) == (3, "3.9")
