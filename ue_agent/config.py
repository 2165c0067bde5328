"""The `ue_agent` section of the testbed file."""

import msgspec

from protocol.config import Section


class UeAgentSection(Section, frozen=True):
    """Which receiver driver the UE reads, what sounds for it, if anything does, and the options that each of them takes."""

    receiver: str = "emulated"
    options: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    sounder: str | None = None
    sounder_options: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
