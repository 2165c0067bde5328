"""The checks of front ends, on the one that the command line names."""

import pytest

from sdr_backend.driver_suite.bench import FrontEndBench
from sdr_backend.driver_suite.command_line import front_end_bench
from sdr_backend.driver_suite.front_end_checks import FrontEndChecks


class TestFrontEnd(FrontEndChecks):
    """``--front-end NAME``."""

    @pytest.fixture
    def bench(self, request: pytest.FixtureRequest) -> FrontEndBench:
        """Return the front end under test."""
        return front_end_bench(request.config)
