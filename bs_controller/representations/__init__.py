"""What networks are shown, and in which frame they answer: one representation a file, each for two sweeps.

Training and run time go through the same objects, so that neither can differ from the other. A change of values that a
network is shown, or of what its answers mean, is a new version of that representation: models of the old one are refused.
"""

from bs_controller.representations.combined import combined
from bs_controller.representations.contract import (
    LOG_DEVIATION_LIMITS,
    OUTPUTS,
    HeardSweep,
    MovingRepresentation,
    NetworkInput,
    Representation,
)
from bs_controller.representations.element import ElementRepresentation
from bs_controller.representations.image import ImageRepresentation
from bs_controller.representations.pair import PairRepresentation
from protocol.testbed import TestbedFacts

__all__ = [
    "LOG_DEVIATION_LIMITS",
    "OUTPUTS",
    "REPRESENTATIONS",
    "HeardSweep",
    "MovingRepresentation",
    "NetworkInput",
    "Representation",
    "combined",
    "representation",
]

REPRESENTATIONS: dict[str, type[ElementRepresentation | PairRepresentation | ImageRepresentation]] = {
    "element": ElementRepresentation,
    "pair": PairRepresentation,
    "image": ImageRepresentation,
}


def representation(name: str, facts: TestbedFacts) -> Representation:
    """Return a representation by its name, planned for one testbed; one thread at a time.

    Raises
    ------
    ValueError
        If there is none of this name, or the testbed does not suit it.
    """
    if name not in REPRESENTATIONS:
        raise ValueError(f"expected a representation ({', '.join(REPRESENTATIONS)}), got {name!r}")
    return REPRESENTATIONS[name](facts)
