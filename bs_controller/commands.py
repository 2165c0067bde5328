"""What the rules of a run tell its shell to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bs_controller.answers import Samples
from bs_controller.records import Record
from bs_controller.sweeps import Answer, Measurement
from protocol.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Command: send this to the peer of that name."""

    name: str
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """Command: run the UE's scheme one step with this answer (none at its start) and hand the result to `stepped`."""

    ue: str
    localization: Measurement
    answer: Answer | None
    heavy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Command: write this record, and these samples with it, to the run directory.

    `told` are samples that are not to be written, but that a console may be shown.
    """

    record: Record
    samples: Mapping[str, Samples]
    told: Mapping[str, Samples] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Record, samples: Mapping[str, Samples], *, recorded: bool) -> "Keep":
        """Return the command for samples that are recorded, or only told."""
        return cls(record=record, samples=samples) if recorded else cls(record=record, samples={}, told=samples)


Command = Send | Advance | Keep
