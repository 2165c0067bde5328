"""``nftestbed replay``: recorded fixes come out the same, and what cannot is named with a reason and an exit status."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from bs_controller.record import open_run
from deploy.cli import app
from deploy.replay_run import replay_run
from tests.bs_controller.rehearsal import Rehearsal
from tests.deploy.recorded_runs import CBS_AND_OTHERS, recorded_run, rewritten, tear, written_testbed


class Output(NamedTuple):
    """What a command printed and how it ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


def nftestbed(*words: str | Path) -> Output:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return Output(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording of two users, four schemes, two rounds: 16 fixes."""
    return recorded_run(tmp_path_factory.mktemp("recorded"), rounds=2, schemes=CBS_AND_OTHERS)


@pytest.fixture
def run(recorded: Path, tmp_path: Path) -> Path:
    """Return a copy of the recording, to be spoilt."""
    return Path(shutil.copytree(recorded, tmp_path / "run"))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay in a thread: what a process of its own adds is seen where a run is whole, and where there is none."""
    monkeypatch.setattr("deploy.replay_command.local_executor", ThreadPoolExecutor)


def fixes_of(run: Path) -> list[dict[str, Any]]:
    return [record for record in open_run(run).records if record["kind"] == "fix"]


def test_every_recorded_fix_comes_out_the_same_beside_its_truth(recorded: Path) -> None:
    document = replay_run(recorded)
    assert [fix.verdict for fix in document.fixes] == ["same"] * 16
    assert [(fix.ue, fix.scheme, fix.round) for fix in document.fixes] == [
        (fix["ue"], fix["scheme"], fix["round"]) for fix in fixes_of(recorded)
    ]
    assert {fix.truth_range_m for fix in document.fixes} == {5.0}
    assert (document.complete, document.failures, document.not_replayed) == (True, [], [])


def test_command_prints_one_document_and_ends_with_status_0(recorded: Path) -> None:
    output = nftestbed("replay", recorded, "--json")
    assert output.status == 0, output.err
    assert output.document["complete"]
    assert len(output.document["fixes"]) == 16
    assert output.document["recording"]["ended"]


@pytest.mark.usefixtures("here")
def test_table_for_people_counts_what_is_the_same(recorded: Path) -> None:
    output = nftestbed("replay", recorded, "--scheme", "cbs_bt")
    rows = [line.split() for line in output.out.splitlines() if line.split()[:1] in [["ue-a"], ["ue-b"]]]
    assert [(row[0], row[1], row[-4:]) for row in rows] == [
        ("ue-a", "cbs_bt", ["2", "2", "0", "0"]),
        ("ue-b", "cbs_bt", ["2", "2", "0", "0"]),
    ]


@pytest.mark.usefixtures("here")
def test_fix_that_was_recorded_one_bit_off_differs_and_the_status_is_1(run: Path) -> None:
    def one_bit_off(record: dict[str, Any]) -> dict[str, Any]:
        if record.get("kind") == "fix" and (record["ue"], record["scheme"], record["round"]) == ("ue-b", "cbs_bt", 1):
            record["range_m"] *= 1 + 2**-52
        return record

    rewritten(run, one_bit_off)
    output = nftestbed("replay", run)
    assert output.status == 1
    assert "differs: ue-b by cbs_bt in round 1, by " in output.out


def test_torn_tail_is_told_and_every_fix_before_it_comes_out_the_same(tmp_path: Path) -> None:
    run = recorded_run(tmp_path, ended=False, rounds=3, schemes=CBS_AND_OTHERS)
    journal = run / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[: journal.stat().st_size * 2 // 3])
    torn = tear(run)
    document = replay_run(run)
    assert 0 < len(fixes_of(run)) < 24
    assert [fix.verdict for fix in document.fixes if fix.verdict != "not recorded"] == ["same"] * len(fixes_of(run))
    assert document.complete
    assert (document.recording.ended, document.recording.torn_bytes) == (False, torn)
    assert any(f"{torn} bytes are left out" in cut for cut in document.recording.cuts)


def test_localization_that_the_kill_cut_short_is_named_and_no_fault(run: Path) -> None:
    last = [record for record in open_run(run).records if record["kind"] == "report"][-1]
    rewritten(run, lambda record: record if record["seq"] < last["seq"] else None)
    document = replay_run(run)
    assert document.complete
    assert [(one.ue, one.scheme, one.round, one.expected) for one in document.not_replayed] == [
        (last["ue"], last["scheme"], last["round"], True)
    ]
    assert "the recording ends here: request" in document.not_replayed[0].text


@pytest.mark.usefixtures("here")
def test_record_that_could_not_be_written_makes_its_fix_impossible_and_the_status_1(run: Path) -> None:
    report = next(record for record in open_run(run).records if record["kind"] == "report")
    rewritten(run, lambda record: None if record["seq"] == report["seq"] else record)
    output = nftestbed("replay", run)
    assert output.status == 1
    who = f"{report['ue']} by {report['scheme']} in round 0"
    assert f"not replayed: {who}: request 1 is for a sweep" in output.out
    assert "the journal lacks 1 records" in output.out


def test_recorded_failure_of_a_scheme_fails_in_the_same_words(tmp_path: Path) -> None:
    run = recorded_run(tmp_path, peers=Rehearsal, schemes=[{"scheme": "backprojection", "range_points": 50}])
    document = replay_run(run)
    assert [(failure.ue, failure.verdict) for failure in document.failures] == [("ue-a", "same"), ("ue-b", "same")]
    assert "the snapshot is zero throughout" in document.failures[0].text
    assert document.complete


@pytest.mark.usefixtures("here")
def test_damaged_samples_are_refused_with_status_2_and_their_file(run: Path) -> None:
    data = run / "iq" / "report.sigmf-data"
    data.write_bytes(b"\0" + data.read_bytes()[1:])
    output = nftestbed("replay", run)
    assert output.status == 2
    assert f"{data}: expected CRC32" in output.err


def test_folder_without_a_run_is_refused_with_status_2(tmp_path: Path) -> None:
    output = nftestbed("replay", tmp_path)
    assert output.status == 2
    assert "expected a file of a run" in output.err


@pytest.mark.usefixtures("here")
def test_configuration_of_another_testbed_than_was_recorded_is_refused(run: Path) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("carrier_hz: 100000000000.0", "carrier_hz: 99000000000.0"))
    output = nftestbed("replay", run)
    assert output.status == 2
    assert "expected the facts of digest" in output.err


# --- another scheme --------------------------------------------------------------------------------------------------


def test_another_scheme_is_told_what_the_ues_would_have_told_it(tmp_path: Path) -> None:
    run = recorded_run(tmp_path, schemes=[{"scheme": "cbs", "feedback": "complex"}])
    other = written_testbed(tmp_path / "other.yaml", schemes=[{"scheme": "cbs"}]).path
    document = replay_run(run, testbed=other)
    assert document.complete
    for fix, recorded in zip(document.fixes, fixes_of(run), strict=True):
        # the same peaks of the same sweeps: only who looks for them differs
        assert (fix.range_m, fix.angle_rad, fix.verdict) == (recorded["range_m"], recorded["angle_rad"], "not recorded")


def test_scheme_of_any_name_is_replayed_with_its_defaults(recorded: Path) -> None:
    document = replay_run(recorded, scheme="music")
    assert len(document.fixes) == 4, "two users, two rounds, on the soundings of backprojection"
    assert document.complete


@pytest.mark.usefixtures("here")
def test_scheme_whose_sweeps_were_not_recorded_names_round_user_and_sweep_with_status_1(tmp_path: Path) -> None:
    run = recorded_run(tmp_path, rounds=2)
    output = nftestbed("replay", run, "--scheme", "cbs_bt", "--json")
    assert output.status == 1
    assert {(one["ue"], one["round"]) for one in output.document["not_replayed"]} == {
        (ue, number) for ue in ("ue-a", "ue-b") for number in (0, 1)
    }
    assert "request 2 is for a sweep of 32 groups from 1 m" in output.document["not_replayed"][0]["text"]


@pytest.mark.usefixtures("here")
def test_unknown_scheme_is_refused_with_status_2_and_the_names_there_are(recorded: Path) -> None:
    output = nftestbed("replay", recorded, "--scheme", "cbx")
    assert output.status == 2
    assert "cbx" in output.err


@pytest.mark.usefixtures("here")
def test_testbed_of_other_facts_is_refused_with_the_differing_fact(recorded: Path, tmp_path: Path) -> None:
    path = written_testbed(tmp_path / "other.yaml").path
    path.write_text(path.read_text().replace("elements: 64", "elements: 32"))
    output = nftestbed("replay", recorded, "--testbed", path)
    assert output.status == 2
    assert "downlink.array.elements: 64 here, 32 there" in output.err


@pytest.mark.usefixtures("here")
def test_scheme_that_is_not_wished_need_not_be_made(run: Path) -> None:
    config, network = run / "config.yaml", "  - scheme: network\n    model: no/where.onnx\n"
    config.write_text(config.read_text().replace("  - scheme: cbs\n", f"  - scheme: cbs\n{network}", 1))
    assert nftestbed("replay", run).status == 2
    document = replay_run(run, scheme="cbs")
    assert [fix.verdict for fix in document.fixes] == ["same"] * 4
