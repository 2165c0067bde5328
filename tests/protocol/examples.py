"""One valid message of each type, small facts, and a way to compare messages; for the tests of the protocol."""

import numpy as np

from protocol import messages as msg
from protocol.messages import FeedbackKind, Message
from protocol.testbed import FrontEndLimits, TestbedFacts, default_facts

FACTS = default_facts(subcarriers=16, elements=8, uplink_subcarriers=4)
OTHER_FACTS = default_facts(subcarriers=32, elements=8, uplink_subcarriers=4)
FRONT_END = FrontEndLimits(
    elements=8, groups=2, phase_bits=6, delay_step_s=1e-12, delay_span_s=100e-9, settle_s=1e-6
)  # fmt: skip
RADIO = msg.RadioCapabilities(front_end=FRONT_END)
UE = msg.UeCapabilities(feedback_kinds=tuple(FeedbackKind))


def hello(
    name: str = "ue-1",
    capabilities: msg.RadioCapabilities | msg.UeCapabilities = UE,
    facts: TestbedFacts = FACTS,
    versions: tuple[int, ...] = (1,),
) -> msg.Hello:
    """Return what a peer with these facts says first."""
    return msg.Hello(
        name=name,
        versions=versions,
        software="test",
        digest=facts.digest(),
        facts=facts,
        capabilities=capabilities,
    )


def configure(epoch: int = 1, groups: int = 2) -> msg.Configure:
    """Return a setting that the example front end can apply."""
    element = np.arange(8 * groups, dtype=np.float64).reshape(groups, 8)
    return msg.Configure(epoch=epoch, groups_per_pilot=1, phase_cycles=element / 64, delay_s=1e-10 * element)


def peak(epoch: int) -> msg.PeakReport:
    """Return the smallest message that a session numbers."""
    return msg.PeakReport(epoch=epoch, subcarrier=3)


_REAL = np.array([1.5, 2.5, 1e-12])
_COMPLEX = np.array([1 + 2j, -3j, 0.5])
EXAMPLES: tuple[Message, ...] = (
    msg.Heartbeat(progress=12),
    msg.Acknowledge(),
    msg.Refusal(clause="4.12", text="say hello", final=True),
    msg.Bye(reason="process ends"),
    hello(),
    msg.Ready(epoch=1, pilots=2, phase_deviation_cycles=0.0, delay_deviation_s=1e-13),
    msg.Snapshot(epoch=2, samples=np.array([[1j, 2], [3, 4j]], dtype=np.complex64)),
    peak(3),
    msg.GroupReport(epoch=4, group=1),
    msg.PowerReport(epoch=5, power_w=_REAL),
    msg.ComplexReport(epoch=6, samples=_COMPLEX.astype(np.complex64)),
    msg.Declined(epoch=7, clause="5.3", text="the pilot is over"),
    msg.Welcome(version=1, heartbeat_s=0.5, liveness_s=2.0),
    configure(),
    msg.Capture(epoch=8, ue="ue-1"),
    msg.Measure(epoch=9, kind=FeedbackKind.GROUP, groups=4),
    msg.Listen(ue="ue-1", epoch=10),
    msg.Grid(epoch=11, samples=_COMPLEX),
    msg.Silence(epoch=12, text="nothing is on the air"),
)


def values(message: Message) -> dict[str, object]:
    """Return the contents of a message such that equal contents compare equal, arrays with dtype and shape."""
    contents = {name: getattr(message, name) for name in message.__struct_fields__}
    return {"type": type(message)} | {
        name: (value.dtype.str, value.shape, value.tolist()) if isinstance(value, np.ndarray) else value
        for name, value in contents.items()
    }
