"""A recorded run whose console state the tests look at, and frames read as the page reads them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bs_controller.console.about import about_from_config
from bs_controller.console.state import ConsoleState
from bs_controller.recorded import open_run


@dataclass(frozen=True)
class Frame:
    """A frame as ``page/frames.js`` decodes it."""

    status: Mapping[str, Any]
    sections: Mapping[str, Mapping[str, Any]]
    arrays: Mapping[tuple[str, str], Any]


def decoded(data: bytes) -> Frame:
    length = int.from_bytes(data[:4], "little")
    header = json.loads(data[4 : 4 + length])
    begin = -(-(4 + length) // 8) * 8
    arrays = {}
    for entry in header["arrays"]:
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(data, entry["dtype"], count, begin + entry["offset"])
        arrays[entry["section"], entry["name"]] = values.reshape(entry["shape"])
    return Frame(status=header["status"], sections=header["sections"], arrays=arrays)


def state_of(run: Path, records: int | None = None) -> ConsoleState:
    """Return the state after so many records of a run, by default all."""
    found = open_run(run)
    start: Any = found.document["start"]
    truth = {(line["ue"], line["epoch"]): (line["range_m"], line["angle_rad"]) for line in found.truth}
    where: Any = lambda ue, epoch: truth.get((ue, epoch))  # noqa: E731 - one line says it
    state = ConsoleState(about_from_config(found.config_text, start, str(run)), where)
    for record in found.records[:records]:
        state.note(record, partial(found.samples, record))
    return state
