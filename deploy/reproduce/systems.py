"""The papers' systems as testbed facts: what each figure is computed for. No results here."""

import msgspec
import numpy as np

from bs_controller.resolution import minimum_elements
from protocol.testbed import (
    SPEED_OF_LIGHT_M_S,
    Downlink,
    LinearArray,
    SectorArray,
    SubcarrierGrid,
    TestbedFacts,
    Uplink,
    default_facts,
)

AUTHORS_C_M_S = 3e8
HALF_SECTOR_RAD = np.pi / 3
SPACING_HZ = 480e3


def authors_facts(subcarriers: int = 2048, bandwidth_hz: float = 6e9) -> TestbedFacts:
    """Return the system of [CBS, section IV-A] with the grid and the speed of light of its printed digits."""
    carrier_hz = 100e9
    array = LinearArray(elements=512, spacing_m=AUTHORS_C_M_S / (2 * carrier_hz), subarrays=4)
    grid = SubcarrierGrid.authors(carrier_hz, bandwidth_hz, subcarriers)
    return msgspec.structs.replace(
        default_facts(), downlink=Downlink(grid=grid, array=array), speed_of_light_m_s=AUTHORS_C_M_S
    )


def fewest(carrier_hz: float, radius_m: float = 1.0, half_sector_rad: float = HALF_SECTOR_RAD) -> int:
    """Return the fewest elements without grating lobes [SUCA, eq. (14)]; 391 at 28 GHz with 3e8 m/s, not the printed 392."""
    return minimum_elements(half_sector_rad, radius_m, carrier_hz, SPEED_OF_LIGHT_M_S)


def sector_uplink(carrier_hz: float, subcarriers: int, radius_m: float = 1.0) -> Uplink:
    """Return the uplink of [SUCA, section VI-A]: a 120° sector of the fewest elements, 480 kHz spacing."""
    array = SectorArray(elements=fewest(carrier_hz, radius_m), radius_m=radius_m, half_sector_rad=HALF_SECTOR_RAD)
    return Uplink(grid=SubcarrierGrid(first_hz=carrier_hz, spacing_hz=SPACING_HZ, count=subcarriers), array=array)


def sector_facts(carrier_hz: float, subcarriers: int, radius_m: float = 1.0) -> TestbedFacts:
    """Return the default testbed with this uplink."""
    uplink = sector_uplink(carrier_hz, subcarriers, radius_m)
    return msgspec.structs.replace(default_facts(), uplink=uplink)
