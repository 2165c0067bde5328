"""The demo as its first user runs it: one command, a fix from every scheme for every user, and a run on disk."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bs_controller.record import open_run
from bs_controller.recorded import RecordedRun
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import DEMO

pytestmark = pytest.mark.requirement("one command runs the demo")

UES = ("ue-1", "ue-2", "ue-3", "ue-4")
SCHEMES = ("cbs", "cbs_bt", "likelihood", "network", "backprojection")
COMMON_SWEEPS = 5  # the angle sweep of cbs, of cbs_bt and of the network, and both sweeps of the pair
SMALL_SCHEMES = ("cbs", "cbs_bt", "backprojection")


class Demo(NamedTuple):
    """What is left of a run of the demo."""

    status: int
    out: str
    err: str
    document: dict[str, Any]
    run: RecordedRun


@pytest.fixture(scope="module")
def demo(module_lab_of: LabFactory) -> Demo:
    """Run the demo at full size once."""
    process = module_lab_of().command("run", str(DEMO), "--json")
    status, out = process.ended(60), "".join(process.out)
    document = json.loads(out)
    return Demo(status, out, process.errors, document, open_run(Path(document["run_dir"])))


def test_demo_ends_with_status_0(demo: Demo) -> None:
    assert demo.status == 0, demo.err


def test_document_names_all_that_a_program_needs(demo: Demo) -> None:
    assert demo.document.keys() >= {"run_dir", "fixes", "latency_ms", "counters", "versions"}


def test_every_user_gets_one_fix_from_every_scheme(demo: Demo) -> None:
    found = Counter((fix["ue"], fix["scheme"]) for fix in demo.document["fixes"])
    assert found == Counter((ue, scheme) for ue in UES for scheme in SCHEMES)


def test_every_fix_stands_beside_its_truth(demo: Demo) -> None:
    keys = {"range_m", "angle_rad", "truth_range_m", "truth_angle_rad", "error_m", "sweeps", "latency_ms"}
    for fix in demo.document["fixes"]:
        assert not keys - fix.keys()
        assert None not in [fix[key] for key in keys]


def test_backprojection_finds_every_user(demo: Demo) -> None:
    errors_m = [fix["error_m"] for fix in demo.document["fixes"] if fix["scheme"] == "backprojection"]
    # 48 MHz resolve 3 m; 39200 samples at 10 dB place the peak to a thousandth of that, the bound leaves a factor of thirty
    assert max(errors_m) < 0.1


@pytest.mark.parametrize("scheme", ["likelihood", "network"])
def test_estimators_find_every_user_to_centimetres(demo: Demo, scheme: str) -> None:
    fixes = [fix for fix in demo.document["fixes"] if fix["scheme"] == scheme]
    # the bound is millimetres at 20 dB; ue-4 walks at 1 m/s while its two sweeps are some tens of milliseconds apart
    assert max(fix["error_m"] for fix in fixes if fix["ue"] != "ue-4") < 0.02
    assert max(fix["error_m"] for fix in fixes) < 0.5


def test_latency_is_told_per_kind_of_request(demo: Demo) -> None:
    latency = demo.document["latency_ms"]
    assert latency.keys() == {"configure", "measure", "capture"}
    assert all(0 < kind["p50"] <= kind["p95"] <= kind["p99"] for kind in latency.values())


def test_nothing_went_wrong_on_the_way(demo: Demo) -> None:
    counters = demo.document["counters"]
    assert {name: count for name, count in counters.items() if count and name not in {"duplicates", "resent"}} == {}


def test_sweeps_common_to_all_users_are_sent_once_per_scheme(demo: Demo) -> None:
    sweeps = [record for record in demo.run.records if record["kind"] == "sweep"]
    assert [sweep["ues"] for sweep in sweeps if sweep["ues"] == list(UES)] == [list(UES)] * COMMON_SWEEPS
    asked = sum(fix["sweeps"] for fix in demo.document["fixes"] if fix["scheme"] != "backprojection")
    assert len(sweeps) == asked - COMMON_SWEEPS * (len(UES) - 1)


def test_run_directory_opens_and_holds_every_fix(demo: Demo) -> None:
    fixes = [record for record in demo.run.records if record["kind"] == "fix"]
    assert (len(fixes), demo.run.torn_bytes, demo.run.missing) == (len(UES) * len(SCHEMES), 0, 0)


def test_run_directory_holds_configuration_truth_and_both_documents(demo: Demo) -> None:
    assert demo.run.document.keys() >= {"start", "stop"}
    assert "subcarriers: 2048" in demo.run.config_text
    assert {record["ue"] for record in demo.run.truth} == set(UES)


def test_progress_of_a_json_run_is_on_standard_error(demo: Demo) -> None:
    assert all(f"{ue}: {scheme} fix" in demo.err for ue in UES for scheme in SCHEMES)


@pytest.fixture(scope="module")
def table(module_lab_of: LabFactory) -> tuple[int, str, str]:
    """Run a small testbed without ``--json``: status, standard output, standard error."""
    lab = module_lab_of()
    process = lab.command("run", str(lab.file))
    return process.ended(), "".join(process.out), process.errors


def test_table_has_a_row_for_each_user_and_scheme(table: tuple[int, str, str]) -> None:
    status, out, err = table
    rows = [line.replace("│", " ").split()[:2] for line in out.splitlines() if line.lstrip("│ ").startswith("ue-")]
    assert status == 0, err
    assert rows == [[ue, scheme] for ue in ("ue-1", "ue-2") for scheme in SMALL_SCHEMES]


def test_progress_of_a_run_for_people_is_on_standard_error(table: tuple[int, str, str]) -> None:
    _, out, err = table
    assert "ue-2: backprojection fix" in err
    assert "(epoch " not in out
