"""Root Cramer-Rao bounds of one angle and one range sweep over SNR: [CBS, Figs. 6-7].

The paper's bound knows the carrier's phase; the bound that a receiver can meet, with one unknown gain per sweep, is drawn
beside it. The paper does not say which sweeps it counts nor how it averages over users: here an angle sweep and a range
sweep at the user's angle, flat noise against the mean power of each sweep, and the median over users.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.beams import setting_from_focus
from bs_controller.bounds import MeasuredSweep, Unknown, downlink_bound, sweep_mean_sigma2_w
from bs_controller.response import DownlinkResponse
from bs_controller.trajectories import angle_trajectory, range_trajectory
from deploy.reproduce.plates import Curve, Panel, Plate, Style, Value, value
from deploy.reproduce.systems import authors_facts
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]

SEED = 606
FULL_USERS, QUICK_USERS = 2000, 60
SUBCARRIERS = (256, 512, 1024, 2048)
BANDWIDTHS_HZ = (1.5e9, 3e9, 6e9, 12e9)
SNR_DB = np.arange(-10.0, 31.0, 5.0)
_REFERENCE_DB = 10.0
_UNKNOWN: dict[Unknown, tuple[str, Style]] = {
    Unknown.NOTHING: ("phase known (the paper's)", "line"),
    Unknown.GAIN: ("gain unknown", "dashed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One curve: a system, and whether all elements or a random choice of sub-arrays see the user."""

    label: str
    facts: TestbedFacts
    all_visible: bool
    colour: int


_Roots = dict[tuple[str, Unknown], Floats]  # (user, 2): root bounds on range, m, and angle, rad, at the reference SNR


def over_subcarriers(quick: bool) -> Plate:
    """Return [CBS, Fig. 6]: 256 to 2048 subcarriers in 6 GHz."""
    cases = [
        _Case(label=f"M = {count}", facts=authors_facts(count), all_visible=True, colour=colour)
        for colour, count in enumerate(SUBCARRIERS)
    ]
    cases.append(_Case(label="M = 2048, some sub-arrays", facts=authors_facts(), all_visible=False, colour=6))
    users = QUICK_USERS if quick else FULL_USERS
    roots = _root_bounds(cases, users)
    angle_percent = _below(roots, "M = 2048", "M = 256", Unknown.NOTHING, 1)  # the same at every SNR
    return Plate(
        figure="cbs-fig6",
        title="root Cramer-Rao bounds for numbers of subcarriers",
        panels=_panels(cases, roots),
        values=(
            value("angle, 2048 below 256 subcarriers, 10 dB, percent", angle_percent, 85.26),
            value("angle, 2048 below 256 subcarriers, 30 dB, percent", angle_percent, 85.21),
            value(
                "range, 2048 below 256 subcarriers, percent", _below(roots, "M = 2048", "M = 256", Unknown.NOTHING, 0)
            ),
            *_visibility_values(roots, "M = 2048", "M = 2048, some sub-arrays"),
        ),
        notes=(
            "At a given SNR per subcarrier the information grows with their number, so 8 times as many lower the root bound "
            "by 1 - 1/sqrt(8) = 64.6 %, at every SNR alike; the printed 85 % does not follow from [CBS, eqs. (13)-(15)], nor "
            "does a difference between 10 and 30 dB.",
            "One visible sub-array of four lowers the noise with the signal here, since the SNR is that of what is received.",
        ),
        settings={"users": users, "seed": SEED, "average": "median", "noise": "sweep_mean"},
    )


def over_bandwidth(quick: bool) -> Plate:
    """Return [CBS, Fig. 7]: 1.5 to 12 GHz with 2048 subcarriers; the text does not name its bandwidths."""
    cases = [
        _Case(label=_gigahertz(width_hz), facts=authors_facts(bandwidth_hz=width_hz), all_visible=True, colour=colour)
        for colour, width_hz in enumerate(BANDWIDTHS_HZ)
    ]
    cases.append(_Case(label="B = 6 GHz, some sub-arrays", facts=authors_facts(), all_visible=False, colour=6))
    users = QUICK_USERS if quick else FULL_USERS
    roots = _root_bounds(cases, users)
    narrow, wide = _gigahertz(BANDWIDTHS_HZ[0]), _gigahertz(BANDWIDTHS_HZ[2])
    return Plate(
        figure="cbs-fig7",
        title="root Cramer-Rao bounds for bandwidths",
        panels=_panels(cases, roots),
        values=(
            *(
                value(
                    f"{name}, 6 GHz below 1.5 GHz, {_UNKNOWN[unknown][0]}, percent",
                    _below(roots, wide, narrow, unknown, axis),
                )
                for axis, name in ((1, "angle"), (0, "range"))
                for unknown in _UNKNOWN
            ),
            *_visibility_values(roots, wide, "B = 6 GHz, some sub-arrays"),
        ),
        notes=(
            "The text says that bandwidth hardly moves the angle's bound, and lowers the range's. Ours: the range's falls with "
            "bandwidth only where the carrier's phase is unknown; where it is known, the carrier tells the range.",
        ),
        settings={"users": users, "seed": SEED, "average": "median", "noise": "sweep_mean"},
    )


def _root_bounds(cases: list[_Case], users: int) -> _Roots:
    """Return the root bounds of all cases at the reference SNR; the same users and masks in each."""
    rng, region = np.random.default_rng(SEED), cases[0].facts.region
    low, high = (region.range_min_m, region.angle_min_rad), (region.range_max_m, region.angle_max_rad)
    places = rng.uniform(low, high, size=(users, 2)).tolist()
    masks = [rng.permutation(4)[: rng.integers(1, 5)].tolist() for _ in range(users)]
    found: _Roots = {}
    for case in cases:
        angular = DownlinkResponse(case.facts, setting_from_focus(angle_trajectory(case.facts), case.facts))
        rows = [
            _of_one_user(case.facts, angular, place, [0, 1, 2, 3] if case.all_visible else mask)
            for place, mask in zip(places, masks, strict=True)
        ]
        for index, unknown in enumerate(_UNKNOWN):
            found[case.label, unknown] = np.array(rows)[:, index]
    return found


def _of_one_user(
    facts: TestbedFacts, angular: DownlinkResponse, place: list[float], visible: list[int]
) -> list[tuple[float, float]]:
    """Return one (range, angle) root bound per kind of unknown."""
    range_m, angle_rad = place
    radial = angular.steered(setting_from_focus(range_trajectory(facts, angle_rad), facts))
    sweeps = [
        MeasuredSweep(
            response=response,
            sigma2_w=sweep_mean_sigma2_w(response, range_m, angle_rad, visible, _REFERENCE_DB),
        )
        for response in (angular, radial)
    ]
    bounds = [downlink_bound(sweeps, range_m, angle_rad, visible, unknown) for unknown in _UNKNOWN]
    return [(bound.range_rms_m, bound.angle_rms_rad) for bound in bounds]


def _panels(cases: list[_Case], roots: _Roots) -> tuple[Panel, ...]:
    # flat noise scales the information as a whole, so the SNR shifts a bound and leaves its shape
    scale = 10 ** (-(SNR_DB - _REFERENCE_DB) / 20)
    return tuple(
        Panel(
            title=title,
            x_label="SNR per subcarrier (dB)",
            y_label=y_label,
            curves=tuple(
                Curve(
                    label=f"{case.label}, {name}",
                    x=SNR_DB,
                    y=np.median(roots[case.label, unknown][:, axis]) * scale,
                    style=style,
                    colour=case.colour,
                    width=max(1.2, 4.2 - 0.8 * index),
                )
                for unknown, (name, style) in _UNKNOWN.items()
                for index, case in enumerate(cases)
            ),
            y_log=True,
        )
        for axis, title, y_label in (
            (1, "Angle", "root bound of the angle (rad)"),
            (0, "Range", "root bound of the range (m)"),
        )
    )


def _visibility_values(roots: _Roots, full: str, partial: str) -> tuple[Value, ...]:
    return tuple(
        value(
            f"{name}, some over all sub-arrays, {_UNKNOWN[unknown][0]}, ratio",
            float(np.median(roots[partial, unknown][:, axis]) / np.median(roots[full, unknown][:, axis])),
        )
        for axis, name in ((1, "angle"), (0, "range"))
        for unknown in _UNKNOWN
    )


def _below(roots: _Roots, label: str, other: str, unknown: Unknown, axis: int) -> float:
    """Return by how many percent the median of one case is below that of another."""
    return float(100 * (1 - np.median(roots[label, unknown][:, axis]) / np.median(roots[other, unknown][:, axis])))


def _gigahertz(width_hz: float) -> str:
    return f"B = {width_hz / 1e9:g} GHz"
