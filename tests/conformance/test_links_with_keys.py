"""Cases of links with keys: what the kit makes of those who know of none; who is careless with theirs is in the zoo."""

import json
import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from protocol.conformance.case import all_cases


def outcomes(tmp_path: Path, role: str, *cases: str, command: str | None = None) -> dict[str, tuple[str, str]]:
    """Return how each case ended, and the clause that was broken."""
    path = tmp_path / "report.json"
    words = [word for name in cases for word in ("--case", name)] + (["--command", command] if command else [])
    result = CliRunner().invoke(app, ["conform", role, *words, "--json", str(path)])
    assert result.exit_code in {0, 1}, result.output
    found = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return {case["id"]: (case["outcome"], case["broken"]) for case in found}


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("ue", ["longest-frame", "own-key", "own-key-on-the-air"]),
        ("radio", ["enrolled-later", "other-antenna", "strangers-on-the-air"]),
        ("controller", ["another-name", "key-of-another", "null", "unknown-key"]),
    ],
)
def test_own_implementation_passes_cases_of_keys(tmp_path: Path, role: str, names: list[str]) -> None:
    found = outcomes(tmp_path, role, *(f"{role}/security/{name}" for name in names))
    assert {outcome for outcome, _ in found.values()} == {"pass"}
    assert len(found) == len(names)


def test_command_that_cannot_be_told_of_keys_does_not_support_them(tmp_path: Path) -> None:
    command = shlex.join([sys.executable, "-c", "raise SystemExit(1)", "{control}"])
    found = outcomes(tmp_path, "controller", "controller/security/*", command=command)
    assert {outcome for outcome, _ in found.values()} == {"unsupported"}


def test_testee_that_does_not_come_up_with_keys_is_waited_for_once(tmp_path: Path) -> None:
    command = shlex.join([sys.executable, "-c", "raise SystemExit(1)", "{keys}"])
    found = outcomes(tmp_path, "radio", "radio/security/o*", command=command)
    assert {outcome for outcome, _ in found.values()} == {"fail"}


def test_cases_of_keys_are_those_of_one_layer_so_that_the_testee_starts_once() -> None:
    assert {case.layer for case in all_cases() if case.variant == "keys"} == {"security"}
    assert {case.variant for case in all_cases() if case.layer == "security"} == {"keys"}
