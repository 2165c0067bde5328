"""The commands of the console say in one line what they expected, and end with status 2."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from tests.deploy.recorded_runs import recorded_run, written_testbed

pytest.importorskip("uvicorn", reason="the console's packages are not installed")


def told(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    outcome = CliRunner().invoke(app, list(arguments))
    assert outcome.exit_code == 2
    return outcome.output + "".join(capfd.readouterr())


def test_a_controller_that_tells_nothing_cannot_be_watched(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    written_testbed(tmp_path / "testbed.yaml")
    assert "expected links.events" in told(capfd, "console", str(tmp_path / "testbed.yaml"), "--port", "0")


def test_a_folder_without_a_run_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "expected a file of a run" in told(capfd, "console", str(tmp_path), "--port", "0")


def test_a_port_that_is_taken_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = recorded_run(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1:{port}: Address already in use" in told(capfd, "console", str(run), "--port", port)


def test_one_document_and_a_console_exclude_each_other(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = Path(__file__).parents[2] / "deploy" / "testbeds" / "demo.yaml"
    directory = str(tmp_path / "run")
    assert "got both" in told(capfd, "run", str(file), "--console", "--json", "--run-dir", directory)
    assert not (tmp_path / "run" / "journal.jsonl").exists()
