"""Settings and pilots for tests of the radio process."""

import numpy as np

from protocol import messages as msg
from protocol.testbed import FrontEndLimits, SectorArray, SubcarrierGrid, Uplink, default_facts

FACTS = default_facts(subcarriers=64, elements=8, uplink_subcarriers=6)
LIMITS = FrontEndLimits(elements=8, groups=2, phase_bits=3, delay_step_s=1e-11, delay_span_s=2e-9, settle_s=0.0)

#: Elements three quarters of a wavelength apart, in a sector of 120 degrees.
UPLINK = Uplink(
    grid=SubcarrierGrid(first_hz=28e9, spacing_hz=480e3, count=50),
    array=SectorArray(elements=5, radius_m=0.015, half_sector_rad=np.pi / 3),
)


def configure(
    epoch: int, *, groups: int = 1, elements: int = 8, delay_s: float = 1e-9, phase: float = 0.25
) -> msg.Configure:
    """Return a request for one phase and one delay everywhere; as many groups in a pilot as there may be."""
    shape = (groups, elements)
    return msg.Configure(
        epoch=epoch,
        groups_per_pilot=65536,
        phase_cycles=np.full(shape, phase),
        delay_s=np.full(shape, delay_s),
    )
