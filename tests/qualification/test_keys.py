"""A testbed with keys, as real processes: strangers and impostors stay out, who is revoked is out, and everyone is told why."""

import re
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from protocol import enrolment
from protocol import messages as msg
from protocol.codec import Envelope, encode
from protocol.keys import ClientKeys, Identity
from protocol.messages import Message, PeakReport, Refusal, Role
from tests.protocol.examples import RADIO
from tests.protocol.keyring import Keyring, stranger
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import PATIENCE_S, Lab, Process, Record, counters_of, fixes, of_kind
from tests.qualification.raw_peers import RawPeer, header_of, hello

pytestmark = [pytest.mark.requirement("only enrolled keys take part"), pytest.mark.long]

ROUNDS = 120
MANY = 30
REPORT = PeakReport(epoch=1, subcarrier=1)
SAMPLES = msg.ComplexReport(epoch=1, samples=np.ones(128, np.complex64))
POWERS = msg.PowerReport(epoch=1, power_w=np.ones(64))
DEAF_S = 0.5  # the emulator answers within milliseconds, a hundred times that on a loaded machine


def with_keys(lab_of: LabFactory, **changes: Mapping[str, object]) -> tuple[Lab, Keyring]:
    """Set up a testbed with keys on both links, in which everyone is enrolled."""
    lab = lab_of(links={"keys": "keys"}, **changes)
    ring = Keyring(lab.folder / "keys")
    for ue in lab.ues:
        ring.enrolled(ue)
    return lab, ring


def started(lab: Lab) -> tuple[Process, dict[str, Process]]:
    peers = {"emulator": lab.emulator(), **{ue: lab.ue(ue) for ue in lab.ues}}
    return lab.controller(), peers


# --- a run ------------------------------------------------------------------------------------------------------------


class Run(NamedTuple):
    """What came of a run with strangers at the door and an enrolled UE that breaks the rules."""

    controller: Process
    unheard: dict[str, list[Message]]
    refused: dict[str, Refusal]
    records: list[Record]


@pytest.fixture(scope="module")
def run(module_lab_of: LabFactory) -> Run:
    lab, ring = with_keys(module_lab_of, controller={"rounds": ROUNDS, "gather_s": 0.5, "rejoin_s": 4.0})
    lab.emulator()
    lab.ue("ue-1")
    controller = lab.controller()
    controller.told(lambda records: len(fixes(records, "ue-1")) > 3, "the first fixes")
    strangers = {
        "no keys": None,
        "unknown key": stranger(ring.public("controller")),
        "wrong server key": ring.client("ue-2", "radio"),
    }
    unheard = _unheard(lab, strangers)
    refused = {**_posing(lab, ring.client("ue-2")), **_rule_breaking(lab, ring.client("ue-2"))}
    assert len(fixes(controller.records, "ue-1")) < 3 * ROUNDS, "the attack lasted no longer than the run"
    assert controller.ended() == 0, controller.errors
    return Run(controller, unheard, refused, controller.records)


def _unheard(lab: Lab, strangers: Mapping[str, ClientKeys | None]) -> dict[str, list[Message]]:
    """Return what strangers hear that say hello as ue-2, all of them at once."""
    with ExitStack() as stack:
        peers = {name: stack.enter_context(RawPeer(lab.control, keys)) for name, keys in strangers.items()}
        for peer in peers.values():
            peer.tries(hello(lab.facts, "ue-2"))
        for peer in peers.values():
            peer.stays_until(lambda: any(one.heard for one in peers.values()), DEAF_S)
            peer.give_up()
        return {name: peer.heard for name, peer in peers.items()}


def _posing(lab: Lab, keys: ClientKeys) -> dict[str, Refusal]:
    """Say hello with one's own key as others."""
    as_radio = hello(lab.facts, "ue-2")
    poses = {
        "other name": hello(lab.facts, "ue-1"),
        "other role": type(as_radio)(
            name="radio",
            versions=as_radio.versions,
            software="raw",
            digest=as_radio.digest,
            facts=as_radio.facts,
            capabilities=RADIO,
        ),
    }
    answers: dict[str, Refusal] = {}
    for name, greeting in poses.items():
        with RawPeer(lab.control, keys) as peer:
            peer.say(greeting)
            answers[name] = peer.hears(Refusal)
    return answers


def _rule_breaking(lab: Lab, keys: ClientKeys) -> dict[str, Refusal]:
    """Replay and splice as one who is let in can."""
    answers: dict[str, Refusal] = {}
    with RawPeer(lab.control, keys).open_as(lab.facts, "ue-2") as peer:
        peer.session -= 1
        peer.say(REPORT)
        answers["old session"] = peer.hears(Refusal)
    with RawPeer(lab.control, keys).open_as(lab.facts, "ue-2") as peer:
        sequence = peer.say(REPORT)
        answers["said once"] = peer.hears(Refusal)
        peer.say(REPORT, sequence=sequence)
        peer.say_frames(header_of(SAMPLES, session=peer.session, seq=2), *encode(_in_session(peer, POWERS))[1:])
        answers["frames of a shorter message"] = peer.hears(Refusal)
    with RawPeer(lab.control, keys).open_as(lab.facts, "ue-2") as peer:
        peer.say_frames(header_of(SAMPLES, session=peer.session, seq=1), *[bytes(1024)] * 2)
        answers["frames of two messages"] = peer.hears(Refusal)
        peer.say(msg.Bye(reason="enough"))
    return answers


def _in_session(peer: RawPeer, message: Message) -> Envelope:
    return Envelope(session=peer.session, sequence=1, message=message)


@pytest.mark.clause("10.3")
@pytest.mark.parametrize("who", ["no keys", "unknown key", "wrong server key"])
def test_stranger_hears_nothing(run: Run, who: str) -> None:
    assert run.unheard[who] == []


@pytest.mark.clause("10.3")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("other name", "this key is enrolled for ue ue-2, the hello says ue ue-1"),
        ("other role", "this key is enrolled for ue ue-2, the hello says radio radio"),
    ],
)
def test_enrolled_ue_that_poses_as_another_is_refused_for_good(run: Run, name: str, said: str) -> None:
    refusal = run.refused[name]
    assert (refusal.clause, refusal.text, refusal.final) == ("10.3", said, True)


@pytest.mark.parametrize(
    ("name", "clause"),
    [
        ("old session", "4.12"),
        ("said once", "5.3"),
        ("frames of a shorter message", "3.7"),
        ("frames of two messages", "3.6"),
    ],
)
def test_replayed_and_spliced_messages_are_refused_by_their_clause(run: Run, name: str, clause: str) -> None:
    assert run.refused[name].clause == clause


def test_others_notice_nothing_of_strangers_and_impostors(run: Run) -> None:
    counters = counters_of(run.records)
    assert len(fixes(run.records, "ue-1", recorded=True)) == 3 * ROUNDS
    assert {failure["ue"] for failure in of_kind(run.records, "failure")} <= {"ue-2"}
    assert "ue-1 left" not in run.controller.errors
    assert counters["refused_spec_10.3"] == 2
    assert counters["duplicates"] >= 1
    assert "Traceback" not in run.controller.errors


def test_controller_says_whom_it_kept_out(run: Run) -> None:
    assert re.search(r"kept out 127\.0\.0\.1, whose key is not enrolled here: \S{40} \(", run.controller.errors)


# --- joining and leaving ----------------------------------------------------------------------------------------------


@pytest.mark.clause("10.5")
def test_agent_that_is_not_enrolled_says_so_and_joins_once_it_is(lab_of: LabFactory) -> None:
    lab, ring = with_keys(lab_of)
    ring.revoke("ue-2")
    controller, peers = started(lab)
    key = ring.public("ue-2")
    peers["ue-2"].said(f"kept out of {lab.control}: your key is not enrolled with the controller: {key}")
    peers["ue-2"].said(f"kept out of {lab.loaded.file.links.air}: your key is not enrolled with the radio: {key}")
    enrolment.enrol(ring.folder, Identity(name="ue-2", role=Role.UE, key=key))
    assert controller.ended() == 0, controller.errors
    assert [len(fixes(controller.records, ue)) for ue in lab.ues] == [3, 3], "its link to the air came back as well"


@pytest.mark.clause("10.4")
def test_revoked_ue_is_out_within_two_seconds_and_back_when_enrolled(lab_of: LabFactory) -> None:
    lab, ring = with_keys(lab_of, controller={"rounds": MANY, "rejoin_s": 30.0})
    controller, peers = started(lab)
    controller.told(lambda records: all(len(fixes(records, ue)) > 3 for ue in lab.ues), "the first fixes")
    ring.revoke("ue-2")
    began_s = time.monotonic()
    controller.said("ue-2 left: its key is enrolled no more")
    took_s = time.monotonic() - began_s
    assert took_s < 2.0, f"expected out within 2 s, took {took_s:.2f} s"
    peers["ue-2"].said(f"kept out of {lab.control}: your key is not enrolled with the controller")
    found = len(fixes(controller.records, "ue-2"))
    controller.told(lambda records: len(fixes(records, "ue-1")) == 3 * MANY, "all fixes of the other")
    assert len(fixes(controller.records, "ue-2")) == found < 3 * MANY, "no fix of a revoked UE"
    enrolment.enrol(ring.folder, Identity(name="ue-2", role=Role.UE, key=ring.public("ue-2")))
    assert controller.ended() == 0, controller.errors
    assert len(fixes(controller.records, "ue-2")) == 3 * MANY


@pytest.mark.clause("10.4")
def test_list_that_is_spoilt_admits_nobody_and_says_so(lab_of: LabFactory) -> None:
    lab, ring = with_keys(lab_of, controller={"rounds": MANY, "rejoin_s": 30.0})
    controller, _ = started(lab)
    controller.told(lambda records: len(fixes(records)) > 6, "the first fixes")
    before = ring.list.read_text()
    ring.list.write_text("ue-1 ue\n")
    controller.said("nobody is let in at")
    controller.said("ue-1 left: its key is enrolled no more")
    controller.said(f"{ring.list}:1: expected a name")
    ring.list.write_text(before)
    assert controller.ended() == 0, controller.errors
    assert len(fixes(controller.records)) == 6 * MANY


# --- the air link -----------------------------------------------------------------------------------------------------


@pytest.mark.clause("10.3")
def test_air_link_answers_each_key_about_its_own_antenna_alone(lab_of: LabFactory) -> None:
    lab, ring = with_keys(lab_of)
    emulator = lab.emulator()
    emulator.said("air link at")
    air = lab.loaded.file.links.air
    with RawPeer(air, ring.client("ue-1", "radio")) as peer:
        peer.session = 0
        peer.say(msg.Listen(ue="ue-1", epoch=1))
        assert peer.hears(msg.Silence).text == "nothing is on the air"
        peer.say(msg.Listen(ue="ue-2", epoch=1))
        assert peer.hears(msg.Silence).text == "this key is enrolled for ue-1, not for ue-2"
        ring.revoke("ue-1")
        began_s = time.monotonic()
        assert peer.stays_until(lambda: is_deaf(peer), PATIENCE_S), "a revoked key is answered still"
        took_s = time.monotonic() - began_s - DEAF_S
        assert took_s < 2.0, f"expected no answer after 2 s, the last came {took_s:.2f} s after the revocation"
    for keys in (None, stranger(ring.public("radio")), ring.client("radio", "radio")):
        with RawPeer(air, keys) as peer:
            peer.session = 0
            peer.tries(msg.Listen(ue="ue-1", epoch=1))
            assert not peer.stays_until(lambda: bool(peer.heard), DEAF_S), "radio role and strangers hear nothing"


def is_deaf(peer: RawPeer) -> bool:
    """Ask, and return whether no answer comes."""
    peer.heard.clear()
    peer.say(msg.Listen(ue="ue-1", epoch=1))
    return not peer.stays_until(lambda: bool(peer.heard), DEAF_S)


# --- starting ---------------------------------------------------------------------------------------------------------


@pytest.mark.clause("10.2")
@pytest.mark.parametrize("name", ["controller", "radio", "ue-1"])
def test_process_whose_secret_others_can_read_does_not_start(lab_of: LabFactory, name: str) -> None:
    lab, ring = with_keys(lab_of)
    secret = ring.folder / f"{name}.secret"
    secret.chmod(0o640)
    arguments = {
        "controller": ("-m", "bs_controller", str(lab.file), "--run-dir", str(lab.run_directory)),
        "radio": ("-m", "emulator", str(lab.file)),
        "ue-1": ("-m", "ue_agent", str(lab.file), "--name", "ue-1"),
    }
    process = lab.start(*arguments[name])
    assert process.ended() == 2
    assert f"links.keys: expected a folder with the keys of {name}, got: {secret}: expected mode 0600" in process.errors
    assert "got 0640" in process.errors
    assert "Traceback" not in process.errors


#: A controller whose handler has been lost sight of and says yes to all.
SABOTAGED = """
import runpy, sys
from protocol import zap
zap.answer = lambda frames, admits: [b"", b"1.0", frames[2], b"200", b"", b"anyone", b""]
sys.argv = ["bs_controller", *sys.argv[1:]]
runpy.run_module("bs_controller", run_name="__main__")
"""


@pytest.mark.clause("10.3.5")
def test_process_that_would_let_a_throw_away_key_in_does_not_start(lab_of: LabFactory) -> None:
    lab, _ = with_keys(lab_of)
    process = lab.start("-c", SABOTAGED, str(lab.file), "--run-dir", str(lab.run_directory))
    assert process.ended() == 2
    assert f"cannot start: {lab.control} with keys: expected to keep a throw-away key out, got let in" in process.errors
    assert not (lab.run_directory / "run.json").exists(), "nothing was begun"


@pytest.mark.clause("10.1.2")
def test_link_without_keys_on_the_network_is_announced_loudly(lab_of: LabFactory) -> None:
    lab = lab_of()
    port = lab.control.rpartition(":")[2]
    file = lab.write(
        "open.yaml", {**lab.values, "links": {**_links(lab), "control": f"tcp://*:{port}", "insecure": True}}
    )
    process = lab.start("-m", "bs_controller", str(file), "--run-dir", str(lab.run_directory), "--quiet")
    process.said(f"tcp://*:{port} is INSECURE: whoever reaches it can read and steer this testbed")
    assert "air" not in process.errors, "the air link is on loopback"
    process.signal(signal.SIGTERM)
    process.ended()


def test_keys_on_the_network_need_no_insecure_and_are_not_announced(lab_of: LabFactory) -> None:
    lab, ring = with_keys(lab_of)
    port = lab.control.rpartition(":")[2]
    links = {**_links(lab), "control": f"tcp://*:{port}"}
    lab.write("testbed.yaml", {**lab.values, "links": links})
    controller = lab.controller()
    with RawPeer(f"tcp://127.0.0.1:{port}", ring.client("ue-1")) as peer:
        peer.open_as(lab.facts, "ue-1")
    assert "INSECURE" not in controller.errors


def _links(lab: Lab) -> dict[str, object]:
    links = lab.values["links"]
    assert isinstance(links, dict)
    return links


def test_made_and_enrolled_by_command_a_testbed_runs(lab_of: LabFactory) -> None:
    lab = lab_of(links={"keys": "secrets/lab"})
    folder, peers = str(lab.folder / "secrets" / "lab"), ("radio", *lab.ues)
    for words in (*[("new", name) for name in ("controller", *peers)], *[("enrol", name) for name in peers]):
        assert CliRunner().invoke(app, ["keys", *words, "--keys", folder]).exit_code == 0
    controller, _ = started(lab)
    assert controller.ended() == 0, controller.errors
    assert len(fixes(controller.records)) == 6
    assert oct(Path(folder, "ue-1.secret").stat().st_mode)[-3:] == "600"
