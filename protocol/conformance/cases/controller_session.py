"""Sessions, as controllers keep them."""

from protocol.conformance.case import case
from protocol.conformance.drivers.controller import ControllerUnderTest


@case("controller/session/hello-is-welcomed", clause="4.2.2", expect="welcome")
def hello_is_welcomed(controller: ControllerUnderTest) -> None:
    """A UE of the testbed says hello."""
    controller.ue().open_session()


@case("controller/session/stranger-is-refused", clause="4.3.1", expect="a final refusal by 4.3")
def stranger_is_refused(controller: ControllerUnderTest) -> None:
    """A UE that the testbed does not have says hello."""
    stranger = controller.ue("nobody-9")
    stranger.greet()
    stranger.expect_refusal("4.3")
