"""The `ue_agent` section of the testbed file."""

import msgspec

from protocol.config import Section
from protocol.messages import PeerName


class UeAgentSection(Section, frozen=True):
    """Which receiver driver the UE reads, what sounds for it, if anything does, and the options that each of them takes.

    `options_of` has options of the receivers of single UEs.
    """

    receiver: str = "emulated"
    options: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    options_of: dict[PeerName, dict[str, str | int | float | bool]] = msgspec.field(default_factory=dict)
    sounder: str | None = None
    sounder_options: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)

    def options_for(self, ue: str) -> dict[str, str | int | float | bool]:
        """Return the options of one UE's receiver."""
        return self.options | self.options_of.get(ue, {})
