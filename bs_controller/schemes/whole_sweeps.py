"""What schemes share that want all of a sweep: its samples with what was really sent. No scheme is here."""

from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from bs_controller.beams import setting_from_focus
from bs_controller.schemes.answers import complex_from
from bs_controller.sweeps import Answer, ComplexFeedback, PowerFeedback, Sweep, Trajectory
from protocol.messages import FeedbackKind
from protocol.testbed import Setting, TestbedFacts

ComplexArray = npt.NDArray[np.complex128]


class EmptyFeedbackError(ValueError):
    """A user reported a sweep as zero throughout."""


def setting_of(feedback: ComplexFeedback | PowerFeedback, focus: Trajectory, facts: TestbedFacts) -> Setting:
    """Return what was applied for a sweep: a front end of few phase bits points elsewhere than was asked for."""
    return setting_from_focus(focus, facts) if feedback.applied is None else feedback.applied


def complex_swept(
    focus: Trajectory, facts: TestbedFacts
) -> Generator[Sweep, Answer, tuple[ComplexArray, Setting, int]]:
    """Ask for all samples of a sweep and return them, ``(subcarrier,)``, with what was applied and the pilots it took.

    Raises
    ------
    EmptyFeedbackError
        If the user heard nothing at all.
    """
    answer = yield Sweep(focus=focus, kind=FeedbackKind.COMPLEX)
    feedback = complex_from(answer, facts.downlink.grid.count)
    if not feedback.samples.any():
        raise EmptyFeedbackError("all samples of a sweep are zero, so there is nothing to fit")
    return feedback.samples, setting_of(feedback, focus, facts), feedback.pilots
