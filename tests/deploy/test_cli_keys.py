"""The commands of keys: what they write and say, and with which status they end."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy.cli import app
from protocol.keys import read_enrolled

COMMANDS = ("new", "enrol", "revoke", "list")


def keys(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["keys", *words, "--keys", str(folder)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the keys of controller, radio and a UE, the latter two enrolled."""
    for name in ("controller", "radio", "ue-1"):
        assert keys(tmp_path / "keys", "new", name).exit_code == 0
    for name in ("radio", "ue-1"):
        assert keys(tmp_path / "keys", "enrol", name).exit_code == 0
    return tmp_path / "keys"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_the_exit_status_and_an_example_that_the_command_takes(command: str) -> None:
    text = " ".join(CliRunner().invoke(app, ["keys", command, "--help"]).output.split())
    assert "Exit status: 0 if" in text
    example = re.search(r"Example: nftestbed (.*)", text)
    assert example is not None
    assert CliRunner().invoke(app, [*shlex.split(example[1]), "--help"]).exit_code == 0


def test_new_says_what_stays_and_where_the_rest_goes(tmp_path: Path) -> None:
    said = keys(tmp_path, "new", "ue-1").output
    assert f"{tmp_path}/ue-1.secret: stays on the machine of ue-1" in said
    assert (
        f"{tmp_path}/ue-1.public: copy it to where controller and radio run, and there: nftestbed keys enrol ue-1"
        in said
    )


@pytest.mark.clause("10.2.4")
def test_secrets_are_never_printed(folder: Path) -> None:
    secret = (folder / "ue-1.secret").read_text().strip()
    assert secret not in keys(folder, "list").output + keys(folder, "revoke", "ue-1").output


def test_new_overwrites_nothing(folder: Path) -> None:
    before = (folder / "ue-1.secret").read_text()
    result = keys(folder, "new", "ue-1")
    assert (result.exit_code, (folder / "ue-1.secret").read_text()) == (2, before)
    assert "ue-1.secret: expected no such file, got one; keys are never overwritten" in result.output


def test_roles_follow_from_names_unless_they_are_given(folder: Path) -> None:
    assert keys(folder, "new", "sdr").exit_code == 0
    assert keys(folder, "enrol", "sdr", "--role", "radio").exit_code == 0
    assert [(one.name, one.role.value) for one in read_enrolled(folder / "enrolled.txt")] == [
        ("radio", "radio"),
        ("ue-1", "ue"),
        ("sdr", "radio"),
    ]


@pytest.mark.clause("10.2.4")
def test_key_from_elsewhere_is_enrolled_without_its_secret(folder: Path, tmp_path: Path) -> None:
    assert keys(tmp_path / "ue", "new", "ue-2").exit_code == 0
    assert keys(folder, "enrol", "ue-2", "--public", str(tmp_path / "ue" / "ue-2.public")).exit_code == 0
    assert not (folder / "ue-2.secret").exists()


def test_enrolling_again_is_said_and_no_error(folder: Path) -> None:
    result = keys(folder, "enrol", "ue-1")
    assert (result.exit_code, result.output) == (0, "ue-1 is enrolled as ue already\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("enrol", "ue-2"), "ue-2.public: expected a readable file, got: No such file or directory"),
        (("enrol", "controller"), "expected the name of a radio or a UE, got controller"),
        (("enrol", "ue-1", "--role", "radio"), "got ue-1 as ue with the key"),
        (("revoke", "ue-2"), "expected a name that is enrolled (radio, ue-1), got ue-2"),
        (("new", "UE 1"), 'expected a name of a-z, 0-9 and -, at most 32 of them, got "UE 1"'),
    ],
)
def test_what_cannot_be_done_is_told_with_status_2(folder: Path, words: tuple[str, ...], expected: str) -> None:
    before = (folder / "enrolled.txt").read_bytes()
    result = keys(folder, *words)
    assert (result.exit_code, (folder / "enrolled.txt").read_bytes()) == (2, before)
    assert expected in " ".join(result.output.split())


def test_revoked_name_may_be_enrolled_with_another_key(folder: Path) -> None:
    old = (folder / "ue-1.public").read_text().strip()
    assert keys(folder, "revoke", "ue-1").exit_code == 0
    for kind in ("secret", "public"):
        (folder / f"ue-1.{kind}").unlink()
    assert keys(folder, "new", "ue-1").exit_code == 0
    assert keys(folder, "enrol", "ue-1").exit_code == 0
    assert old not in (folder / "enrolled.txt").read_text()


def test_list_for_programs_holds_what_is_enrolled(folder: Path) -> None:
    document = json.loads(keys(folder, "list", "--json").output)
    assert [(one["name"], one["role"], len(one["key"])) for one in document["enrolled"]] == [
        ("radio", "radio", 40),
        ("ue-1", "ue", 40),
    ]


def test_list_without_a_list_is_told_with_status_2(tmp_path: Path) -> None:
    result = keys(tmp_path, "list")
    assert result.exit_code == 2
    assert "enrolled.txt: expected a readable file" in result.output
