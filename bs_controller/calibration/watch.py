"""What a controller says of the calibration that it uses, in its log and its records, and whether a radio suits it (shell)."""

import logging
from collections.abc import Callable, Sequence

from bs_controller.calibration.chosen import Chosen
from protocol.messages import Hello, RadioCapabilities

logger = logging.getLogger(__name__)


class CalibrationWatch:
    """Stands between a run and its radios, if there is a calibration; `keep` writes a record."""

    def __init__(self, chosen: Chosen | None, keep: Callable[[dict[str, object]], None]) -> None:
        self._chosen, self._keep = chosen, keep

    def begin(self) -> None:
        """Tell which calibration is used, and what speaks against it."""
        if self._chosen is not None:
            logger.info("calibration %s of %s", self._chosen.path, self._chosen.calibration.measured_utc)
            self._tell(self._chosen, self._chosen.warnings)

    def lets_in(self, hello: Hello) -> bool:
        """Return whether the run may go on with this peer: a radio of another front end ends it, unless a warning will do."""
        if self._chosen is None or not isinstance(hello.capabilities, RadioCapabilities):
            return True
        complaints, forbidden = self._chosen.complaints_of(hello.capabilities.front_end)
        if forbidden:
            logger.error("calibration %s is of another front end: %s", self._chosen.path, "; ".join(complaints))
        elif complaints:
            self._tell(self._chosen, complaints)
        return not forbidden

    def _tell(self, chosen: Chosen, complaints: Sequence[str]) -> None:
        for complaint in complaints:
            logger.warning("calibration %s is used all the same: %s", chosen.path, complaint)
        self._keep(chosen.record(complaints))
