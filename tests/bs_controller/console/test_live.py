"""A console of a live run: what it shows is what was told, what it missed is counted, and it catches up from the journal."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bs_controller.commands import Keep
from bs_controller.console.board import Board
from bs_controller.console.live import LiveFeed, TruthTail
from bs_controller.recorded import RecordedRun, config_text_of, open_run
from bs_controller.telling import Teller
from protocol.journal import line_from_record
from tests.bs_controller.console.runs import state_of
from tests.deploy.recorded_runs import recorded_run

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_run(tmp_path_factory.mktemp("run"), schemes=[{"scheme": "cbs", "feedback": "complex"}])


@contextmanager
def watching(endpoint: str) -> Iterator[tuple[Board, Teller]]:
    teller, board = Teller(endpoint), Board("live")
    feed = LiveFeed(endpoint, board)
    try:
        yield board, teller
    finally:
        feed.close()
        teller.close()


async def until(condition: Callable[[], object], again: Callable[[], object] = lambda: None) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            again()
            await asyncio.sleep(0.01)


def announced(teller: Teller, clock: list[float]) -> None:
    clock[0] += 10.0  # further apart than announcements are
    teller.announce(clock[0])


def keep_of(journal: RecordedRun, record: dict[str, Any]) -> Keep:
    plain = {key: value for key, value in record.items() if key not in {"seq", "arrays"}}
    return Keep(record=plain, samples=journal.samples(record))


def shown(state: Any) -> Any:
    sections = state.sections("ue-a", {})
    return {
        name: (section.values, {k: v.tobytes() for k, v in section.arrays.items()})
        for name, section in sections.items()
    }


def test_what_was_told_is_shown_as_the_journal_shows_it(run: Path, tmp_path: Path) -> None:
    journal = open_run(run)

    async def watch() -> Board:
        with watching(f"ipc://{tmp_path}/events") as (board, teller):
            # no journal lies where this run says it does: all that is shown was told
            (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
            teller.about(tmp_path, config_text_of(run))
            await until(lambda: board.state, partial(announced, teller, [0.0]))
            for record in journal.records:
                teller.tell(int(str(record["seq"])), keep_of(journal, record), True)
            await until(lambda: board.state is not None and board.state.records == len(journal.records))
            return board

    board, recorded = asyncio.run(watch()), shown(state_of(run))
    assert board.state is not None
    live = shown(board.state)
    for section in ("peers", "latencies", "alarms", "power", "elements"):
        assert live[section] == recorded[section]


def test_records_that_did_not_come_are_counted_and_told(run: Path, tmp_path: Path) -> None:
    journal = open_run(run)

    async def watch() -> Any:
        with watching(f"ipc://{tmp_path}/events") as (board, teller):
            (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
            teller.about(tmp_path, config_text_of(run))
            clock = [0.0]
            await until(lambda: board.state, partial(announced, teller, clock))
            state = board.state
            assert state is not None
            teller.tell(1, keep_of(journal, journal.records[0]), True)
            teller.tell(5, keep_of(journal, journal.records[4]), True)  # 2, 3 and 4 are lost
            await until(lambda: state.records == 2)
            return state.sections("ue-a", {})["alarms"].values["latest"]

    (alarm,) = asyncio.run(watch())
    assert "3; the journal has them" in alarm["text"]


def test_a_console_that_comes_late_reads_the_journal_and_takes_no_record_twice(run: Path, tmp_path: Path) -> None:
    journal = open_run(run)

    async def watch() -> int:
        with watching(f"ipc://{tmp_path}/events") as (board, teller):
            teller.about(run, config_text_of(run))
            clock = [0.0]
            await until(lambda: board.state, partial(announced, teller, clock))
            state = board.state
            assert state is not None
            last = journal.records[-1]
            teller.tell(int(str(last["seq"])), keep_of(journal, last), True)
            teller.tell(int(str(last["seq"])) + 1, Keep(record={**last, "kind": "more"}, samples={}), True)
            await until(lambda: state.records > len(journal.records))
            return state.records

    assert asyncio.run(watch()) == len(journal.records) + 1


def test_samples_that_are_not_recorded_are_told(run: Path, tmp_path: Path) -> None:
    journal = open_run(run)
    record = next(one for one in journal.records if one["kind"] == "report")
    samples = np.arange(128) + 1j

    async def watch() -> Any:
        with watching(f"ipc://{tmp_path}/events") as (board, teller):
            (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
            teller.about(tmp_path, config_text_of(run))
            await until(lambda: board.state, partial(announced, teller, [0.0]))
            plain = keep_of(journal, record).record
            teller.tell(1, Keep(record=plain, samples={}, told={"report": samples}), True)
            state = board.state
            assert state is not None
            await until(lambda: state.records)
            return state.sections(str(record["ue"]), {})["power"]

    power = asyncio.run(watch())
    # single precision has seven digits; powers are of 0 to 42 dB
    np.testing.assert_allclose(power.arrays["power_dbm"], 20 * np.log10(np.abs(samples)) + 30, atol=1e-4)


def test_truth_is_read_as_it_is_written_whole_lines_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bs_controller.console.live.LOOK_AGAIN_S", -1.0)
    path = tmp_path / "truth.jsonl"
    tail = TruthTail(path)
    assert tail("ue-1", 1) is None
    first, second = (
        line_from_record(n, {"kind": "truth", "ue": "ue-1", "epoch": n, "range_m": 5.0 + n, "angle_rad": 0.1})
        for n in (1, 2)
    )
    path.write_bytes(first + second[:-5])
    assert (tail("ue-1", 1), tail("ue-1", 2)) == ((6.0, 0.1), None)
    path.write_bytes(first + second)
    assert tail("ue-1", 2) == (7.0, 0.1)


def test_a_folder_of_the_same_name_that_holds_another_run_is_not_read(run: Path, tmp_path: Path) -> None:
    document = (run / "run.json").read_text()
    started = open_run(run).document["start"]["started_utc"]  # type: ignore[index]

    async def watch() -> int:
        with watching(f"ipc://{tmp_path}/events") as (board, teller):
            teller.about(run, config_text_of(run))
            (run / "run.json").write_text(document.replace(started, "1999-01-01T00:00:00"))
            await until(lambda: board.state, partial(announced, teller, [0.0]))
            assert board.state is not None
            return board.state.records

    try:
        assert asyncio.run(watch()) == 0
    finally:
        (run / "run.json").write_text(document)
