"""The command line of the driver suite, known to pytest wherever this package is installed.

It imports nothing of the package, so that a pytest of other tests does not wait for it.
"""

import pytest

SUITE = "sdr_backend.driver_suite"
pytest.register_assert_rewrite(f"{SUITE}.radio_checks", f"{SUITE}.front_end_checks")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what says which driver is tested and how."""
    group = parser.getgroup("nftestbed", "drivers of radios and front ends (pytest --pyargs sdr_backend.driver_suite)")
    group.addoption("--radio", metavar="NAME", help="radio driver under test")
    group.addoption("--radio-options", metavar="KEY=VALUE", action="append", default=[], help="may be repeated")
    group.addoption("--radio-loopback", action="store_true", help="what it transmits comes back to it")
    group.addoption("--radio-tolerance", metavar="X", type=float, default=1e-6, help="error of what comes back")
    group.addoption("--radio-restart", metavar="COMMAND", help="kills its other side and starts it again")
    group.addoption("--front-end", metavar="NAME", help="front-end driver under test")
    group.addoption("--front-end-options", metavar="KEY=VALUE", action="append", default=[], help="may be repeated")
    group.addoption("--front-end-elements", metavar="N", type=int, default=16, help="elements of its array")
