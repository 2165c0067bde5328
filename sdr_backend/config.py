"""The `sdr_backend` section of the testbed file."""

from typing import Annotated

from msgspec import Meta

from protocol.config import Section
from protocol.testbed import Positive
from sdr_backend.array_calibration import ArrayCalibration
from sdr_backend.drivers import DriverSection


class UplinkReceiverSection(Section, frozen=True, kw_only=True):
    """Which radio hears the uplink array, all antennas' samples of one time beside each other, and what is known of it.

    What a UE sends with no time of flight is heard `delay_samples` later; `flush_samples` of each antenna are thrown away
    before a sounding is taken. A UE of which nothing is heard for `patience_s` is given up.
    """

    radio: DriverSection
    delay_samples: int = 0
    flush_samples: Annotated[int, Meta(ge=0)] = 0
    patience_s: Positive = 10.0
    calibration: ArrayCalibration = ArrayCalibration()


class SdrBackendSection(Section, frozen=True, kw_only=True):
    """Which radio and which front end the radio process drives, and what it hears the uplink array with, if it does."""

    radio: DriverSection
    front_end: DriverSection = DriverSection(driver="simulated")
    uplink: UplinkReceiverSection | None = None
