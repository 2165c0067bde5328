"""The `sdr_backend` section of the testbed file."""

from protocol.config import Section
from sdr_backend.drivers import DriverSection


class SdrBackendSection(Section, frozen=True, kw_only=True):
    """Which radio and which front end the radio process drives."""

    radio: DriverSection
    front_end: DriverSection = DriverSection(driver="simulated")
