"""Every message as a typed frozen struct, grouped by link; what may travel, not when (session.py) nor how (codec.py).

Scalars travel in the header; a field annotated with a `FrameSpec` travels as a raw frame of its own. Clause numbers are
those of SPEC.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, get_args, get_type_hints

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from protocol.errors import OurFaultError
from protocol.testbed import FrontEndLimits, TestbedFacts

PROTOCOL_VERSION = 1

Epoch = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
PilotCount = Annotated[int, Meta(ge=1, le=65536)]
GroupCount = Annotated[int, Meta(ge=1, le=65536)]
# `$` alone would also match before a line's end
PeerName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}(?!\n)$")]
Text = Annotated[str, Meta(max_length=1024)]
Clause = Annotated[str, Meta(pattern=r"^[0-9]{1,2}\.[0-9]{1,2}(?!\n)$")]
Seconds = Annotated[float, Meta(ge=0, le=86400)]


class Role(StrEnum):
    """What a peer is to the controller (SPEC 4.3)."""

    RADIO = "radio"
    UE = "ue"


class FeedbackKind(StrEnum):
    """What a UE reports of a sweep; the controller chooses per sweep (SPEC 7.1)."""

    PEAK = "peak"
    GROUP = "group"
    POWER = "power"
    COMPLEX = "complex"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSpec:
    """How an array travels: little-endian dtype and the names of its axes, slow to fast (SPEC 3.8)."""

    dtype: str
    axes: tuple[str, ...]


Array = npt.NDArray[np.inexact]
ElementArray = Annotated[Array, FrameSpec(dtype="<f8", axes=("group", "element"))]


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, eq=False):
    """A message of the control link or of the air link."""

    FRAMES: ClassVar[Mapping[str, FrameSpec]] = {}
    #: False for messages that carry no work, and so neither sequence number nor resend (SPEC 4.6)
    SEQUENCED: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, spec in self.FRAMES.items():
            array: Array = getattr(self, name)
            if array.ndim != len(spec.axes) or array.size == 0:
                raise OurFaultError("3.8", f"{name} must have axes {spec.axes} and values, got shape {array.shape}")
            # the energy is finite if every value is, unless it overflows; one call instead of one per value and step
            if not math.isfinite(np.vdot(array, array).real) and not np.isfinite(array).all():
                raise OurFaultError("3.9", f"{name} has values that are not finite")


# --- control link, both directions -----------------------------------------------------------------------------------


class Heartbeat(Message, frozen=True, tag="heartbeat"):
    """The sender's main loop runs; `progress` counts what it has done since its start (SPEC 4.10)."""

    SEQUENCED: ClassVar[bool] = False
    progress: Count


class Acknowledge(Message, frozen=True, tag="acknowledge"):
    """Nothing to say but the header's acknowledgement (SPEC 4.7)."""

    SEQUENCED: ClassVar[bool] = False


class Refusal(Message, frozen=True, tag="refusal"):
    """What came is refused, by this clause; `final` means: do not try again with the same (SPEC 9.1)."""

    SEQUENCED: ClassVar[bool] = False
    clause: Clause
    text: Text
    final: bool = False


class Bye(Message, frozen=True, tag="bye"):
    """The sender leaves and ends the session (SPEC 4.13)."""

    SEQUENCED: ClassVar[bool] = False
    reason: Text


# --- control link, peer to controller --------------------------------------------------------------------------------


class RadioCapabilities(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="radio", tag_field="role"
):
    """What the radio role advertises (SPEC 6.1)."""

    front_end: FrontEndLimits


class UeCapabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="ue", tag_field="role"):
    """What the ue role advertises (SPEC 7.1)."""

    feedback_kinds: tuple[FeedbackKind, ...]


class Hello(Message, frozen=True, tag="hello"):
    """The first message of a session: who speaks, what it can do, which facts it holds true (SPEC 4.1)."""

    SEQUENCED: ClassVar[bool] = False
    name: PeerName
    versions: Annotated[tuple[int, ...], Meta(min_length=1, max_length=16)]
    software: Text
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]
    facts: TestbedFacts
    capabilities: RadioCapabilities | UeCapabilities

    @property
    def role(self) -> Role:
        """Return the role that the capabilities belong to."""
        return Role.RADIO if isinstance(self.capabilities, RadioCapabilities) else Role.UE


class Ready(Message, frozen=True, tag="ready"):
    """The setting of this epoch is on the air, with these deviations from what was asked for (SPEC 6.2)."""

    epoch: Epoch
    pilots: PilotCount
    phase_deviation_cycles: Annotated[float, Meta(ge=0)]
    delay_deviation_s: Annotated[float, Meta(ge=0)]


class Snapshot(Message, frozen=True, tag="snapshot"):
    """What the uplink array received of the pilot asked for (SPEC 6.4)."""

    epoch: Epoch
    samples: Annotated[Array, FrameSpec(dtype="<c8", axes=("element", "subcarrier"))]


class PeakReport(Message, frozen=True, tag="peak_report"):
    """Index of the strongest subcarrier (SPEC 7.2)."""

    epoch: Epoch
    subcarrier: Count


class GroupReport(Message, frozen=True, tag="group_report"):
    """Index of the group with the largest sum of amplitudes (SPEC 7.3)."""

    epoch: Epoch
    group: Count


class PowerReport(Message, frozen=True, tag="power_report"):
    """Power of every subcarrier, W (SPEC 7.4)."""

    epoch: Epoch
    power_w: Annotated[Array, FrameSpec(dtype="<f8", axes=("subcarrier",))]


class ComplexReport(Message, frozen=True, tag="complex_report"):
    """Sample of every subcarrier, in square roots of W (SPEC 7.5)."""

    epoch: Epoch
    samples: Annotated[Array, FrameSpec(dtype="<c8", axes=("subcarrier",))]


class Declined(Message, frozen=True, tag="declined"):
    """The request of this epoch cannot be served, and why (SPEC 5.4)."""

    epoch: Epoch
    clause: Clause
    text: Text


# --- control link, controller to peer --------------------------------------------------------------------------------


class Welcome(Message, frozen=True, tag="welcome"):
    """The session is open; both sides beat this often and give up after this silence (SPEC 4.2, 4.10)."""

    SEQUENCED: ClassVar[bool] = False
    version: int
    heartbeat_s: Annotated[float, Meta(gt=0, le=60)]
    liveness_s: Annotated[float, Meta(gt=0, le=600)]


class Configure(Message, frozen=True, tag="configure"):
    """Apply this setting and send its pilots from now on (SPEC 6.2); the fields mean what `Setting` says."""

    epoch: Epoch
    groups_per_pilot: GroupCount
    phase_cycles: ElementArray
    delay_s: ElementArray


class Capture(Message, frozen=True, tag="capture"):
    """Receive one uplink pilot of this UE (SPEC 6.4)."""

    epoch: Epoch
    ue: PeerName


class Measure(Message, frozen=True, tag="measure"):
    """Measure the sweep of this epoch, whose subcarriers form this many groups, and report in this kind (SPEC 7.1)."""

    epoch: Epoch
    kind: FeedbackKind
    groups: GroupCount


# --- air link: UE receiver to emulator, private to that pair (SPEC 8) ------------------------------------------------


class Listen(Message, frozen=True, tag="listen"):
    """The receiver of this UE asks for what it hears now, hoping for this epoch (SPEC 8.1)."""

    SEQUENCED: ClassVar[bool] = False
    ue: PeerName
    epoch: Epoch


class Grid(Message, frozen=True, tag="grid"):
    """What the UE's antenna receives of the setting on the air, all pilots of it put together (SPEC 8.2)."""

    SEQUENCED: ClassVar[bool] = False
    epoch: Epoch
    samples: Annotated[Array, FrameSpec(dtype="<c16", axes=("subcarrier",))]


class Silence(Message, frozen=True, tag="silence"):
    """Nothing is on the air for that UE, and why (SPEC 8.3)."""

    SEQUENCED: ClassVar[bool] = False
    epoch: Epoch
    text: Text


MESSAGE_TYPES: Mapping[str, type[Message]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        *(Heartbeat, Acknowledge, Refusal, Bye),
        *(Hello, Ready, Snapshot, PeakReport, GroupReport, PowerReport, ComplexReport, Declined),
        *(Welcome, Configure, Capture, Measure),
        *(Listen, Grid, Silence),
    )
}


def _frames_of(kind: type[Message]) -> Mapping[str, FrameSpec]:
    hints = get_type_hints(kind, include_extras=True)
    specs = {name: [arg for arg in get_args(hint)[1:] if isinstance(arg, FrameSpec)] for name, hint in hints.items()}
    return {name: found[0] for name, found in specs.items() if found}


for _kind in MESSAGE_TYPES.values():
    _kind.FRAMES = _frames_of(_kind)


def type_name(message: Message) -> str:
    """Return the tag under which a message travels."""
    return str(message.__struct_config__.tag)
