"""The report of a run: one page with the run's own numbers, which loads and executes nothing."""

import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bs_controller.console.tracks import Way
from bs_controller.recorded import open_run
from deploy.cli import app
from deploy.report import report_page
from deploy.report.figures import MAP_POINTS, map_plot, metres
from deploy.results import result_from_records
from tests.bs_controller.console.runs import state_of
from tests.deploy.recorded_runs import CBS_AND_OTHERS, recorded_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_run(tmp_path_factory.mktemp("run"), schemes=list(CBS_AND_OTHERS), rounds=2)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def test_it_has_the_errors_of_the_journal_for_every_user_and_scheme(run: Path) -> None:
    page, journal = _Page(), open_run(run)
    page.feed(report_page(run))
    result = result_from_records("", [(record, True) for record in journal.records], journal.truth, {}, 1)
    newest = {(fix.ue, fix.scheme): fix for fix in result.fixes}
    for (ue, scheme), fix in newest.items():
        row = page.cells.index(ue, page.cells.index("Newest fixes"))
        rows = page.cells[row:]
        at = next(n for n in range(len(rows)) if rows[n : n + 2] == [ue, scheme])
        assert fix.error_m is not None
        assert rows[at + 2 : at + 5] == [
            f"{fix.range_m:.4f}",
            rows[at + 3],
            metres(fix.error_m),
        ]


def test_it_loads_and_executes_nothing(run: Path) -> None:
    text, page = report_page(run), _Page()
    page.feed(text)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "img", "object", "embed"}
    for tag, attributes in page.tags:
        assert not any(name in {"src", "href"} or name.startswith("on") for name in attributes), tag
    assert "url(" not in text
    assert set(re.findall(r"https?://[^\"' <]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_words_of_the_configuration_cannot_become_elements(tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    config = run / "config.yaml"
    assert "ue_agent: {}" in config.read_text()
    config.write_text(config.read_text().replace("ue_agent: {}", "ue_agent: {note: '<script>alert(1)</script>'}"))
    assert "<script>" not in report_page(run)


def test_the_command_writes_beside_the_run_and_says_where(run: Path) -> None:
    outcome = CliRunner().invoke(app, ["report", str(run)])
    assert (outcome.exit_code, outcome.output) == (0, f"written to {run / 'report.html'}\n")
    assert (run / "report.html").read_text() == report_page(run)


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert outcome.exit_code == 2
    assert "expected a file of a run" in outcome.output


def test_long_ways_of_many_users_leave_the_page_fit_for_mail(run: Path) -> None:
    state = state_of(run)
    ways: dict[tuple[str, str], Way] = {}
    for number in range(64):
        way = ways[f"ue-{number}", "track"] = Way()
        for step in range(20_000):
            way.add((5.0 + 4 * math.sin(1e-3 * step), 0.1 * number - 3))
    sections = state.sections("ue-a", {})
    named: Any = sections["run"].values["schemes"]
    plot = map_plot(sections, named, ways)
    assert len(plot) < 16 * MAP_POINTS  # no point takes more bytes than that
    lines = re.findall(r'points="([^"]*)" fill="none" stroke="var\(--track\)"', plot)
    assert len(lines) == 64
    assert all(len(line.split()) > 200 for line in lines)
