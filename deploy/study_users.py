"""What a worker of a study does: draw the users of a chunk and locate each with every scheme (kernel).

Each user has random streams of its own, one for what it is and one for what the radio does, seeded by the study's seed,
the cell's physics and the user's number: no number depends on the process, the order or the chunk. All schemes meet the
same users, the same hardware errors and, sweep by sweep, the same noise. Hardware errors are drawn for each user, so that
a study averages over front ends. On other kinds of processors last digits may differ, as those of sines do.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from bs_controller.bounds import Unknown
from bs_controller.scheme_bounds import unknown_of
from bs_controller.schemes import SchemeOptions, scheme_from_options
from bs_controller.sweeps import Covariance, Fix, GoodnessOfFit, NotEstimated, Scheme, Visibility
from deploy.results import error_m
from deploy.simulation import Heard, SimulatedRadio, User, locate
from deploy.study_bounds import BoundModel
from deploy.study_file import Bounds, Setup, scheme_label
from emulator.scene import Position, Scatterer, drawn_paths
from protocol.testbed import TestbedFacts

_DRAW, _RADIO = 0, 1


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """One user of one cell, located by one scheme; what the scheme could not tell is None, and `failure` says why."""

    cell: int
    user: int
    scheme: str
    truth_range_m: float
    truth_angle_rad: float
    visible_subarrays: tuple[int, ...]
    range_m: float | None = None
    angle_rad: float | None = None
    error_m: float | None = None
    sweeps: int | None = None
    bound_range_m: float | None = None
    bound_angle_rad: float | None = None
    bound_error_m: float | None = None
    covariance_range_m2: float | None = None
    covariance_range_angle_m_rad: float | None = None
    covariance_angle_rad2: float | None = None
    found_subarrays: tuple[int, ...] | None = None
    fit_statistic: float | None = None
    integrity: str | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One task: some users of one cell."""

    cell: int
    setup: Setup
    seed: int
    first_user: int
    users: int
    bounds: Bounds = "own"


def located_users(chunk: Chunk) -> list[Located]:
    """Return every user of a chunk, located by every scheme, users first."""
    setup, facts = chunk.setup, chunk.setup.facts()
    model, cell_seed, rows = BoundModel(facts), (chunk.seed, setup.digest()), []
    for number in range(chunk.first_user, chunk.first_user + chunk.users):
        user = drawn_user(setup, facts, np.random.default_rng((*cell_seed, number, _DRAW)))
        for options in setup.schemes:
            # a radio of its own, or what a scheme hears would depend on who was there before
            radio = _radio(setup, facts, np.random.default_rng((*cell_seed, number, _RADIO)))
            row = Located(
                cell=chunk.cell,
                user=number,
                scheme=scheme_label(options),
                truth_range_m=user.range_m,
                truth_angle_rad=user.angle_rad,
                visible_subarrays=user.visible_subarrays,
            )
            row = _located(row, _scheme(options, facts), radio, user)
            if _wants_bound(row, chunk.bounds):
                row = _bounded(row, model, radio.heard, user, unknown_of(options))
            rows.append(row)
    return rows


def drawn_user(setup: Setup, facts: TestbedFacts, rng: np.random.Generator) -> User:
    """Return a user drawn as the setup says; each property has a stream of its own, so that one leaves the others."""
    draw, region = setup.draw, setup.region
    place_rng, mask_rng, path_rng, clock_rng = rng.spawn(4)
    low_m, high_m = draw.range_m or region.range_m
    share, turn, edge = place_rng.random(3)
    if draw.uniform_in == "range":
        range_m = low_m + share * (high_m - low_m)
    else:
        range_m = np.sqrt(low_m**2 + share * (high_m**2 - low_m**2))
    low_deg, high_deg = draw.angle_deg or region.angle_deg
    if edge < draw.edge_share:
        turn = np.rint(turn)
    timing, carrier = clock_rng.standard_normal(2)
    return User(
        range_m=float(range_m),
        angle_rad=float(np.deg2rad(low_deg + turn * (high_deg - low_deg))),
        visible_subarrays=drawn_mask(draw.masks, facts.downlink.array.subarrays, mask_rng),
        paths=drawn_paths(draw.paths, facts, path_rng),
        timing_offset_s=float(timing) * draw.timing_offset_rms_s,
        carrier_offset_hz=float(carrier) * draw.carrier_offset_rms_hz,
    )


def drawn_mask(masks: str | int, subarrays: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Return the sub-arrays that see a user: ``all``, a ``random`` non-empty subset, or so many at random."""
    if isinstance(masks, int):
        return tuple(sorted(rng.choice(subarrays, size=masks, replace=False).tolist()))
    bits = int(rng.integers(1, 1 << subarrays, dtype=np.uint64)) if masks == "random" else (1 << subarrays) - 1
    return tuple(subarray for subarray in range(subarrays) if bits >> subarray & 1)


def _radio(setup: Setup, facts: TestbedFacts, rng: np.random.Generator) -> SimulatedRadio:
    scatterers = tuple(
        Scatterer(
            position=Position(range_m=one.range_m, angle_rad=float(np.deg2rad(one.angle_deg))),
            gain=complex(10 ** (one.gain_db / 20) * np.exp(1j * np.deg2rad(one.phase_deg))),
        )
        for one in setup.scatterers
    )
    return SimulatedRadio(
        facts,
        rng=rng,
        downlink_noise=setup.downlink_noise,
        uplink_noise=setup.uplink_noise,
        front_end=setup.front_end,
        uplink_errors=setup.uplink_errors,
        clocks=setup.clocks,
        scatterers=scatterers,
    )


@functools.lru_cache(maxsize=16)  # a scheme may plan for a second; the chunks of a cell share it
def _scheme(options: SchemeOptions, facts: TestbedFacts) -> Scheme:
    scheme = scheme_from_options(options, facts)
    scheme.prepare()
    return scheme


def _located(row: Located, scheme: Scheme, radio: SimulatedRadio, user: User) -> Located:
    try:
        fix = locate(scheme, radio, user)
    except (ArithmeticError, RuntimeError, ValueError) as error:  # as in a live run: this user has no fix, others may
        return msgspec.structs.replace(row, failure=f"{type(error).__name__}: {error}")
    return msgspec.structs.replace(
        row,
        range_m=fix.range_m,
        angle_rad=fix.angle_rad,
        error_m=error_m(fix.range_m, fix.angle_rad, user.range_m, user.angle_rad),
        sweeps=fix.sweeps,
        **_self_knowledge(fix),
    )


def _wants_bound(row: Located, bounds: Bounds) -> bool:
    """Return whether a fix is set beside its bound: any, or one that itself says how far it may be off."""
    return row.failure is None and (bounds == "all" or row.covariance_range_m2 is not None)


def _bounded(row: Located, model: BoundModel, heard: Sequence[Heard], user: User, unknown: Unknown) -> Located:
    bound = model.bound(heard, user, unknown)
    if bound is None:
        return row
    return msgspec.structs.replace(
        row,
        bound_range_m=bound.range_rms_m,
        bound_angle_rad=bound.angle_rms_rad,
        bound_error_m=bound.position_rms_m(user.range_m),
    )


def _self_knowledge(fix: Fix) -> dict[str, float | str | tuple[int, ...]]:
    known: dict[str, float | str | tuple[int, ...]] = {}
    if isinstance(fix.covariance, Covariance):
        known |= {
            "covariance_range_m2": fix.covariance.range_m2,
            "covariance_range_angle_m_rad": fix.covariance.range_angle_m_rad,
            "covariance_angle_rad2": fix.covariance.angle_rad2,
        }
    if isinstance(fix.visibility, Visibility):
        known["found_subarrays"] = fix.visibility.subarrays
    if isinstance(fix.fit, GoodnessOfFit):
        known["fit_statistic"] = fix.fit.statistic
    if not isinstance(fix.integrity, NotEstimated):
        known["integrity"] = fix.integrity.value
    return known
