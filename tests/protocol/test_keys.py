"""Files of keys: what is read, what is refused and why, and that changes are whole and overwrite nothing."""

import os
import stat
import threading
from pathlib import Path

import pytest

from protocol import enrolment
from protocol.config import ConfigError, LoadedTestbed, read_testbed
from protocol.curve import new_keypair
from protocol.keys import (
    AllowList,
    Identity,
    KeyFileError,
    client_keys,
    is_key,
    read_enrolled,
    read_secret,
    server_keys,
)
from protocol.messages import Role
from tests.protocol.keyring import Keyring
from tests.protocol.test_config import GOOD, write


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys")


def loaded_with(tmp_path: Path, links: str) -> LoadedTestbed:
    return read_testbed(write(tmp_path, GOOD.replace("links:\n", f"links:\n{links}")))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- pairs -----------------------------------------------------------------------------------------------------------


@pytest.mark.clause("10.2")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_new_secret_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        ring = Keyring(tmp_path / "keys")
    finally:
        os.umask(before)
    assert mode_of(ring.folder / "controller.secret") == 0o600
    assert mode_of(ring.folder) == 0o700
    assert mode_of(ring.list) & 0o022 == 0, "whoever may write here lets anyone in"


@pytest.mark.parametrize("kind", ["secret", "public"])
def test_pair_that_is_there_is_never_overwritten(ring: Keyring, kind: str) -> None:
    other = {"secret": "public", "public": "secret"}[kind]
    (ring.folder / f"controller.{other}").unlink()
    before = (ring.folder / f"controller.{kind}").read_text()
    with pytest.raises(KeyFileError, match=rf"controller\.{kind}: expected no such file, got one"):
        enrolment.write_pair(ring.folder, "controller", *new_keypair())
    assert (ring.folder / f"controller.{kind}").read_text() == before
    assert not (ring.folder / f"controller.{other}").exists()


@pytest.mark.parametrize("name", ["", "UE-1", "../ue", "a/b", "x" * 33, "-a", "ue 1", "ue\n"])
def test_name_that_no_hello_may_say_makes_no_file(ring: Keyring, name: str) -> None:
    files = sorted(ring.folder.iterdir())
    with pytest.raises(KeyFileError, match="expected a name of a-z, 0-9 and -"):
        enrolment.write_pair(ring.folder, name, *new_keypair())
    assert sorted(ring.folder.iterdir()) == files


@pytest.mark.clause("10.2")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o610, 0o777])
def test_secret_that_others_may_touch_is_refused_with_the_modes(ring: Keyring, mode: int) -> None:
    path = ring.folder / "radio.secret"
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=rf"radio\.secret: expected mode 0600, since it is secret, got {mode:04o}"):
        read_secret(ring.folder, "radio")


@pytest.mark.parametrize("text", ["", "short", "x" * 41, "~" * 40, "#" * 40, "a" * 40 + "\n" + "a" * 40])
def test_what_is_no_key_is_refused_and_not_shown(ring: Keyring, text: str) -> None:
    (ring.folder / "radio.secret").write_text(text)
    with pytest.raises(KeyFileError, match=r"radio\.secret: expected one key of 40 characters, got something else$"):
        read_secret(ring.folder, "radio")


def test_key_is_what_libzmq_makes_and_nothing_longer_than_32_bytes() -> None:
    assert all(is_key(key) for _ in range(20) for key in new_keypair())
    assert not is_key("#" * 40), "five # are 85^5 - 1, which is above 2^32 - 1"
    assert is_key("0" * 40)


def test_secret_that_is_no_plain_file_is_refused(ring: Keyring) -> None:
    os.mkfifo(ring.folder / "ue-1.secret", 0o600)
    with pytest.raises(KeyFileError, match=r"ue-1\.secret: expected a plain file"):
        read_secret(ring.folder, "ue-1")


def test_keys_do_not_show_in_texts(ring: Keyring) -> None:
    keys = ring.client("radio")
    assert keys.secret not in repr(keys)


# --- enrolment -------------------------------------------------------------------------------------------------------


def test_enrolled_are_read_back_in_order(ring: Keyring) -> None:
    people = [ring.enrolled(f"ue-{number}") for number in (2, 1)]
    assert read_enrolled(ring.list)[1:] == people


def test_enrolling_the_same_again_changes_nothing(ring: Keyring) -> None:
    identity = ring.enrolled("ue-1")
    before = ring.list.stat().st_ino
    assert not enrolment.enrol(ring.folder, identity)
    assert ring.list.stat().st_ino == before


@pytest.mark.clause("10.3")
@pytest.mark.parametrize("change", ["key", "role", "name"])
def test_name_and_key_stand_for_each_other(ring: Keyring, change: str) -> None:
    one = ring.enrolled("ue-1")
    other = {
        "key": Identity(name="ue-1", role=Role.UE, key=new_keypair()[0]),
        "role": Identity(name="ue-1", role=Role.RADIO, key=one.key),
        "name": Identity(name="ue-2", role=Role.UE, key=one.key),
    }[change]
    with pytest.raises(KeyFileError, match="revoke that first"):
        enrolment.enrol(ring.folder, other)
    assert read_enrolled(ring.list)[1:] == [one]


def test_controller_connects_to_nobody_and_cannot_be_enrolled(ring: Keyring) -> None:
    with pytest.raises(KeyFileError, match="expected the name of a radio or a UE, got controller"):
        enrolment.enrol(ring.folder, Identity(name="controller", role=Role.UE, key=ring.public("controller")))


def test_revoking_who_is_not_enrolled_names_those_who_are(ring: Keyring) -> None:
    with pytest.raises(KeyFileError, match=r"expected a name that is enrolled \(radio\), got ue-1"):
        ring.revoke("ue-1")


def test_commands_at_the_same_time_lose_nobody(ring: Keyring) -> None:
    people = [Identity(name=f"ue-{number}", role=Role.UE, key=new_keypair()[0]) for number in range(16)]
    threads = [threading.Thread(target=enrolment.enrol, args=(ring.folder, one)) for one in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.name for one in read_enrolled(ring.list)} == {"radio", *(one.name for one in people)}
    assert [path.name for path in ring.folder.iterdir() if path.name.startswith(".")] == [], "no drafts are left"


@pytest.mark.parametrize(
    "line", ["ue-1 ue", "ue-1 boss {key}", "UE-1 ue {key}", "ue-1 ue {key} x", "ue-1 ue short", "radio radio {radio}"]
)
def test_line_that_is_wrong_is_named_by_its_number(ring: Keyring, line: str) -> None:
    text = line.format(key=new_keypair()[0], radio=ring.public("radio"))
    ring.list.write_text(ring.list.read_text() + text + "\n")
    with pytest.raises(KeyFileError, match=r"enrolled\.txt:3: expected (a name|each name)"):
        read_enrolled(ring.list)


def test_list_that_others_may_write_is_refused(ring: Keyring) -> None:
    ring.list.chmod(0o664)
    with pytest.raises(KeyFileError, match=r"enrolled\.txt: expected mode 0644 or less, since .*, got 0664"):
        read_enrolled(ring.list)


# --- the list of a running process -----------------------------------------------------------------------------------


@pytest.mark.clause("10.3")
def test_list_of_a_link_holds_its_roles_alone(ring: Keyring) -> None:
    ue = ring.enrolled("ue-1")
    allowed = AllowList(ring.list, [Role.UE])
    assert allowed.identity(ue.key) == ue
    assert allowed.identity(ring.public("radio")) is None


@pytest.mark.clause("10.4")
def test_change_of_the_list_is_seen_and_only_a_change(ring: Keyring) -> None:
    ue = ring.enrolled("ue-1")
    allowed = AllowList(ring.list, Role)
    assert not allowed.refresh()
    ring.revoke("ue-1")
    assert allowed.refresh()
    assert not allowed.holds(ue)
    assert not allowed.refresh()


@pytest.mark.clause("10.4")
@pytest.mark.parametrize("harm", ["removed", "garbage", "writable"])
def test_list_that_cannot_be_used_any_more_admits_nobody_until_it_can(ring: Keyring, harm: str) -> None:
    ue = ring.enrolled("ue-1")
    allowed = AllowList(ring.list, Role)
    text = ring.list.read_text()
    if harm == "removed":
        ring.list.unlink()
    elif harm == "garbage":
        ring.list.write_text("?\n")
    else:
        ring.list.chmod(0o666)
    assert allowed.refresh()
    assert not allowed.holds(ue)
    assert "enrolled.txt" in (allowed.complaint or "")
    ring.list.unlink(missing_ok=True)
    ring.list.write_text(text)
    ring.list.chmod(0o644)
    assert allowed.refresh()
    assert allowed.holds(ue)
    assert allowed.complaint is None


# --- what a process is given -----------------------------------------------------------------------------------------


@pytest.mark.clause("10.1")
def test_ipc_and_testbeds_without_keys_have_none(tmp_path: Path) -> None:
    assert client_keys(loaded_with(tmp_path, "  keys: keys\n"), "ipc:///run/x", "ue-1", "controller") is None
    assert client_keys(loaded_with(tmp_path, ""), "tcp://127.0.0.1:1", "ue-1", "controller") is None


def test_folder_is_seen_from_the_testbed_file(ring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    keys = client_keys(loaded_with(tmp_path, "  keys: keys\n"), "tcp://127.0.0.1:1", "radio", "controller")
    assert keys == ring.client("radio")


@pytest.mark.clause("10.2.4")
def test_ue_needs_its_own_secret_and_the_servers_public_keys_alone(ring: Keyring, tmp_path: Path) -> None:
    ring.enrolled("ue-1")
    for path in ring.folder.iterdir():
        if path.name not in {"ue-1.secret", "controller.public", "radio.public"}:
            path.unlink()
    loaded = loaded_with(tmp_path, "  keys: keys\n")
    for server in ("controller", "radio"):
        assert client_keys(loaded, "tcp://127.0.0.1:1", "ue-1", server) == ring.client("ue-1", server)


def test_controller_needs_its_secret_and_the_list_alone(ring: Keyring, tmp_path: Path) -> None:
    for path in ring.folder.iterdir():
        if path.name not in {"controller.secret", "enrolled.txt"}:
            path.unlink()
    assert server_keys(loaded_with(tmp_path, "  keys: keys\n"), "tcp://127.0.0.1:1", "controller", Role) is not None


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        ("open", "controller.secret: expected mode 0600, since it is secret, got 0644"),
        ("gone", "controller.secret: expected a readable file, got: No such file or directory"),
        ("nobody", "enrolled.txt: expected a readable file, got: No such file or directory"),
    ],
)
def test_refusal_names_testbed_file_key_path_and_file(ring: Keyring, tmp_path: Path, harm: str, expected: str) -> None:
    secret = ring.folder / "controller.secret"
    {"open": lambda: secret.chmod(0o644), "gone": secret.unlink, "nobody": ring.list.unlink}[harm]()
    loaded = loaded_with(tmp_path, "  keys: keys\n")
    with pytest.raises(ConfigError) as caught:
        server_keys(loaded, "tcp://127.0.0.1:1", "controller", Role)
    said = str(caught.value).replace(str(tmp_path), "~")
    assert said == f"~/bed.yaml:18:9: links.keys: expected a folder with the keys of controller, got: ~/keys/{expected}"
