"""What the kit checks of everything that a controller asks for."""

import numpy as np
import numpy.typing as npt
import pytest

from protocol.conformance.case import NonconformityError
from protocol.conformance.headers import Said, frames_of, header, parsed
from protocol.conformance.requests import RequestWatch
from protocol.testbed import default_facts

ELEMENTS, SPAN_S = 16, 1e-9
FACTS = default_facts(subcarriers=64, elements=ELEMENTS, uplink_subcarriers=4)


def watching() -> RequestWatch:
    front_end = {"elements": ELEMENTS, "groups": 4, "delay_span_s": SPAN_S}
    return RequestWatch(shared=FACTS, front_end=front_end, kinds={"ue-1": ["peak"]})


def configure(epoch: int, groups: int = 1, elements: int = ELEMENTS, delay_s: float = SPAN_S) -> Said:
    setting: npt.NDArray[np.float64] = np.full((groups, elements), delay_s)
    values = header("configure", {"epoch": epoch, "groups_per_pilot": 1}, session=1, sequence=1)
    return parsed(frames_of(values, {"phase_cycles": np.zeros_like(setting), "delay_s": setting}), at_s=0.0)


def capture(epoch: int) -> Said:
    return parsed(frames_of(header("capture", {"epoch": epoch, "ue": "ue-1"}, session=1, sequence=1), {}), at_s=0.0)


def measure(epoch: int, kind: str = "peak", groups: int = 1, at_s: float = 0.0) -> Said:
    values = header("measure", {"epoch": epoch, "kind": kind, "groups": groups}, session=1, sequence=1)
    return parsed(frames_of(values, {}), at_s=at_s)


def on_air(epoch: int, groups: int = 1) -> RequestWatch:
    watch = watching()
    watch.radio_asked(configure(epoch, groups))
    watch.ready.add(epoch)
    return watch


def test_requests_of_a_conforming_controller_pass() -> None:
    watch = on_air(3)
    watch.radio_asked(configure(3))  # once more, as it was
    watch.ue_asked("ue-1", measure(3))
    watch.radio_asked(capture(4))


@pytest.mark.parametrize("said", [configure(2), capture(2), configure(3, delay_s=0.0), capture(3)])
def test_epoch_that_is_used_again_or_too_small_is_blamed(said: Said) -> None:
    watch = on_air(3)
    with pytest.raises(NonconformityError) as caught:
        watch.radio_asked(said)
    assert caught.value.clause == "5.1.1"


@pytest.mark.parametrize(
    "said",
    [
        configure(1, elements=ELEMENTS // 2),
        configure(1, groups=5),  # 64 subcarriers in five groups
        configure(1, delay_s=SPAN_S + 1e-14),
        configure(1, delay_s=-1e-14),
    ],
)
def test_setting_that_the_front_end_cannot_have_is_blamed(said: Said) -> None:
    with pytest.raises(NonconformityError) as caught:
        watching().radio_asked(said)
    assert caught.value.clause == "6.3.3"


@pytest.mark.parametrize(
    ("said", "clause"), [(measure(4), "5.1"), (measure(3, "power"), "7.1.2"), (measure(3, groups=2), "7.1")]
)
def test_measure_about_what_is_not_there_is_blamed(said: Said, clause: str) -> None:
    with pytest.raises(NonconformityError) as caught:
        on_air(3).ue_asked("ue-1", said)
    assert caught.value.clause == clause


def test_setting_before_the_radio_came_back_may_be_measured_for_a_moment_alone() -> None:
    watch = on_air(3)
    watch.radio_returns(at_s=10.0)
    watch.ue_asked("ue-1", measure(3, at_s=10.1))  # it was under way
    with pytest.raises(NonconformityError, match="on the air"):
        watch.ue_asked("ue-1", measure(3, at_s=11.0))
    watch.radio_asked(configure(1))  # epochs may begin anew
