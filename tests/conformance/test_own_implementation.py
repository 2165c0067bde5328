import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from deploy.cli import app

ROOT = Path(__file__).parents[2]


def conform(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["conform", *words])
    return result.exit_code, result.output


def test_own_ue_passes_a_few_cases_and_all_reports_are_written(tmp_path: Path) -> None:
    files = {name: tmp_path / f"report.{name}" for name in ("json", "junit", "html")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    status, output = conform("ue", "--case", "ue/numerics/*", "--case", "ue/schema/random-*", "--seed", "3", *options)
    assert status == 0, output
    document = json.loads(files["json"].read_text(encoding="utf-8"))
    assert document["summary"]["pass"] == len(document["cases"]) >= 6
    assert document["seed"] == 3
    assert ElementTree.parse(files["junit"]).getroot().get("failures") == "0"
    page = files["html"].read_text(encoding="utf-8")
    assert "ue/numerics/peak" in page
    assert "http" not in page  # nothing from elsewhere


def test_testee_that_cannot_be_started_or_says_nothing_is_status_2() -> None:
    assert conform("ue", "--command", "/no/such/agent")[0] == 2
    status, output = conform("ue", "--command", "false")
    assert status == 2
    assert "ended with status 1" in output


def test_testee_that_ends_with_127_supports_nothing_and_so_conforms_to_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    cases = ("--case", "ue/numerics/peak", "--case", "ue/numerics/group")
    assert conform("ue", "--command", "sh -c 'exit 127'", *cases, "--json", str(path))[0] == 1
    assert json.loads(path.read_text(encoding="utf-8"))["summary"]["unsupported"] == 2


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("role", ["ue", "radio", "controller"])
def test_own_implementation_passes_every_case(role: str) -> None:
    # in a process of its own, as users run it: timings are not those of an interpreter full of other tests
    command = [sys.executable, "-m", "deploy.cli", "conform", role]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
