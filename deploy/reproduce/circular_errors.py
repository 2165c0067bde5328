"""Distribution of the location error on the circular array, backprojection and MUSIC: [SUCA, Fig. 5].

Line of sight alone; users area-uniform over 1 to 20 m beyond the circle and nine tenths of the sector. Both methods take
the highest point of the same grid, as published; backprojection is also refined off the grid, as the testbed's scheme is.
"""

import numpy as np
import numpy.typing as npt

from bs_controller.imaging import Imager
from bs_controller.music import MusicPlan, covariance, signal_subspace
from bs_controller.schemes.backprojection import Backprojection, BackprojectionOptions
from bs_controller.sweeps import Fix, Snapshot
from deploy.reproduce.plates import Curve, Panel, Plate, Style, Value, value
from deploy.reproduce.systems import HALF_SECTOR_RAD, sector_facts
from deploy.reproduce.workers import results
from deploy.results import error_m
from deploy.simulation import SimulatedRadio, User
from emulator.config import SweepMean
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]

SEED = 505
FULL_USERS, QUICK_USERS = 1000, 80
CARRIERS_HZ = (3.5e9, 28e9)
RADII_M = (0.5, 1.0)
SUBCARRIERS, RANGES, SNR_DB = 100, 200, 10.0
PATHS = 1
METHODS = ("backprojection, refined", "backprojection, grid", "MUSIC, grid")
_RADIUS_STYLES: tuple[Style, ...] = ("dashed", "line")
_BLOCKS = 4


def error_distribution(quick: bool) -> Plate:
    """Return [SUCA, Fig. 5]: the cumulative distribution of the location error, for two radii and carriers."""
    users = QUICK_USERS if quick else FULL_USERS
    cells = [(carrier_hz, radius_m) for carrier_hz in CARRIERS_HZ for radius_m in RADII_M]
    jobs = [(*cell, users // _BLOCKS, block) for cell in cells for block in range(_BLOCKS)]
    blocks = results(_block_errors_m, jobs)
    errors = {cell: np.concatenate(blocks[_BLOCKS * index :][:_BLOCKS]) for index, cell in enumerate(cells)}
    return Plate(
        figure="suca-fig5",
        title="distribution of the location error on the circular array",
        panels=tuple(_panel(carrier_hz, errors) for carrier_hz in CARRIERS_HZ),
        values=_values(errors),
        notes=(
            "The text prints no number here, nor its SNR, subcarriers and second radius; ours: 10 dB, 100, 0.5 m.",
            "MUSIC takes one covariance over the subcarriers and drops their common delay, so that its range comes from "
            "curvature alone; backprojection uses both.",
            "On the grid the error is that of its cells, so that a larger array or a higher carrier cannot lower it.",
        ),
        settings={
            "users": users,
            "seed": SEED,
            "snr_db": SNR_DB,
            "subcarriers": SUBCARRIERS,
            "ranges": RANGES,
            "paths": PATHS,
        },
    )


def _block_errors_m(job: tuple[float, float, int, int]) -> Floats:
    """Return the location errors of some users, ``(user, method)``."""
    carrier_hz, radius_m, users, block = job
    facts = sector_facts(carrier_hz, SUBCARRIERS, radius_m)
    rng = np.random.default_rng((SEED, block))
    range_m = np.linspace(radius_m + 1, radius_m + 20, RANGES)
    scheme = Backprojection(options=BackprojectionOptions(range_points=RANGES, max_targets=1), facts=facts)
    imager, plan = (
        Imager(facts.uplink, range_m, facts.speed_of_light_m_s),
        MusicPlan(facts.uplink, range_m, facts.speed_of_light_m_s),
    )
    return np.array([_errors_of_one_user_m(facts, scheme, imager, plan, rng) for _ in range(users)])


def _errors_of_one_user_m(
    facts: TestbedFacts, scheme: Backprojection, imager: Imager, plan: MusicPlan, rng: np.random.Generator
) -> list[float]:
    user = _place(rng, facts.uplink.array.radius_m)
    radio = SimulatedRadio(facts, rng=rng, uplink_noise=SweepMean(snr_db=SNR_DB))
    snapshot = radio.snapshot(User(range_m=user[0], angle_rad=user[1]))
    fix = _located(scheme, snapshot)
    moments = covariance(
        facts.uplink, snapshot.samples, np.zeros(facts.uplink.array.elements), facts.speed_of_light_m_s
    )
    spectrum = plan.pseudo_spectrum(signal_subspace(moments, PATHS))
    cells = [_highest_cell(imager, values) for values in (np.abs(imager.image(snapshot.samples)), spectrum)]
    found = [(fix.range_m, fix.angle_rad), *cells]
    return [error_m(r, t, *user) for r, t in found]


def _located(scheme: Backprojection, snapshot: Snapshot) -> Fix:
    """Return the scheme's fix of a snapshot that the other methods see too."""
    localization = scheme.locate()
    next(localization)
    try:
        localization.send(snapshot)
    except StopIteration as end:
        fix: Fix = end.value
        return fix
    raise AssertionError("backprojection takes one sounding")


def _place(rng: np.random.Generator, radius_m: float) -> tuple[float, float]:
    """Return a range and an angle, area-uniform over the published region."""
    near_m, far_m = radius_m + 1, radius_m + 20
    range_m = np.sqrt(rng.uniform(near_m**2, far_m**2))
    return float(range_m), float(rng.uniform(-0.9, 0.9) * HALF_SECTOR_RAD)


def _highest_cell(imager: Imager, image: Floats) -> tuple[float, float]:
    row, column = np.unravel_index(image.argmax(), image.shape)
    return float(imager.range_m[row]), float(imager.angle_rad[column])


def _panel(carrier_hz: float, errors: dict[tuple[float, float], Floats]) -> Panel:
    curves = []
    for style, radius_m in zip(_RADIUS_STYLES, RADII_M, strict=True):
        found_m = np.sort(errors[carrier_hz, radius_m], axis=0)
        share = (np.arange(len(found_m)) + 1) / len(found_m)
        curves += [
            Curve(label=f"{method}, R = {radius_m:g} m", x=found_m[:, index], y=share, style=style, colour=index)
            for index, method in enumerate(METHODS)
        ]
    return Panel(
        title=f"{carrier_hz / 1e9:g} GHz, {SUBCARRIERS} subcarriers, SNR {SNR_DB:g} dB",
        x_label="location error (m)",
        y_label="share of users with at most this error",
        curves=tuple(curves),
        x_log=True,
        x_limits=(1e-4, 30.0),
    )


def _values(errors: dict[tuple[float, float], Floats]) -> tuple[Value, ...]:
    return tuple(
        value(
            f"{carrier_hz / 1e9:g} GHz, R = {radius_m:g} m, {method}, {name} error_m",
            float(statistic(found_m[:, index])),
        )
        for (carrier_hz, radius_m), found_m in errors.items()
        for index, method in enumerate(METHODS)
        for name, statistic in (("median", np.median), ("mean", np.mean))
    )
