"""How controllers end sessions: what only a controller of one certain fault does."""

from protocol.conformance.case import case
from protocol.conformance.drivers.controller import ControllerUnderTest


@case("controller/session/bye-gets-no-bye", clause="4.13.2", expect="no answer")
def bye_gets_no_bye(controller: ControllerUnderTest) -> None:
    """A UE says bye as soon as it has been heard of, and listens at once."""
    ue = controller.ue()
    ue.open_session()
    ue.is_open = False
    ue.say("bye", {"reason": "the kit tests bye"})
    ue.silence_for(0.2)  # but for what was under way
