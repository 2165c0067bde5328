"""Metrics of real processes: served where the testbed file says so, true to the run, and no burden for it."""

import re
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from bs_controller.metrics import COUNTERS, REFUSED
from protocol.exporter import MAX_CONNECTIONS
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Lab, Process, counters_of, fixes, free_ports, wait_until

NAMES = ("controller", "radio", "ue-1", "ue-2")
ANYWHERE = {"metrics": {"at": dict.fromkeys(NAMES, "127.0.0.1:0")}}
MANY = {"controller": {"rounds": 100_000}}


def page_of(process: Process) -> str:
    """Return where a process says that it serves its metrics."""
    said = process.said("metrics at http://")
    (url,) = re.findall(r"metrics at (http://\S+/metrics)", said)
    return str(url)


def scraped(url: str) -> dict[str, Metric]:
    """Return what Prometheus' own parser reads on a page, by name."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return {metric.name: metric for metric in text_string_to_metric_families(answer.read().decode())}


def value(page: Mapping[str, Metric], name: str, **labels: str) -> float:
    """Return the one sample of this name and these labels."""
    found = [
        sample.value
        for metric in page.values()
        for sample in metric.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def started(lab: Lab) -> tuple[Process, dict[str, str]]:
    """Start all parts by hand; return the controller and every page."""
    controller = lab.controller()
    parts = {"controller": controller, "radio": lab.emulator(), **{ue: lab.ue(ue) for ue in lab.ues}}
    return controller, {name: page_of(part) for name, part in parts.items()}


@pytest.mark.requirement("a run can be watched")
def test_pages_of_all_processes_agree_with_the_run(lab_of: LabFactory) -> None:
    controller, pages = started(lab := lab_of(**ANYWHERE, **MANY))
    controller.told(lambda records: len(fixes(records)) > 20, "twenty fixes")
    page = scraped(pages["controller"])
    seen = sum(value(page, "nftestbed_fix_seconds_count", scheme=name) for name in ("cbs", "cbs_bt", "backprojection"))
    assert seen >= 20
    controller.told(lambda records: len(fixes(records)) >= seen, "as many fixes as the page counted")
    assert value(page, "nftestbed_peers_connected", role="ue") == len(lab.ues)
    assert value(page, "nftestbed_peers_connected", role="radio") == 1
    users = {sample.labels["state"]: sample.value for sample in page["nftestbed_users"].samples}
    assert users.keys() == {"absent", "computing", "pending", "on_air", "given_up", "done"}
    assert sum(users.values()) == len(lab.ues)
    assert value(page, "nftestbed_epochs_total") > 20
    assert value(page, "nftestbed_request_seconds_bucket", request="capture", le="+Inf") > 0
    assert value(page, "process_resident_memory_bytes") > 2**20
    radio, ue = scraped(pages["radio"]), scraped(pages["ue-1"])
    assert value(radio, "nftestbed_radio_answer_seconds_count", request="configure") > 10
    assert value(radio, "nftestbed_session_open") == value(ue, "nftestbed_session_open") == 1
    assert value(ue, "nftestbed_ue_reports_total") > 10
    controller.signal(signal.SIGTERM)
    controller.ended()
    counted = {name for name in counters_of(controller.records) if not name.startswith(REFUSED)}
    assert counted == COUNTERS.keys(), "every counter of a run has a metric"


def test_launched_processes_serve_metrics_at_the_same_addresses(lab_of: LabFactory) -> None:
    (port,) = free_ports(1)
    lab = lab_of(metrics={"at": {"controller": f"127.0.0.1:{port}"}}, **MANY)
    lab.command("run", str(lab.file), "--json").said("ue-2: backprojection fix")
    assert value(scraped(f"http://127.0.0.1:{port}/metrics"), "nftestbed_peers_connected", role="ue") == len(lab.ues)


def test_hung_scrapers_hold_up_neither_the_run_nor_later_ones(lab_of: LabFactory) -> None:
    controller, pages = started(lab_of(**ANYWHERE, **MANY))
    host, port = re.findall(r"http://(.+):(\d+)/", pages["controller"])[0]
    hung = [socket.create_connection((host, int(port))) for _ in range(2 * MAX_CONNECTIONS)]
    had = len(fixes(controller.records))
    controller.told(lambda records: len(fixes(records)) > had + 20, "further fixes")

    def answered() -> bool:
        try:
            return bool(scraped(pages["controller"]))
        except (OSError, urllib.error.URLError):  # all connections are taken until the patience with them ends
            return False

    assert wait_until(answered, "a page for a scraper that asks")
    for connection in hung:
        connection.close()


def listening_ports(process: Process) -> set[int]:
    """Return the TCP ports on which a process waits for connections."""
    lines = Path(f"/proc/{process.pid}/net/tcp").read_text().splitlines()[1:]
    ports = {words[9]: int(words[1].rpartition(":")[2], 16) for words in map(str.split, lines) if words[3] == "0A"}
    held = [str(link.readlink()) for link in Path(f"/proc/{process.pid}/fd").iterdir() if link.is_symlink()]
    return {ports[inode] for target in held if (inode := target.removeprefix("socket:[").rstrip("]")) in ports}


def test_nobody_listens_for_scrapers_unless_the_file_says_so(lab_of: LabFactory) -> None:
    lab = lab_of(metrics={"at": {"radio": "127.0.0.1:0"}})
    radio, controller = lab.emulator(), lab.controller()
    metrics = int(page_of(radio).rpartition(":")[2].partition("/")[0])
    links = lab.loaded.file.links
    control, air = (int(link.rpartition(":")[2]) for link in (links.control, links.air))
    assert (listening_ports(controller), listening_ports(radio)) == ({control}, {air, metrics})


def test_metrics_port_that_is_taken_ends_the_start_with_one_line(lab_of: LabFactory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        lab = lab_of(metrics={"at": dict.fromkeys(NAMES, address)})
        parts = [
            lab.start("-m", "bs_controller", str(lab.file), "--run-dir", str(lab.run_directory)),
            lab.emulator(),
            lab.ue("ue-1"),
        ]
        assert [part.ended() for part in parts] == [2, 2, 2]
    assert all(f"cannot serve metrics at {address}: Address already in use" in part.errors for part in parts)
    assert not (lab.run_directory / "journal.jsonl").exists(), "the run directory is left as it was"
