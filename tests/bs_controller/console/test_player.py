"""Playback: a moment of a recording is the same from whatever moment one comes."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from bs_controller.console import player as player_module
from bs_controller.console.board import Board
from bs_controller.console.frames import frame
from bs_controller.console.player import Player
from bs_controller.console.truths import RecordedTruth
from bs_controller.recorded import open_run
from protocol.journal import line_from_record
from tests.bs_controller.console.runs import decoded, state_of
from tests.deploy.recorded_runs import CBS_AND_OTHERS, recorded_run, rewritten


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = recorded_run(tmp_path_factory.mktemp("run"), schemes=list(CBS_AND_OTHERS), rounds=4)
    rewritten(path, lambda record: {**record, "time_s": 0.1 * record["seq"]} if record["seq"] else record)
    return path


def shown(board: Board) -> tuple[object, object]:
    assert board.state is not None
    found = decoded(frame({}, board.state.sections("ue-a", {})))
    return found.sections, {name: array.tobytes() for name, array in found.arrays.items()}


def at(player: Player) -> float:
    return float(str(player.status()["position_s"]))


async def arrival(board: Board, player: Player) -> None:
    async with asyncio.timeout(20.0):
        with board.watched() as changed:
            while not player.arrived:
                await changed.wait()
                changed.clear()


def test_a_recording_opens_at_its_end_paused(run: Path) -> None:
    board = Board("recorded")
    player = Player(run, board)
    player.arrive()
    assert player.status() == {
        "position_s": player.duration_s,
        "duration_s": player.duration_s,
        "playing": False,
        "speed": 1.0,
        "read": None,
    }
    assert shown(board)[0] == decoded(frame({}, state_of(run).sections("ue-a", {}))).sections


@pytest.mark.parametrize("every", [2000, 10**9], ids=["from states kept on the way", "from the beginning"])
def test_going_back_shows_what_was_shown_on_the_way(run: Path, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player_module, "CHECKPOINT_BYTES", every)
    monkeypatch.setattr(player_module, "CHECKPOINTS", 10**6)
    board = Board("recorded")
    player = Player(run, board)
    moments = [0.31 * player.duration_s, 0.62 * player.duration_s, 0.97 * player.duration_s]
    player.arrive()
    player.seek(0.0)
    forward = []
    for moment_s in moments:
        player.seek(moment_s)
        player.arrive()
        forward.append(shown(board))
    backward = []
    for moment_s in reversed(moments):
        player.seek(moment_s)
        player.arrive()
        backward.append(shown(board))
    assert backward[::-1] == forward


def test_playing_from_the_end_begins_with_the_first_sweep(run: Path) -> None:
    player = Player(run, Board("recorded"))
    player.arrive()
    player.play(True)
    player.arrive()
    assert player.playing
    assert at(player) < 1.0  # the sixth record, at a tenth of a second each


def test_speed_and_moment_stay_within_limits(run: Path) -> None:
    player = Player(run, Board("recorded"))
    player.set_speed(1e9)
    player.seek(-5.0)
    player.arrive()
    assert (player.speed, at(player)) == (player_module.MAX_SPEED, 0.0)


def test_a_recording_is_seen_while_it_is_read_and_of_moments_asked_for_in_haste_the_last_is_shown(run: Path) -> None:
    async def watch() -> tuple[Any, Board, Player]:
        board = Board("recorded")
        player = Player(run, board)
        opened = player.status()
        playing = asyncio.create_task(player.run())
        for share in (0.2, 0.9, 0.5):
            player.seek(share * player.duration_s)
        await arrival(board, player)
        playing.cancel()
        return opened, board, player

    opened, board, player = asyncio.run(watch())
    assert (opened["position_s"], opened["read"]) == (0.0, 0.0)
    assert at(player) == 0.5 * player.duration_s
    records = open_run(run).records
    assert board.state is not None
    assert board.state.records == sum(float(str(one["time_s"])) <= at(player) for one in records)


def test_a_damaged_recording_is_shown_up_to_there_with_an_alarm(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    lines = (copy / "journal.jsonl").read_bytes().splitlines(keepends=True)
    lines[20] = b"0" + lines[20][1:-9] + b"damaged}\n"
    (copy / "journal.jsonl").write_bytes(b"".join(lines))

    async def watch() -> Board:
        board = Board("recorded")
        player = Player(copy, board)
        playing = asyncio.create_task(player.run())
        await arrival(board, player)
        playing.cancel()
        return board

    state = asyncio.run(watch()).state
    assert state is not None
    alarms: Any = state.sections("ue-a", {})["alarms"].values["latest"]
    assert ["journal.jsonl:21" in alarm["text"] for alarm in alarms] == [True]
    assert state.records == 19  # line 1 is the header


def test_where_users_were_is_found_for_any_epoch_in_any_order(tmp_path: Path) -> None:
    """Lines of two epochs that are on the air in turn may lie between each other."""
    lines = [("a", 1, 5.0), ("b", 2, 6.0), ("a", 2, 7.0), ("b", 1, 8.0), ("a", 3, 9.0)]
    path = tmp_path / "truth.jsonl"
    path.write_bytes(
        b"".join(
            line_from_record(n, {"kind": "truth", "epoch": epoch, "ue": ue, "range_m": range_m, "angle_rad": 0.5})
            for n, (ue, epoch, range_m) in enumerate(lines)
        )
        + b"torn"
    )
    truth = RecordedTruth(path)
    assert [truth(ue, epoch) for ue, epoch, _ in reversed(lines)] == [(place, 0.5) for *_, place in reversed(lines)]
    assert truth("c", 1) is None
    assert truth("a", 4) is None
    assert RecordedTruth(tmp_path / "none")("a", 1) is None
