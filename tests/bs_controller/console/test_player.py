"""Playback: a moment of a recording is the same from whatever moment one comes."""

from pathlib import Path

import pytest

from bs_controller.console import player as player_module
from bs_controller.console.board import Board
from bs_controller.console.frames import frame
from bs_controller.console.player import Player
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


def test_a_recording_opens_at_its_end_paused(run: Path) -> None:
    board = Board("recorded")
    player = Player(run, board)
    assert player.status() == {
        "position_s": player.duration_s,
        "duration_s": player.duration_s,
        "playing": False,
        "speed": 1.0,
    }
    assert shown(board)[0] == decoded(frame({}, state_of(run).sections("ue-a", {}))).sections


@pytest.mark.parametrize("every", [7, 10**6], ids=["from states kept on the way", "from the beginning"])
def test_going_back_shows_what_was_shown_on_the_way(run: Path, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player_module, "CHECKPOINT_RECORDS", every)
    monkeypatch.setattr(player_module, "CHECKPOINTS", 10**6)
    board = Board("recorded")
    player = Player(run, board)
    moments = [0.31 * player.duration_s, 0.62 * player.duration_s, 0.97 * player.duration_s]
    player.seek(0.0)
    forward = []
    for moment_s in moments:
        player.seek(moment_s)
        forward.append(shown(board))
    backward = []
    for moment_s in reversed(moments):
        player.seek(moment_s)
        backward.append(shown(board))
    assert backward[::-1] == forward


def test_playing_from_the_end_begins_with_the_first_sweep(run: Path) -> None:
    player = Player(run, Board("recorded"))
    player.play(True)
    assert player.playing
    assert player.position_s < 1.0  # the sixth record, at a tenth of a second each


def test_speed_and_moment_stay_within_limits(run: Path) -> None:
    player = Player(run, Board("recorded"))
    player.set_speed(1e9)
    player.seek(-5.0)
    assert (player.speed, player.position_s) == (player_module.MAX_SPEED, 0.0)
