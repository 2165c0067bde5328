"""The report's figures, drawn from the sections that the console shows."""

import math
from collections.abc import Mapping
from typing import Any

from bs_controller.console.frames import Section
from bs_controller.console.tallies import OF_TRACKS
from bs_controller.console.tracks import Way
from deploy.report.svg import BOTTOM, DASHES, DOTS, LEFT, RIGHT, TOP, Axis, Plot

Sections = Mapping[str, Section]

COLOURS = 8
NAME_WIDTH, NAME_HEIGHT = 46.0, 13.0
MAP_POINTS, MIN_WAY_POINTS = 40_000, 8  # of all ways together, each a dozen bytes of the page; of one
LATENCY_COLOURS = {"configure": 0, "measure": 1, "capture": 2, "fix": 3}


def colour(index: int) -> str:
    """Return the colour of the scheme of that number."""
    return f"var(--s{index % COLOURS})"


def metres(value: float) -> str:
    """Return a length with the prefix that suits it."""
    for unit, name in ((1.0, "m"), (1e-2, "cm"), (1e-3, "mm")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value / 1e-6:.3g} µm"


def milliseconds(value: float) -> str:
    """Return a time in milliseconds, or seconds."""
    return f"{value:.3g} ms" if value < 1000 else f"{value / 1000:.3g} s"


def map_plot(sections: Sections, schemes: list[str], ways: Mapping[tuple[str, str], Way]) -> str:
    """Return the region from above: the newest fix of every user and scheme, whole ways, and the truth if known."""
    run: Any = sections["run"].values
    region = run["region"]
    far, low_rad, high_rad = region["range_max_m"], region["angle_min_rad"], region["angle_max_rad"]
    left, right = 1.05 * far * min(math.sin(low_rad), 0.0), 1.05 * far * max(math.sin(high_rad), 0.0)
    width = 700.0
    height = TOP + BOTTOM + (width - LEFT - RIGHT) * 1.05 * far / (right - left)
    plot = Plot("Map", Axis(label="y / m, along the array", low=left, high=right),
                Axis(label="x / m, broadside", low=0.0, high=1.05 * far), width=width, height=height)  # fmt: skip
    angles = [low_rad + n / 60 * (high_rad - low_rad) for n in range(61)]
    rim = [(far * math.sin(angle), far * math.cos(angle)) for angle in angles]
    near = region["range_min_m"]
    plot.outline([*rim, *((near * math.sin(a), near * math.cos(a)) for a in reversed(angles))], "var(--accent)")
    plot.line([(-run["array_m"] / 2, 0.0), (run["array_m"] / 2, 0.0)], "var(--ink)", width=4)
    for x_m, y_m in run["scatterers"]:
        plot.words((y_m, x_m), "✳", "var(--muted)")
    tracks: Any = sections["tracks"].values
    most = max(MIN_WAY_POINTS, MAP_POINTS // max(len(ways), 1))
    for (_, of), way in sorted(ways.items(), key=lambda entry: entry[0][1], reverse=True):  # tracks above the truth
        points = way.points()
        few = points[:: -(-len(points) // most)]
        plot.line([(y_m, x_m) for x_m, y_m in [*few, points[-1]]], f"var(--{of})", width=1.2)
    fixes: Any = sections["fixes"].values["fixes"]
    for fix in fixes:
        error = "" if fix["error_m"] is None else f", error {metres(fix['error_m'])}"
        plot.dot((fix["point"][1], fix["point"][0]), colour(schemes.index(fix["scheme"])),
                 f"{fix['ue']} by {fix['scheme']}{error}")  # fmt: skip
    named: list[tuple[float, float]] = []
    for truth in tracks["truth"]:
        x_m, y_m = truth["point"]
        plot.cross((y_m, x_m), "var(--ink)", f"{truth['ue']}, truth")
        across, down = plot.at((y_m, x_m))
        # a name that would stand on another is told where one points at
        if all(abs(across - left) > NAME_WIDTH or abs(down - top) > NAME_HEIGHT for left, top in named):
            plot.words((y_m, x_m), truth["ue"], "var(--ink)", bold=True)
            named.append((across, down))
    return plot.text()


def error_plot(sections: Sections, schemes: list[str]) -> str | None:
    """Return the distribution of errors by scheme, or none where no truth is known."""
    curves = {name: [max(float(x), 1e-7) for x in curve] for name, curve in sections["errors"].arrays.items()}
    values = [value for curve in curves.values() for value in curve]
    if not values:
        return None
    low, high = (10.0 ** math.floor(math.log10(min(values))), 10.0 ** math.ceil(math.log10(max(values)) + 0.01))
    plot = Plot("Errors", Axis(label="error", low=low, high=high, log=True, text=metres),
                Axis(label="share of fixes", low=0.0, high=1.0))  # fmt: skip
    about: Any = sections["errors"].values["schemes"]
    for key, curve in curves.items():
        if not curve:
            continue
        name, of_tracks = key.removesuffix(OF_TRACKS), key.endswith(OF_TRACKS)
        steps = [(x, (n + part) / len(curve)) for n, x in enumerate(curve) for part in (0, 1)]
        plot.line(steps, colour(schemes.index(name)), width=2, dash=DOTS if of_tracks else "")
        bound_m = None if of_tracks else about[name]["bound_m"]
        if bound_m is not None and low < bound_m < high:
            plot.line([(bound_m, 0.0), (bound_m, 1.0)], colour(schemes.index(name)), dash=DASHES, width=1.2)
    return plot.text()


def latency_plot(sections: Sections) -> str | None:
    """Return shares of latencies over logarithmic bins with the deadline of a request."""
    arrays, run = sections["latencies"].arrays, sections["run"].values
    edges_ms = [float(edge) for edge in arrays["edges_ms"]]
    shares = {
        kind: [100 * float(count) / float(bins.sum()) for count in bins]
        for kind, bins in arrays.items()
        if kind != "edges_ms"
    }
    if not shares:
        return None
    top = 10 * math.ceil(max(max(values) for values in shares.values()) / 10 + 1e-9)
    plot = Plot("Latency", Axis(label="latency", low=edges_ms[0], high=edges_ms[-1], log=True, text=milliseconds),
                Axis(label="share / %", low=0.0, high=top))  # fmt: skip
    for kind, values in shares.items():
        steps = [(edges_ms[n + part], value) for n, value in enumerate(values) for part in (0, 1)]
        plot.line(steps, colour(LATENCY_COLOURS[kind]))
    deadline_ms = float(str(run["deadline_ms"]))
    if edges_ms[0] < deadline_ms < edges_ms[-1]:
        plot.line([(deadline_ms, 0.0), (deadline_ms, top)], "var(--bad)", dash=DASHES)
        plot.words((deadline_ms, 0.9 * top), "deadline", "var(--bad)")
    return plot.text()
