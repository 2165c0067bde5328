"""What schemes share: the answer that was asked for, or a refusal of any other. No scheme lives here."""

from typing import TypeVar

from bs_controller.sweeps import (
    Answer,
    ComplexFeedback,
    FeedbackMismatchError,
    GroupFeedback,
    PeakFeedback,
    PowerFeedback,
    Snapshot,
)

Kind = TypeVar("Kind", PeakFeedback, GroupFeedback, ComplexFeedback, PowerFeedback, Snapshot)


def _of_kind(answer: Answer, kind: type[Kind], what: str) -> Kind:
    if not isinstance(answer, kind):
        raise FeedbackMismatchError(f"{what} asked for, {type(answer).__name__} came")
    return answer


def peak_from(answer: Answer, subcarriers: int) -> PeakFeedback:
    """Return the answer to a peak sweep.

    Raises
    ------
    FeedbackMismatchError
        If the answer is of another kind or names a subcarrier that does not exist.
    """
    feedback = _of_kind(answer, PeakFeedback, "a peak was")
    if not 0 <= feedback.subcarrier < subcarriers:
        raise FeedbackMismatchError(f"subcarrier {feedback.subcarrier} was reported of {subcarriers}")
    return feedback


def group_from(answer: Answer, groups: int) -> GroupFeedback:
    """Return the answer to a group sweep.

    Raises
    ------
    FeedbackMismatchError
        If the answer is of another kind or names a group that does not exist.
    """
    feedback = _of_kind(answer, GroupFeedback, "a group was")
    if not 0 <= feedback.group < groups:
        raise FeedbackMismatchError(f"group {feedback.group} was reported of {groups}")
    return feedback


def complex_from(answer: Answer, subcarriers: int) -> ComplexFeedback:
    """Return the answer to a sweep of which all samples were asked for.

    Raises
    ------
    FeedbackMismatchError
        If the answer is of another kind or has not one sample per subcarrier.
    """
    feedback = _of_kind(answer, ComplexFeedback, "complex samples were")
    if feedback.samples.shape != (subcarriers,):
        raise FeedbackMismatchError(f"samples of shape {feedback.samples.shape} were reported of {subcarriers}")
    return feedback


def power_from(answer: Answer, subcarriers: int) -> PowerFeedback:
    """Return the answer to a sweep of which all powers were asked for.

    Raises
    ------
    FeedbackMismatchError
        If the answer is of another kind, has not one power per subcarrier, or one of them is negative.
    """
    feedback = _of_kind(answer, PowerFeedback, "powers were")
    if feedback.power_w.shape != (subcarriers,):
        raise FeedbackMismatchError(f"powers of shape {feedback.power_w.shape} were reported of {subcarriers}")
    if feedback.power_w.min() < 0:
        raise FeedbackMismatchError(f"powers must not be negative, {feedback.power_w.min():g} W was reported")
    return feedback


def snapshot_from(answer: Answer) -> Snapshot:
    """Return the answer to a sounding.

    Raises
    ------
    FeedbackMismatchError
        If the answer is of another kind.
    """
    return _of_kind(answer, Snapshot, "a snapshot was")
