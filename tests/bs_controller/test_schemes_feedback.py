"""Schemes that take the strongest subcarrier themselves, from the samples that the UE reports."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.beams import setting_from_focus
from bs_controller.schemes import CbsOptions, scheme_from_options
from bs_controller.sweeps import Answer, ComplexFeedback, FeedbackMismatchError, Fix, PeakFeedback, Sweep
from protocol.messages import FeedbackKind
from protocol.testbed import default_facts
from tests.bs_controller.driving import swept_samples

FACTS = default_facts()
RANGE_M, ANGLE_RAD = 12.0, -0.4
Samples = npt.NDArray[np.complex128]


def located(options: CbsOptions, answer: Callable[[Samples], Answer]) -> tuple[Fix, list[Sweep]]:
    localization, sweeps = scheme_from_options(options, FACTS).locate(), []
    request = next(localization)
    try:
        while True:
            assert isinstance(request, Sweep)
            sweeps.append(request)
            setting = setting_from_focus(request.focus, FACTS)
            request = localization.send(answer(swept_samples(setting, FACTS, RANGE_M, ANGLE_RAD)))
    except StopIteration as end:
        return end.value, sweeps


def test_complex_feedback_gives_the_fix_that_the_peak_gives() -> None:
    by_peak, _ = located(CbsOptions(), lambda y: PeakFeedback(subcarrier=int(np.abs(y).argmax())))
    by_samples, sweeps = located(CbsOptions(feedback="complex"), lambda y: ComplexFeedback(samples=y))
    assert by_samples == by_peak
    assert [sweep.kind for sweep in sweeps] == [FeedbackKind.COMPLEX, FeedbackKind.COMPLEX]


def test_amplitudes_are_compared_in_float64() -> None:
    def flat(_: Samples) -> Answer:
        samples = np.ones(FACTS.downlink.grid.count, dtype=np.complex128)
        samples[7] += 1e-12  # float32 ends at 6e-8
        return ComplexFeedback(samples=samples)

    by_samples, _ = located(CbsOptions(feedback="complex"), flat)
    by_peak, _ = located(CbsOptions(), lambda _: PeakFeedback(subcarrier=7))
    assert by_samples == by_peak


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (PeakFeedback(subcarrier=0), "complex samples were asked for, PeakFeedback came"),
        (ComplexFeedback(samples=np.ones(5, dtype=np.complex128)), r"samples of shape \(5,\) were reported of 2048"),
    ],
)
def test_wrong_answer_to_complex_sweep_is_refused(answer: Answer, text: str) -> None:
    localization = scheme_from_options(CbsOptions(feedback="complex"), FACTS).locate()
    next(localization)
    with pytest.raises(FeedbackMismatchError, match=text):
        localization.send(answer)
