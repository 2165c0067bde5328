"""Angle and range error of CBS and of beam training on top of it, over SNR: [CBS, Fig. 8] but for its networks.

Noise follows the power of each subcarrier, as the paper's definition of the SNR says; the whole array is visible. The
paper prints neither its numbers of groups nor how two beams of a stage are put together; ours are in the options of the
schemes, and the estimates of several beams are averaged.
"""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.schemes.cbs import Cbs, CbsOptions, estimated_range
from bs_controller.schemes.cbs_bt import CbsBt, CbsBtOptions
from bs_controller.sweeps import Answer, Fix, Localization, Scheme, Sweep
from deploy.reproduce.plates import LINE_WITH_POINTS, Curve, Mark, Panel, Plate, Value, value
from deploy.reproduce.systems import authors_facts
from deploy.reproduce.workers import results
from deploy.simulation import SimulatedRadio, User, locate
from emulator.config import NoNoise, PerSubcarrier
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]

SEED = 20240
FULL_USERS, QUICK_USERS = 5000, 100
SNR_DB = (0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0)
QUICK_SNR_DB = (0.0, 10.0, 20.0, 30.0)
SCHEMES = ("CBS", "CBS-BT", "CBS-5beam", "CBS-BT-5beam", "CBS-BT, middle range")
_Cell = tuple[str, float | None]  # scheme and SNR
_IDEAL = ("CBS", "CBS-true-angle")


class _TwoBeamCbsBt(CbsBt):
    """Beam training whose second stage is sent twice, the two angles averaged."""

    def _refined_angle(self, coarse_rad: float) -> Generator[Sweep, Answer, tuple[float, int]]:
        first_rad, first_pilots = yield from CbsBt._refined_angle(self, coarse_rad)
        second_rad, second_pilots = yield from CbsBt._refined_angle(self, coarse_rad)
        return (first_rad + second_rad) / 2, first_pilots + second_pilots


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One block of users by one scheme at one SNR; no SNR means no noise."""

    scheme: str
    snr_db: float | None
    users: int
    block: int


def errors_over_snr(quick: bool) -> Plate:
    """Return [CBS, Fig. 8]: RMSE of angle and range over SNR, 5000 users per point as printed."""
    users, snrs = (QUICK_USERS, QUICK_SNR_DB) if quick else (FULL_USERS, SNR_DB)
    cells: list[_Cell] = [(scheme, snr) for snr in snrs for scheme in SCHEMES] + [(scheme, None) for scheme in _IDEAL]
    errors = _errors(cells, users, blocks=1 if quick else 10)
    rmse = {cell: np.sqrt(np.mean(np.square(found), axis=0)) for cell, found in errors.items()}  # (range, angle)
    return Plate(
        figure="cbs-fig8",
        title="RMSE of CBS and CBS-BT over SNR, the whole array visible",
        panels=(
            _panel("Angle", "RMSE of the angle (rad)", rmse, snrs, 1),
            _panel("Range", "RMSE of the range (m)", rmse, snrs, 0),
        ),
        values=_values(rmse),
        notes=(
            "6.51 mrad of CBS-ideal follows from the text of [CBS, Fig. 9]: 3.31 mrad is 49.18 % below it.",
            "13.53 m is printed for CBS-BT and for CBS-BT-5beam; 19.82 % below 16.27 m and 3.77 m being 71.08 % lower both "
            "say that the latter was 13.05 m.",
            "0.246 m is printed with [CBS, Fig. 9]: CBS without noise, its range sweep pointed at the true angle. "
            "Ours comes from the fall of the gain over the band; with a flat gain it is 0.05 m (1500 users).",
            "With stage two at 5 m as printed, sums of groups are flat for users farther away, and beam training makes the "
            "angle worse. Margins of 0.05 instead of 1 deg bring back the error of CBS, not less (400 users, no noise).",
            "ConvNeXt-CBS (4.85 m) and ConvNeXt-CBS-BT (3.77 m) are with cbs-table1.",
        ),
        settings={"users": users, "seed": SEED, "angle_groups": 32, "range_groups": 16, "noise": "per_subcarrier"},
    )


def _errors(cells: list[_Cell], users: int, blocks: int) -> dict[_Cell, Floats]:
    """Return (range, angle) errors of every cell, ``(user, 2)``; the same users in all cells."""
    jobs = [
        _Job(scheme=scheme, snr_db=snr, users=users // blocks, block=block)
        for scheme, snr in cells
        for block in range(blocks)
    ]
    found = results(_block_errors, jobs)
    parts: dict[_Cell, list[Floats]] = {cell: [] for cell in cells}
    for job, errors in zip(jobs, found, strict=True):
        parts[job.scheme, job.snr_db].append(errors)
    return {cell: np.concatenate(blocks_of_cell) for cell, blocks_of_cell in parts.items()}


def _block_errors(job: _Job) -> Floats:
    """Return (range, angle) errors of one block of users, ``(user, 2)``."""
    facts, index = authors_facts(), SCHEMES.index(job.scheme) if job.scheme in SCHEMES else len(SCHEMES)
    noise = NoNoise() if job.snr_db is None else PerSubcarrier(snr_db=job.snr_db)
    snr_key = 99 if job.snr_db is None else round(job.snr_db)
    radio = SimulatedRadio(facts, rng=np.random.default_rng((SEED, job.block, index, snr_key)), downlink_noise=noise)
    region = facts.region
    low, high = (region.range_min_m, region.angle_min_rad), (region.range_max_m, region.angle_max_rad)
    places = np.random.default_rng((SEED, job.block)).uniform(low, high, size=(job.users, 2))
    fixes = [_fix(job.scheme, facts, radio, range_m, angle_rad) for range_m, angle_rad in places.tolist()]
    return np.array([(fix.range_m, fix.angle_rad) for fix in fixes]) - places


def _fix(name: str, facts: TestbedFacts, radio: SimulatedRadio, range_m: float, angle_rad: float) -> Fix:
    scheme: Scheme
    match name:
        case "CBS":
            scheme = Cbs(options=CbsOptions(), facts=facts)
        case "CBS-5beam":
            scheme = Cbs(options=CbsOptions(angle_beams=4), facts=facts)
        case "CBS-BT":
            scheme = CbsBt(options=CbsBtOptions(), facts=facts)
        case "CBS-BT, middle range":
            scheme = CbsBt(options=CbsBtOptions(stage2_range="region_middle"), facts=facts)
        case "CBS-BT-5beam":
            scheme = _TwoBeamCbsBt(options=CbsBtOptions(angle_beams=2), facts=facts)
        case _:
            scheme = TrueAngleCbs(options=CbsOptions(), facts=facts, angle_rad=angle_rad)
    return locate(scheme, radio, User(range_m=range_m, angle_rad=angle_rad))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueAngleCbs(Cbs):
    """CBS told the true angle, as the paper's ideal range estimate is."""

    angle_rad: float

    def locate(self) -> Localization:
        """Return a fresh localization; see `Scheme`."""
        range_m, pilots = yield from estimated_range(self.facts, self.angle_rad, 1)
        return Fix(range_m=range_m, angle_rad=self.angle_rad, sweeps=pilots)


_Rmse = dict[_Cell, Floats]
_PRINTED_RANGE = (("CBS", 17.05), ("CBS-BT", 13.53), ("CBS-5beam", 16.27), ("CBS-BT-5beam", 13.53))
_DERIVED_IDEAL_RAD = 3.31e-3 / (1 - 0.4918)


def _panel(title: str, y_label: str, rmse: _Rmse, snrs: tuple[float, ...], axis: int) -> Panel:
    snr_db = np.array(snrs)
    shown = [
        Curve(
            label=name if style == "line" else "_" + name,
            x=snr_db,
            y=np.array([rmse[name, snr][axis] for snr in snrs]),
            style=style,
            colour=colour,
        )
        for colour, name in enumerate(SCHEMES)
        for style in LINE_WITH_POINTS
    ]
    ideal = np.full(snr_db.size, rmse["CBS", None][axis])
    shown.append(Curve(label="CBS-ideal (no noise)", x=snr_db, y=ideal, style="dashed", colour=6))
    printed = tuple(Mark(label=f"printed: {name}, {metres} m", x=10.0, y=metres) for name, metres in _PRINTED_RANGE)
    angular = (Mark(label="printed: CBS-ideal, 6.51 mrad", x=snrs[-1], y=_DERIVED_IDEAL_RAD),)
    return Panel(
        title=title, x_label="SNR (dB)", y_label=y_label, curves=tuple(shown), marks=angular if axis else printed
    )


def _values(rmse: _Rmse) -> tuple[Value, ...]:
    at_10_db = [value(f"{name}, 10 dB, range_rmse_m", rmse[name, 10.0][0], printed) for name, printed in _PRINTED_RANGE]
    angles = [value(f"{name}, 20 dB, angle_rmse_rad", rmse[name, 20.0][1]) for name in SCHEMES]
    return (
        *at_10_db,
        value("CBS-BT below CBS, 10 dB, range, percent", _below(rmse, "CBS-BT", "CBS", 10.0, 0), 20.62),
        value(
            "CBS-BT-5beam below CBS-5beam, 10 dB, range, percent",
            _below(rmse, "CBS-BT-5beam", "CBS-5beam", 10.0, 0),
            19.82,
        ),
        *angles,
        value("CBS-BT below CBS, 20 dB, angle, percent", _below(rmse, "CBS-BT", "CBS", 20.0, 1), 7.75),
        value(
            "CBS-BT-5beam below CBS-5beam, 20 dB, angle, percent",
            _below(rmse, "CBS-BT-5beam", "CBS-5beam", 20.0, 1),
            8.68,
        ),
        value("CBS-ideal, angle_rmse_rad", rmse["CBS", None][1], round(_DERIVED_IDEAL_RAD, 5)),
        value("CBS-ideal, range_rmse_m", rmse["CBS", None][0]),
        value("CBS-ideal with the true angle, range_rmse_m", rmse["CBS-true-angle", None][0], 0.246),
    )


def _below(rmse: _Rmse, name: str, other: str, snr_db: float, axis: int) -> float:
    """Return by how many percent one RMSE is below another."""
    return float(100 * (1 - rmse[name, snr_db][axis] / rmse[other, snr_db][axis]))
