"""RMSE of the location of networks and of what they build upon, over SNR, in three scenarios: [CBS, Table I].

The printed rows stand beside ours, in the noise that the paper simulates. In flat noise, as receivers have it, the same
users are located with one sweep of each kind, beside the Cramer-Rao bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bs_controller.schemes import CbsOptions, LikelihoodOptions, SchemeOptions
from deploy.reproduce.cases import (
    LOCATION,
    NOISE_NOTE,
    RANGE,
    SCENARIOS,
    SEED,
    SWEEPS_NOTE,
    SYSTEM_NOTE,
    Case,
    Errors,
    element_options,
    failure_notes,
    image_models,
    image_note,
    image_options,
    located,
)
from deploy.reproduce.plates import (
    Cell,
    Curve,
    Panel,
    Plate,
    Row,
    Style,
    Table,
    Value,
    value,
    with_one_scale,
    with_points,
)
from emulator.config import PerSubcarrier, SweepMean

FULL_USERS, QUICK_USERS = 2000, 60
SNR_DB = (0.0, 10.0, 20.0, 30.0)
NETWORK, BY_CBS, BY_CBS_BT = "network", "network angle, CBS range", "network angle, CBS-BT range"
# [CBS, Table I], m at 0, 10, 20 and 30 dB
PRINTED: dict[str, dict[str, tuple[float, ...]]] = {
    "line of sight, all sub-arrays": {
        "CHISEL-1": (0.3144, 0.2091, 0.1864, 0.1794),
        "CHISEL-4": (0.2370, 0.1630, 0.1401, 0.1279),
        "CHISEL-7": (0.2183, 0.1138, 0.0957, 0.0878),
        "ConvNeXt-S": (0.2018, 0.1077, 0.0838, 0.0768),
        "ConvNeXt-L": (0.2059, 0.0876, 0.0733, 0.0661),
    },
    "line of sight, some sub-arrays": {
        "CHISEL-7": (0.1783, 0.1512, 0.1460, 0.1431),
        "ConvNeXt-L": (0.1781, 0.1013, 0.0908, 0.0958),
    },
    "three paths, some sub-arrays": {
        "CHISEL-7": (0.2643, 0.2018, 0.1941, 0.1960),
        "ConvNeXt-L": (0.1418, 0.0807, 0.0751, 0.0746),
    },
}
# trained networks of the printed sizes, where a folder holds them
_SIZES = {"ConvNeXt-S": "paper-S", "ConvNeXt-L": "paper-L"} | {f"CHISEL-{n}": f"chisel-like-{n}" for n in (1, 4, 7)}
_PRINTED_HYBRIDS = ((BY_CBS, 4.85), (BY_CBS_BT, 3.77))  # range, m, at 30 dB, of the text on [CBS, Fig. 8 (b)]
_PRINTED_STYLES: dict[str, tuple[Style, int]] = {
    "ConvNeXt-L": ("dashed", 6),
    "ConvNeXt-S": ("dashed", 5),
    "CHISEL-7": ("dotted", 6),
    "CHISEL-4": ("dotted", 5),
    "CHISEL-1": ("dotted", 4),
}
_COLOURS = {NETWORK: 0, "likelihood, 1 + 1": 2, "CBS": 1, BY_CBS: 3, BY_CBS_BT: 4}
_BOUND_COLOUR, _MODEL_COLOURS = 6, (5, 6)
_OverSnr = Sequence[Mapping[str, Errors]]  # (snr,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scenario:
    """What a scenario's users were found to be in both kinds of noise, over SNR."""

    name: str
    paper: _OverSnr
    flat: _OverSnr


def location_errors(quick: bool, models: Path) -> Plate:
    """Return [CBS, Table I]: RMSE of the location at four SNRs in three scenarios, with 95 % intervals."""
    users, images = QUICK_USERS if quick else FULL_USERS, image_models(models)
    scenarios, notes = _located(users, images)
    return Plate(
        figure="cbs-table1",
        title="RMSE of the location over SNR in three scenarios",
        panels=with_one_scale([panel for one in scenarios for panel in (_paper_panel(one), _flat_panel(one))]),
        values=_values(scenarios),
        tables=tuple(table for one in scenarios for table in _tables(one)),
        notes=(
            NOISE_NOTE,
            SWEEPS_NOTE,
            "Hybrids take four angle sweeps, and one range sweep or up to five more of groups [CBS, Fig. 8 (b)].",
            "Some sub-arrays: all non-empty subsets are as likely. Three paths: the line of sight, one reflected and "
            "one diffracted path, each seen by its own run of sub-arrays [CBS, section IV-D and its reference 25].",
            SYSTEM_NOTE,
            image_note(images, models),
            *notes,
        ),
        settings={"users": users, "seed": SEED, "intervals": "95 %, bootstrap over users"},
    )


def _located(users: int, images: Mapping[str, Path]) -> tuple[list[_Scenario], tuple[str, ...]]:
    """Return what was found in each scenario, and a note on failures if there were any."""
    cases = []
    for draw in SCENARIOS.values():
        cases += [Case(draw=draw, noise=PerSubcarrier(snr_db=snr), schemes=_paper_schemes(images)) for snr in SNR_DB]
        cases += [Case(draw=draw, noise=SweepMean(snr_db=snr), schemes=_flat_schemes(images)) for snr in SNR_DB]
    found, n = located(cases, users), len(SNR_DB)
    scenarios = [
        _Scenario(name=name, paper=found[first : first + n], flat=found[first + n : first + 2 * n])
        for name, first in zip(SCENARIOS, range(0, len(found), 2 * n), strict=True)
    ]
    return scenarios, failure_notes(found)


def _paper_schemes(images: Mapping[str, Path]) -> dict[str, SchemeOptions]:
    """Return schemes with four angle sweeps and two range sweeps, as the paper's networks take."""
    return {
        NETWORK: element_options(angle_beams=4, range_beams=2),
        "likelihood, 1 + 1": LikelihoodOptions(),
        BY_CBS_BT: element_options(angle_beams=4, range_from="cbs_bt"),
        BY_CBS: element_options(angle_beams=4, range_from="cbs"),
        "CBS": CbsOptions(angle_beams=4, range_beams=2),
        **{name: image_options(path, angle_beams=4, range_beams=2) for name, path in images.items()},
    }


def _flat_schemes(images: Mapping[str, Path]) -> dict[str, SchemeOptions]:
    return {
        NETWORK: element_options(),
        "likelihood, 1 + 1": LikelihoodOptions(),
        "CBS": CbsOptions(),
        **{name: image_options(path) for name, path in images.items()},
    }


def _paper_panel(scenario: _Scenario) -> Panel:
    snr_db = np.array(SNR_DB)
    printed = [
        Curve(label=f"printed: {name}", x=snr_db, y=np.array(row), style=style, colour=colour)
        for name, row in PRINTED[scenario.name].items()
        for style, colour in (_PRINTED_STYLES[name],)
    ]
    return _panel(f"{scenario.name}: noise of the paper, 4 + 2 sweeps", (*_curves(scenario.paper), *printed))


def _flat_panel(scenario: _Scenario) -> Panel:
    bound = Curve(label="bound", x=np.array(SNR_DB), y=_bounds(scenario), style="dashed", colour=_BOUND_COLOUR)
    return _panel(f"{scenario.name}: flat noise, 1 + 1 sweeps", (*_curves(scenario.flat), bound))


def _panel(title: str, curves: tuple[Curve, ...]) -> Panel:
    return Panel(
        title=title[0].upper() + title[1:],
        x_label="SNR (dB)",
        y_label="RMSE of the location (m)",
        curves=curves,
        y_log=True,
    )


def _curves(over_snr: _OverSnr) -> list[Curve]:
    models, curves = iter(_MODEL_COLOURS * len(over_snr[0])), list[Curve]()
    for name in over_snr[0]:
        rmse = np.array([found[name].rmse[LOCATION] for found in over_snr])
        curves += with_points(name, np.array(SNR_DB), rmse, _COLOURS[name] if name in _COLOURS else next(models))
    return curves


def _bounds(scenario: _Scenario) -> np.ndarray:
    return np.array([found[NETWORK].bound[LOCATION] for found in scenario.flat])


def _tables(scenario: _Scenario) -> tuple[Table, Table]:
    columns = tuple(f"{snr:g} dB" for snr in SNR_DB)
    printed = [
        Row(name=f"printed: {name}", cells=tuple(Cell(value=one) for one in row))
        for name, row in PRINTED[scenario.name].items()
    ]
    bound = Row(name="bound", cells=tuple(Cell(value=one) for one in _bounds(scenario).tolist()))
    return (
        Table(
            title=f"{scenario.name}: noise of the paper, 4 + 2 sweeps, location_rmse_m",
            columns=columns,
            rows=(*printed, *_rows(scenario.paper)),
        ),
        Table(
            title=f"{scenario.name}: flat noise, 1 + 1 sweeps, location_rmse_m",
            columns=columns,
            rows=(*_rows(scenario.flat), bound),
        ),
    )


def _rows(over_snr: _OverSnr) -> list[Row]:
    return [Row(name=name, cells=tuple(_cell(found[name]) for found in over_snr)) for name in over_snr[0]]


def _cell(errors: Errors) -> Cell:
    low, high = errors.interval(np.random.default_rng(SEED))[:, LOCATION].tolist()
    return Cell(value=float(errors.rmse[LOCATION]), low=low, high=high)


def _values(scenarios: Sequence[_Scenario]) -> tuple[Value, ...]:
    """Return the printed location errors that ours stand beside, and the two printed range errors of hybrids."""
    values = []
    for scenario in scenarios:
        rows, known = PRINTED[scenario.name], scenario.paper[0]
        at_hand = [(printed_name, _SIZES[printed_name]) for printed_name in rows if _SIZES[printed_name] in known]
        for printed_name, ours in (("ConvNeXt-L", NETWORK), *at_hand):
            for snr_db, found, printed in zip(SNR_DB, scenario.paper, rows[printed_name], strict=True):
                name = f"{scenario.name}, {snr_db:g} dB, {ours} (printed: {printed_name}), location_rmse_m"
                values.append(value(name, found[ours].rmse[LOCATION], printed))
    best = scenarios[0].paper[SNR_DB.index(30.0)]
    for name, printed in _PRINTED_HYBRIDS:
        values.append(value(f"{name}, 30 dB, range_rmse_m", best[name].rmse[RANGE], printed))
    return tuple(values)
