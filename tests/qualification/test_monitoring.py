"""Alerts and dashboard: every metric they ask for is one that real processes export, and Prometheus understands them."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
import yaml
from prometheus_client import Metric

from tests.qualification.conftest import LabFactory
from tests.qualification.processes import ROOT, Lab, fixes, free_ports, wait_until
from tests.qualification.test_metrics import ANYWHERE, MANY, scraped, started

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "nftestbed.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
CASES = ROOT / "tests" / "deploy" / "alerts_test.yml"
METRIC = re.compile(r"\b(?:nftestbed|process)_[a-z_]+\b(?!\s*=)")
LABELS = re.compile(r"(?:by|without) \(([^)]+)\)|([a-z_]+)(?:=~?|!=~?)\"")
ADDED_BY_PROMETHEUS = {"job", "process", "alertname", "alertstate"}

pytestmark = pytest.mark.requirement("a run can be watched")


def expressions() -> Iterator[str]:
    """Yield what alerts and panels ask Prometheus for."""
    yield from (str(rule["expr"]) for rule in RULES)
    yield from (target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ()))


def samples_of(metric: Metric) -> set[str]:
    """Return the names under which a metric has values, those with labels that did not occur included."""
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(metric.type, [""])
    return {metric.name + ending for ending in endings}


@pytest.fixture(scope="module")
def bed(module_lab_of: LabFactory) -> tuple[Lab, dict[str, str]]:
    """Start a testbed that goes on for long; return it and the pages of its processes."""
    controller, pages = started(lab := module_lab_of(**ANYWHERE, **MANY))
    controller.told(lambda records: len(fixes(records)) > 6, "fixes from every scheme")
    return lab, pages


def test_every_metric_of_alerts_and_dashboard_is_exported_by_a_real_run(bed: tuple[Lab, dict[str, str]]) -> None:
    exported = [metric for url in bed[1].values() for metric in scraped(url).values()]
    wanted = {name for expression in expressions() for name in METRIC.findall(expression) if name != "process"}
    assert len(wanted) > 20
    assert wanted <= {name for metric in exported for name in samples_of(metric)}
    labels = {label for metric in exported for sample in metric.samples for label in sample.labels} | {"clause"}
    asked = {
        label.strip()
        for expression in expressions()
        for group in LABELS.findall(expression)
        for label in "".join(group).split(",")
    }
    assert asked <= labels | ADDED_BY_PROMETHEUS


def test_metric_that_is_exported_is_shown_or_watched(bed: tuple[Lab, dict[str, str]]) -> None:
    shown = {name for expression in expressions() for name in METRIC.findall(expression)}
    exported = [metric for url in bed[1].values() for metric in scraped(url).values()]
    unseen = {metric.name for metric in exported if not samples_of(metric) & shown}
    assert unseen <= {"process_virtual_memory_bytes", "process_start_time_seconds"}, "the library's own"


def test_each_alert_says_how_bad_it_is_and_has_a_case_in_which_it_fires() -> None:
    names = [rule["alert"] for rule in RULES]
    everything_wrong = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"][-1]["promql_expr_test"][0]
    firing = [re.findall(r'"(\w+)"', sample["labels"]) for sample in everything_wrong["exp_samples"]]
    assert [[name] for name in names] == firing
    assert {rule["labels"]["severity"] for rule in RULES} == {"warning", "critical"}
    assert all(rule["annotations"]["summary"] for rule in RULES)


def tool(name: str) -> str:
    """Return where a program of Debian's package prometheus is."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install prometheus)")
    return found


def test_prometheus_understands_its_configuration_and_alerts_fire_when_they_must(tmp_path: Path) -> None:
    promtool = tool("promtool")
    shutil.copy(PROMETHEUS / "alerts.yml", tmp_path)
    shutil.copy(CASES, tmp_path)
    for words in (["check", "config", str(PROMETHEUS / "prometheus.yml")], ["test", "rules", CASES.name]):
        done = subprocess.run([promtool, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def prometheus(bed: tuple[Lab, dict[str, str]]) -> Iterator[str]:
    """Start Prometheus on the shipped files, with this run's ports; yield where it answers."""
    lab, pages = bed
    program = tool("prometheus")
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS / "alerts.yml")]
    config["scrape_configs"][0]["static_configs"] = [
        {"targets": [urllib.parse.urlsplit(url).netloc], "labels": {"process": name}} for name, url in pages.items()
    ]
    file = lab.write("prometheus.yml", config)
    (port,) = free_ports(1)
    words = [f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}", f"--storage.tsdb.path={lab.folder}/db"]
    with (lab.folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program, *words], cwd=lab.folder, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def answer(url: str, expression: str) -> list[dict[str, object]]:
    """Return what Prometheus finds for an expression; none while it is still starting."""
    query = urllib.parse.urlencode({"query": expression.replace("$__rate_interval", "10s")})
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=10) as response:
            found: list[dict[str, object]] = json.load(response)["data"]["result"]
            return found
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
            return []
        raise AssertionError(f"{expression}: {error.read().decode()}") from None
    except OSError:
        return []


def test_prometheus_scrapes_every_process_and_finds_what_the_dashboard_asks_for(prometheus: str) -> None:
    wait_until(lambda: len(answer(prometheus, "up == 1")) == 4, "all four processes scraped")
    found = wait_until(lambda: answer(prometheus, "sum(rate(nftestbed_fix_seconds_count[10s])) > 0"), "a rate of fixes")
    assert len(found) == 1
    panels = {*expressions()} - {str(rule["expr"]) for rule in RULES}
    shown = {expression for expression in panels if "clause" not in expression}  # nobody breaks a clause here
    wait_until(lambda: all(answer(prometheus, expression) for expression in shown), "something in every panel")
    assert answer(prometheus, 'ALERTS{alertstate="firing", alertname!="AnswersSlow"}') == [], (
        "a run that is well rings no alarm"
    )


def test_alarm_rings_for_a_radio_that_is_killed_and_for_the_users_whom_that_costs_their_fixes(
    bed: tuple[Lab, dict[str, str]], prometheus: str
) -> None:
    wait_until(lambda: len(answer(prometheus, "up == 1")) == 4, "all four processes scraped")
    bed[0].kill_one("emulator")
    for name in ("RadioLost", "UsersGivenUp"):
        firing = f'ALERTS{{alertstate="firing", alertname="{name}"}}'
        wait_until(lambda firing=firing: answer(prometheus, firing), name)  # type: ignore[misc]
