"""What every driver must do, as tests that anyone runs on a driver of their own.

``pytest --pyargs sdr_backend.driver_suite --radio NAME --radio-options key=value``, or ``--front-end NAME``; with
``--radio-loopback`` if what the radio transmits comes back to it, through a cable or otherwise. A package that tests its own
driver may also derive a class from `RadioChecks` or `FrontEndChecks` and give it a fixture ``bench``.
"""

from sdr_backend.driver_suite.bench import FrontEndBench, RadioBench
from sdr_backend.driver_suite.front_end_checks import FrontEndChecks
from sdr_backend.driver_suite.radio_checks import RadioChecks

__all__ = ["FrontEndBench", "FrontEndChecks", "RadioBench", "RadioChecks"]
