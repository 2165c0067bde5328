"""The truth file: where each user really was when a pilot of its was sent, one journal line each (shell).

It is written on the emulator's host and never sent; a full disk stops the file, not the emulator.
"""

import cmath
import logging
import math
import os
from pathlib import Path

import msgspec

from emulator.server import PathTruth, Truth
from protocol.journal import Record, intact_records, line_from_record

logger = logging.getLogger(__name__)

FILE_NAME = "truth.jsonl"


class TruthFile:
    """Appends ground truth to ``truth.jsonl`` of the run directory; without one it keeps nothing.

    ``scene_s`` is when the last of it was true, zero in a new file.
    """

    def __init__(self, run_directory: Path | None) -> None:
        self.scene_s = 0.0
        self._descriptor: int | None = None
        self._sequence = 0
        if run_directory is not None:
            run_directory.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
            self._descriptor = os.open(run_directory / FILE_NAME, flags, 0o644)
            self._go_on(self._descriptor)

    def _go_on(self, descriptor: int) -> None:
        """Cut the torn tail that a killed emulator left, and go on after what is before it."""
        with os.fdopen(os.dup(descriptor), "rb") as file:
            records, valid_bytes = intact_records(file.read())
        os.ftruncate(descriptor, valid_bytes)
        last: Record = records[-1] if records else {}
        self._sequence = msgspec.convert(last.get("seq", 0), int)
        self.scene_s = msgspec.convert(last.get("scene_s", 0.0), float)  # early files do not tell it

    def append(self, truth: Truth) -> None:
        """Write one line; after the first failure nothing more is written."""
        if self._descriptor is None:
            return
        record = {
            "kind": "truth",
            "epoch": truth.epoch,
            "ue": truth.ue,
            "link": truth.link,
            "scene_s": truth.scene_s,
            "range_m": truth.position.range_m,
            "angle_rad": truth.position.angle_rad,
            "velocity_m_s": truth.velocity_m_s,
            "paths": [_path_record(path) for path in truth.paths],
        }
        self._sequence += 1
        try:
            os.write(self._descriptor, line_from_record(self._sequence, record))
        except OSError as error:
            logger.error("truth file stopped: %s", error)
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _path_record(path: PathTruth) -> dict[str, object]:
    """Return what a truth line says of a path; its gain is that on one element against the line of sight's."""
    return {
        "kind": path.kind,
        "range_m": path.scatterer.range_m,
        "angle_rad": path.scatterer.angle_rad,
        "gain_db": 20 * math.log10(abs(path.gain)),
        "phase_rad": cmath.phase(path.gain),
        "weight_rms": float((path.weight**2).mean() ** 0.5),
    }
