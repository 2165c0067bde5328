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
BURST = 900  # within what waits at either end of the link


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


def test_records_that_events_did_not_bring_are_read_from_the_journal(run: Path) -> None:
    """A console that was busy for a while shows what one shows that heard everything."""
    journal = open_run(run)
    half = len(journal.records) // 2
    whole = (run / "journal.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)

    async def watch() -> Any:
        with watching(f"ipc://{run.parent}/events") as (board, teller):
            teller.about(run, config_text_of(run))
            (run / "journal.jsonl").write_bytes(b"".join(lines[: half + 1]))  # what is on disk when the console comes
            await until(lambda: board.state, partial(announced, teller, [0.0]))
            assert board.state is not None
            assert board.state.records == half
            (run / "journal.jsonl").write_bytes(whole)
            last = journal.records[-1]
            teller.tell(int(str(last["seq"])), keep_of(journal, last), True)
            await until(lambda: board.state is not None and board.state.records > half)
            return shown(board.state)

    live, recorded = asyncio.run(watch()), shown(state_of(run))
    for section in ("peers", "latencies", "alarms", "power", "elements", "errors", "fixes"):
        assert live[section] == recorded[section], section


def test_records_that_are_refused_before_others_are_on_disk_are_no_gap(run: Path, tmp_path: Path) -> None:
    journal = open_run(run)

    async def watch() -> Any:
        with watching(f"ipc://{tmp_path}/events") as (board, teller):
            (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
            teller.about(tmp_path, config_text_of(run))
            await until(lambda: board.state, partial(announced, teller, [0.0]))
            state = board.state
            assert state is not None
            for seq, recorded in ((1, True), (4, False), (2, True), (3, True), (5, True)):
                teller.tell(seq, keep_of(journal, journal.records[seq - 1]), recorded)
            await until(lambda: state.records == 5)
            return state.sections("ue-a", {})["alarms"].values["counts"]

    assert asyncio.run(watch()) == {"unrecorded": 1}


def test_a_burst_as_large_as_a_disk_may_free_at_once_arrives_whole(run: Path, tmp_path: Path) -> None:
    record = {"kind": "measured", "ue": "ue-a", "scheme": "cbs", "round": 0, "epochs": []}

    async def watch() -> Any:
        with watching(f"ipc://{tmp_path}/events") as (board, teller):
            (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
            teller.about(tmp_path, config_text_of(run))
            await until(lambda: board.state, partial(announced, teller, [0.0]))
            state = board.state
            assert state is not None
            for seq in range(1, BURST + 1):  # and the console has no time in between
                teller.tell(seq, Keep(record=record, samples={}, told={"report": np.ones(2048) + 0j}), True)
            await until(lambda: state.records == BURST)
            return state.sections("ue-a", {})["alarms"].values["counts"]

    assert asyncio.run(watch()) == {}


def test_records_of_a_run_that_was_not_announced_are_not_those_of_the_one_that_is_shown(
    run: Path, tmp_path: Path
) -> None:
    journal = open_run(run)
    document = (run / "run.json").read_text()
    started = open_run(run).document["start"]["started_utc"]  # type: ignore[index]

    async def watch() -> int:
        with watching(f"ipc://{tmp_path}/events") as (board, teller):
            (tmp_path / "run.json").write_text(document)
            teller.about(tmp_path, config_text_of(run))
            await until(lambda: board.state, partial(announced, teller, [0.0]))
            (tmp_path / "run.json").write_text(document.replace(started, "1999-01-01T00:00:00"))
            teller.about(tmp_path, config_text_of(run))  # as another controller at the same endpoint
            generation, event_s = board.generation, board.event_s
            teller.tell(1, keep_of(journal, journal.records[0]), True)
            await until(lambda: board.event_s != event_s)
            assert board.generation == generation
            assert board.state is not None
            return board.state.records

    assert asyncio.run(watch()) == 0


def test_of_a_long_journal_its_end_is_shown_and_how_much_is_not(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bs_controller.console.gaps.FIRST_BYTES", 2000)
    monkeypatch.setattr("bs_controller.console.gaps.MOST_BYTES", 2000)
    journal = open_run(run)

    async def watch() -> Any:
        with watching(f"ipc://{run.parent}/events") as (board, teller):
            teller.about(run, config_text_of(run))
            await until(lambda: board.state, partial(announced, teller, [0.0]))
            return board.state

    state = asyncio.run(watch())
    assert 0 < state.records < len(journal.records)
    left_out = len(journal.records) - state.records
    assert any(
        f"{left_out} records before it" in one["text"] for one in state.sections("ue-a", {})["alarms"].values["latest"]
    )
