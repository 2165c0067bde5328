"""A UE agent in C++, written from SPEC.md alone, passes the kit: the text suffices, and the kit asks for nothing beyond it."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app

SOURCES = Path(__file__).with_name("foreign_agent")
HEADERS = ("zmq.hpp", "nlohmann/json.hpp", "sodium.h")
PACKAGES = "g++ make libzmq3-dev cppzmq-dev nlohmann-json3-dev libsodium-dev"

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the agent outside the checkout."""
    missing = [tool for tool in ("g++", "make") if shutil.which(tool) is None]
    missing += [header for header in HEADERS if not (Path("/usr/include") / header).exists()]
    if missing:
        pytest.skip(f"{', '.join(missing)} not found; on Debian: apt-get install {PACKAGES}")
    folder = tmp_path_factory.mktemp("agent")
    for source in SOURCES.iterdir():
        if source.is_file():
            shutil.copy(source, folder)
    subprocess.run(["make", "-C", str(folder)], check=True, capture_output=True)
    return folder / "build" / "ue_agent"


def test_agent_in_another_language_conforms_without_exception(agent: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = f"{shlex.quote(str(agent))} --control {{control}} --air {{air}} --name {{name}} --facts {{facts}}"
    result = CliRunner().invoke(app, ["conform", "ue", "--command", command, "--json", str(report)])
    assert result.exit_code == 0, result.output
    document = json.loads(report.read_text(encoding="utf-8"))
    assert document["summary"]["pass"] > 0
    unsupported = {case["id"] for case in document["cases"] if case["outcome"] == "unsupported"}
    others = {name for name in unsupported if not name.startswith("ue/security/")}
    assert others == {"ue/session/kind-that-is-not-advertised"}, "the agent has every kind and an air link, and no keys"
