"""What a UE must refuse since no text of the protocol has it: an implementation that takes everything is found out here."""

from protocol.conformance.case import case
from protocol.conformance.drivers.ue import UeUnderTest


def _drawn_name(ue: UeUnderTest) -> str:
    return "".join(ue.rig.random.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(9))


@case("ue/schema/random-type", clause="3.3.1", expect="a refusal by 3.3")
def random_type(ue: UeUnderTest) -> None:
    """The controller says a message of a type that is drawn at random."""
    ue.open_session()
    ue.say(_drawn_name(ue), {"epoch": 1}, sequence=0)
    ue.expect_refusal("3.3")


@case(
    "ue/schema/random-kind", clause="3.4.2", also=("9.1.4",), expect="a refusal by 3.4, no report, no acknowledgement"
)
def random_kind(ue: UeUnderTest) -> None:
    """The controller asks for a kind of report that is drawn at random."""
    ue.open_session()
    fields = {"epoch": 1, "kind": _drawn_name(ue), "groups": 1}
    ue.on_air = (1, ue.samples())
    ue.say("measure", fields, sequence=0)
    ue.expect_refusal("3.4", "4.6")
    ue.silence_for(0.1)
