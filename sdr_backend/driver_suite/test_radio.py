"""The checks of radios, on the one that the command line names."""

import pytest

from sdr_backend.driver_suite.bench import RadioBench
from sdr_backend.driver_suite.command_line import radio_bench
from sdr_backend.driver_suite.radio_checks import RadioChecks


class TestRadio(RadioChecks):
    """``--radio NAME``."""

    @pytest.fixture
    def bench(self, request: pytest.FixtureRequest) -> RadioBench:
        """Return the radio under test."""
        return radio_bench(request.config)
