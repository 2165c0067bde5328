"""The `Sounder` seam: what sends a UE's pilots to the uplink array.

No message asks a UE to sound (SPEC 6.4: a radio is asked to capture), so a sounder sends in slots of its own from its start on,
as the section `sounding` of the testbed file divides them. A driver is a class registered under the entry-point group
``nftestbed.sounders``. Where the radio is emulated there is none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from protocol.testbed import TestbedFacts
from ue_agent.drivers import driver

ENTRY_POINTS = "nftestbed.sounders"


@dataclass(frozen=True, slots=True, kw_only=True)
class SounderContext:
    """What a sounder driver is given: who sounds, the slots of a round by name, the shared facts, options of the file."""

    ue: str
    slots: tuple[str, ...]
    facts: TestbedFacts
    options: Mapping[str, str | int | float | bool]


class Sounder(Protocol):
    """A UE's transmitter, which sends from its start on."""

    def close(self) -> None:
        """Fall silent and release the device."""


SounderFactory = Callable[[SounderContext], Sounder]


def sounder_factory(name: str) -> SounderFactory:
    """Return the driver registered under this name.

    Raises
    ------
    LookupError
        If no installed package registers it; the text lists those that are.
    """
    factory: SounderFactory = driver(ENTRY_POINTS, "sounder", name)
    return factory
