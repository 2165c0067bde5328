"""The runbook: every command in it works, in its order, on a machine with systemd; and it knows every alarm."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.qualification.machine import PATH, Machine, refusal
from tests.qualification.processes import ROOT, wait_until

TEXT = (ROOT / "deploy" / "RUNBOOK.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))["groups"][0][
    "rules"
]
TOOLS = ("curl", "jq", "python3")
RUNS = "/var/lib/nftestbed/runs"

pytestmark = pytest.mark.requirement("a testbed can be kept running")


def test_runbook_has_a_part_for_each_alarm_in_the_order_of_the_rules() -> None:
    assert re.findall(r"^### (\w+)$", TEXT, re.MULTILINE) == [rule["alert"] for rule in RULES]


def test_every_block_of_the_runbook_is_one_of_commands() -> None:
    assert len(BLOCKS) == TEXT.count("```") / 2 > 10


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, list[str]]]:
    """Carry out the runbook; yield the machine and what each block printed."""
    missing = [f"{name} is not installed" for name in TOOLS if shutil.which(name, path=PATH) is None]
    if reason := "; ".join(filter(None, [refusal(), *missing])):
        pytest.skip(reason)
    with Machine(tmp_path_factory.mktemp("machine")) as made:
        said = [made.run(block, ROOT, network="pip install" in block).stdout for block in BLOCKS]
        yield made, said


def status(machine: Machine, unit: str) -> dict[str, str]:
    """Return what systemd says of a service."""
    words = f"systemctl show {unit} --property=ActiveState,Result,ExecMainStatus,NRestarts,MainPID"
    return dict(line.split("=", 1) for line in machine.run(words, Path("/")).stdout.splitlines())


@pytest.mark.long
@pytest.mark.timeout(900)
def test_run_that_the_runbook_starts_finds_every_user_with_keys_and_is_read(machine: tuple[Machine, list[str]]) -> None:
    made, said = machine
    runs = made.run(f"cat {RUNS}/*/run.json | jq -c .stop.finished", Path("/")).stdout.split()
    assert runs == ["true", "false"], "one that ended by itself, one that was stopped"
    (table,) = (text for text in said if "backprojection" in text and "\t" in text)
    assert len([line for line in table.splitlines() if line.startswith("ue-")]) == 20
    assert "Result=success\nExecMainStatus=0" in "".join(said)
    sessions = made.run("journalctl --no-pager -u nftestbed-ue@ue-4", Path("/")).stdout
    assert "is open" in sessions, "a UE that was let in again is there"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_front_end_that_the_runbook_calibrates_is_corrected_in_the_next_run(machine: tuple[Machine, list[str]]) -> None:
    made, said = machine
    assert any("512 elements by 256 pilots, 0 dead" in text for text in said)
    kept = made.run('grep -c \'"kind":"calibration"\' /var/lib/nftestbed/corrected/journal.jsonl', Path("/")).stdout
    assert kept.strip() == "1"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_radio_begins_again_and_a_wrong_file_is_not_tried_twice(machine: tuple[Machine, list[str]]) -> None:
    made, _ = machine
    before = status(made, "nftestbed-radio")
    assert before["ActiveState"] == "active"
    made.run("systemctl kill --signal=KILL nftestbed-radio", Path("/"))
    wait_until(lambda: status(made, "nftestbed-radio")["NRestarts"] != "0", "another start")
    assert status(made, "nftestbed-radio")["MainPID"] != before["MainPID"]
    made.run("systemctl stop nftestbed-radio && sed -i 's/^emulator:/emulatr:/' /etc/nftestbed/testbed.yaml", Path("/"))
    made.run("systemctl start nftestbed-radio", Path("/"))
    wait_until(lambda: status(made, "nftestbed-radio")["ActiveState"] == "failed", "its end")
    ended = status(made, "nftestbed-radio")
    assert (ended["ExecMainStatus"], ended["NRestarts"]) == ("2", "0")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_stopped_controller_has_not_failed(machine: tuple[Machine, list[str]]) -> None:
    ended = status(machine[0], "nftestbed-controller")
    assert (ended["ActiveState"], ended["Result"], ended["NRestarts"]) == ("inactive", "success", "0")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_json_logs_have_the_fields_that_the_runbook_names(machine: tuple[Machine, list[str]]) -> None:
    lines = machine[0].run(f"cat {RUNS}/*/logs/controller.jsonl", Path("/")).stdout.splitlines()
    assert lines
    assert all(json.loads(line).keys() >= {"timestamp", "level", "logger", "event"} for line in lines)
