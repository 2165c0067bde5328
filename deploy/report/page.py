"""The report's page: what a run found, how well, how fast, and with which configuration.

It is made of the state that the console shows at the end of the run, so that both say the same; no script, nothing loaded.
"""

import html
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bs_controller.console.board import Board
from bs_controller.console.player import Player
from bs_controller.console.state import ConsoleState
from deploy.report.figures import LATENCY_COLOURS, Sections, colour, error_plot, latency_plot, map_plot, metres
from deploy.report.figures import milliseconds as ms

STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
NONE = "–"
ERRORS = ("p50", "p95", "p99", "max", "bound_m", "expected_m")


def report_page(run: Path) -> str:
    """Return the page of a run directory.

    Raises
    ------
    RecordingError, ConfigError
        If it holds no run.
    """
    board = Board("recorded")
    player = Player(run, board)
    player.arrive()
    state = board.state
    assert state is not None  # noqa: S101 - the player put one there
    while state.refine():
        pass
    about = state.about
    sections = state.sections(about.controller.ues[0], {})
    named: Any = sections["run"].values["schemes"]
    found: Any = sections["errors"].values["schemes"]
    schemes = list(dict.fromkeys([*named, *found]))
    parts = [
        f"<header><p>Run of the near-field testbed</p><h1>{html.escape(about.name)}</h1></header>",
        _list(_about(state, player.duration_s)),
        _map(state, sections, schemes),
        _errors(sections, schemes),
        _latencies(sections),
        _users(sections),
        _alarms(sections),
        f"<section><h2>Configuration</h2><pre>{html.escape(about.config_text)}</pre></section>",
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(about.name)}: report</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _about(state: ConsoleState, lasted_s: float) -> list[tuple[str, str]]:
    about, status = state.about, state.status()
    stopped = "until it was stopped" if about.endless else "stopped before its end"
    ended = {True: "to its end", False: stopped, None: "was not ended in order"}[state.ended]
    return [
        ("started", about.started_utc or NONE),
        ("lasted", f"{lasted_s:.2f} s, {ended}"),
        (
            "fixes",
            f"{status['fixes']}, {status['located']} of {status['users']} users located, {status['failures']} failures",
        ),
        ("alarms", f"{status['alarms']}"),
        ("digest", about.facts.digest()[:16]),
        ("versions", ", ".join(f"{name} {version}" for name, version in about.versions.items())),
    ]


def _map(state: ConsoleState, sections: Sections, schemes: list[str]) -> str:
    found: Any = sections["errors"].values["schemes"]
    ways = state.ways()
    every = max((way.every for way in ways.values()), default=1)
    tracks = _mark("var(--track)", "tracks") if any(of == "track" for _, of in ways) else ""
    thinned = f"; ways are thinned, to one place in {every}" if every > 1 else ""
    legend = _legend(found, schemes, f"newest fixes; + truth now, line: its way; ✳ scatterer{thinned}")
    return _figure("Map", map_plot(sections, schemes, ways), tracks + legend)


def _errors(sections: Sections, schemes: list[str]) -> str:
    about: Any = sections["errors"].values["schemes"]
    figure = error_plot(sections, schemes)
    rows = [
        (name + of, one["count"], *(NONE if one.get(key) is None else metres(one[key]) for key in ERRORS))
        for name, fixes in about.items()
        for of, one in (("", fixes), (", tracks after its fixes", fixes["tracks"]))
        if one is not None and one["count"]
    ]
    if figure is None:
        return _figure("Errors", "<p>No truth to compare with was recorded.</p>", "")
    table = _table(
        (
            "scheme",
            "fixes",
            "median",
            "p95",
            "p99",
            "largest",
            "rms of Cramer-Rao bounds",
            "rms expected by own covariance",
        ),
        rows,
    )
    return (
        _figure("Errors", figure, _legend(about, schemes, "dotted: tracks; vertical: rms of Cramer-Rao bounds")) + table
    )


def _latencies(sections: Sections) -> str:
    requests: Any = sections["latencies"].values["requests"]
    figure = latency_plot(sections)
    if figure is None:
        return _figure("Latency", "<p>Nothing was answered.</p>", "")
    rows = [
        (kind, one["count"], *(ms(one[key]) for key in ("p50", "p95", "p99", "max"))) for kind, one in requests.items()
    ]
    marks = [_mark(colour(LATENCY_COLOURS[kind]), kind) for kind in requests]
    table = _table(("from request to answer", "count", "median", "p95", "p99", "largest"), rows)
    return _figure("Latency", figure, "".join(marks)) + table


def _users(sections: Sections) -> str:
    fixes: Any = sections["fixes"].values["fixes"]
    ues: Any = sections["run"].values["ues"]
    rows = [
        (
            fix["ue"], fix["scheme"], f"{fix['range_m']:.4f}", f"{math.degrees(fix['angle_rad']):+.4f}",
            NONE if fix["error_m"] is None else metres(fix["error_m"]), fix["sweeps"], ms(fix["latency_ms"]),
            fix["integrity"] or NONE,
        )
        for fix in sorted(fixes, key=lambda fix: (ues.index(fix["ue"]), fix["scheme"]))
    ]  # fmt: skip
    heads = ("user", "scheme", "range / m", "angle / °", "error", "sweeps", "latency", "integrity")
    return f"<section><h2>Newest fixes</h2>{_table(heads, rows)}</section>"


def _alarms(sections: Sections) -> str:
    latest: Any = sections["alarms"].values["latest"]
    if not latest:
        return "<section><h2>Alarms</h2><p>None.</p></section>"
    rows = [(f"{alarm['time_s']:.3f}", alarm["level"], alarm["times"], alarm["text"]) for alarm in latest]
    return (
        f"<section><h2>Alarms, newest first</h2>{_table(('last time / s', 'level', 'times', 'what'), rows)}</section>"
    )


def _figure(title: str, body: str, legend: str) -> str:
    return f"<section><h2>{title}</h2><figure>{body}<figcaption>{legend}</figcaption></figure></section>"


def _legend(found: Iterable[str], schemes: list[str], more: str) -> str:
    return "".join(_mark(colour(schemes.index(name)), name) for name in found) + f"<span>{html.escape(more)}</span>"


def _mark(shade: str, name: str) -> str:
    return f'<span><i style="background:{shade}"></i>{html.escape(name)}</span>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _list(facts: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in facts) + "</dl>"
