"""What schemes share: the answer that was asked for, or a refusal of any other. No scheme lives here."""

from bs_controller.sweeps import (
    Answer,
    ComplexFeedback,
    FeedbackMismatchError,
    GroupFeedback,
    PeakFeedback,
    Snapshot,
)


def peak_from(answer: Answer, subcarriers: int) -> PeakFeedback:
    """Return the answer to a peak sweep.

    Raises
    ------
    FeedbackMismatchError
        If the answer is of another kind or names a subcarrier that does not exist.
    """
    if not isinstance(answer, PeakFeedback):
        raise FeedbackMismatchError(f"a peak was asked for, {type(answer).__name__} came")
    if not 0 <= answer.subcarrier < subcarriers:
        raise FeedbackMismatchError(f"subcarrier {answer.subcarrier} was reported of {subcarriers}")
    return answer


def group_from(answer: Answer, groups: int) -> GroupFeedback:
    """Return the answer to a group sweep.

    Raises
    ------
    FeedbackMismatchError
        If the answer is of another kind or names a group that does not exist.
    """
    if not isinstance(answer, GroupFeedback):
        raise FeedbackMismatchError(f"a group was asked for, {type(answer).__name__} came")
    if not 0 <= answer.group < groups:
        raise FeedbackMismatchError(f"group {answer.group} was reported of {groups}")
    return answer


def complex_from(answer: Answer, subcarriers: int) -> ComplexFeedback:
    """Return the answer to a sweep of which all samples were asked for.

    Raises
    ------
    FeedbackMismatchError
        If the answer is of another kind or has not one sample per subcarrier.
    """
    if not isinstance(answer, ComplexFeedback):
        raise FeedbackMismatchError(f"complex samples were asked for, {type(answer).__name__} came")
    if answer.samples.shape != (subcarriers,):
        raise FeedbackMismatchError(f"samples of shape {answer.samples.shape} were reported of {subcarriers}")
    return answer


def snapshot_from(answer: Answer) -> Snapshot:
    """Return the answer to a sounding.

    Raises
    ------
    FeedbackMismatchError
        If the answer is of another kind.
    """
    if not isinstance(answer, Snapshot):
        raise FeedbackMismatchError(f"a snapshot was asked for, {type(answer).__name__} came")
    return answer
