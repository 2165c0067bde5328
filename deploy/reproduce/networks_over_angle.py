"""RMSE of the angle of networks over the angle, 15 m away, beside CBS, the likelihood and a bound: [CBS, Fig. 10]."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from bs_controller.schemes import CbsOptions, LikelihoodOptions, SchemeOptions
from deploy.reproduce.cases import (
    ANGLE,
    NOISE_NOTE,
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
from deploy.reproduce.plates import Curve, Panel, Plate, Value, value, with_one_scale, with_points
from deploy.study_file import DrawSection
from emulator.config import Noise, PerSubcarrier, SweepMean

FULL_USERS, QUICK_USERS = 400, 20
ANGLES_DEG = tuple(range(-60, 61, 10))
QUICK_ANGLES_DEG = (-60, -30, 0, 30, 60)
RANGE_M, SNR_DB = 15.0, 10.0
ANGLE_WINDOW_DEG, RANGE_WINDOW_M = 0.5, 0.01  # users of a point are within these of it
_EDGE_DEG = 60.0
_COLOURS = {"network": 0, "likelihood, 1 + 1": 2, "CBS": 1}
_BOUND_COLOUR, _MODEL_COLOURS = 6, (3, 4, 5)
_OverAngle = Sequence[Mapping[str, Errors]]  # (angle,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What one panel shows; `sweeps` are those of angle and of range."""

    name: str
    draw: DrawSection
    noise: Noise
    sweeps: tuple[int, int]


def errors_over_angle(quick: bool, models: Path) -> Plate:
    """Return [CBS, Fig. 10]: RMSE of the angle over the angle in three scenarios, and in flat noise with a bound."""
    users, angles_deg = (QUICK_USERS, QUICK_ANGLES_DEG) if quick else (FULL_USERS, ANGLES_DEG)
    images, views = image_models(models), _views()
    cases = [
        Case(draw=_near(angle_deg, view.draw), noise=view.noise, schemes=_schemes(images, *view.sweeps))
        for view in views
        for angle_deg in angles_deg
    ]
    found, count = located(cases, users), len(angles_deg)
    of_views = {view.name: found[count * index : count * (index + 1)] for index, view in enumerate(views)}
    return Plate(
        figure="cbs-fig10",
        title=f"RMSE of the angle over the angle, {RANGE_M:g} m away, {SNR_DB:g} dB",
        panels=with_one_scale([_panel(view, angles_deg, of_views[view.name]) for view in views]),
        values=_values(angles_deg, of_views),
        notes=(
            "The text prints no number of this figure; it says that errors are least at 0 deg.",
            "Noise is that of the paper unless it is said to be flat.",
            f"Users of a point are within {ANGLE_WINDOW_DEG:g} deg and {100 * RANGE_WINDOW_M:g} cm of it.",
            NOISE_NOTE,
            SWEEPS_NOTE,
            SYSTEM_NOTE,
            image_note(images, models),
            *failure_notes(found),
        ),
        settings={"users": users, "seed": SEED, "range_m": RANGE_M, "snr_db": SNR_DB},
    )


def _views() -> tuple[_View, ...]:
    paper, flat = PerSubcarrier(snr_db=SNR_DB), SweepMean(snr_db=SNR_DB)
    views = [_View(name=name, draw=draw, noise=paper, sweeps=(4, 2)) for name, draw in SCENARIOS.items()]
    name, draw = next(iter(SCENARIOS.items()))
    return *views, _View(name=f"{name}, flat noise", draw=draw, noise=flat, sweeps=(1, 1))


def _schemes(images: Mapping[str, Path], angle_beams: int, range_beams: int) -> dict[str, SchemeOptions]:
    images_options = {
        name: image_options(path, angle_beams=angle_beams, range_beams=range_beams) for name, path in images.items()
    }
    return {
        "network": element_options(angle_beams=angle_beams, range_beams=range_beams),
        "likelihood, 1 + 1": LikelihoodOptions(),
        "CBS": CbsOptions(angle_beams=angle_beams, range_beams=range_beams),
        **images_options,
    }


def _near(angle_deg: float, draw: DrawSection) -> DrawSection:
    """Return a draw of the same kind around one place, within the region."""
    low, high = max(angle_deg - ANGLE_WINDOW_DEG, -_EDGE_DEG), min(angle_deg + ANGLE_WINDOW_DEG, _EDGE_DEG)
    ranges_m = RANGE_M - RANGE_WINDOW_M, RANGE_M + RANGE_WINDOW_M
    return msgspec.structs.replace(draw, range_m=ranges_m, angle_deg=(low, high))


def _panel(view: _View, angles_deg: Sequence[int], over_angle: _OverAngle) -> Panel:
    angle_deg = np.array(angles_deg, dtype=np.float64)
    models, curves = iter(_MODEL_COLOURS * len(over_angle[0])), list[Curve]()
    for name in over_angle[0]:
        rmse = np.array([found[name].rmse[ANGLE] for found in over_angle])
        curves += with_points(name, angle_deg, rmse, _COLOURS[name] if name in _COLOURS else next(models))
    if isinstance(view.noise, SweepMean):
        bound = np.array([found["network"].bound[ANGLE] for found in over_angle])
        curves.append(Curve(label="bound, 1 + 1", x=angle_deg, y=bound, style="dashed", colour=_BOUND_COLOUR))
    return Panel(
        title=f"{view.name.capitalize()}, {view.sweeps[0]} + {view.sweeps[1]} sweeps",
        x_label="angle (deg)",
        y_label="RMSE of the angle (rad)",
        curves=tuple(curves),
        y_log=True,
    )


def _values(angles_deg: Sequence[int], of_views: Mapping[str, _OverAngle]) -> tuple[Value, ...]:
    return tuple(
        value(f"{view}, {name}, {angle_deg} deg, angle_rmse_rad", errors.rmse[ANGLE])
        for view, over_angle in of_views.items()
        for angle_deg, found in zip(angles_deg, over_angle, strict=True)
        if angle_deg in {0, 60}
        for name, errors in found.items()
    )
