"""Users of a kind, in a noise, located by schemes: what the figures of networks are made of. Nothing is drawn here.

The system is the testbed's default, for which the shipped networks are trained: its grid, and with it the wavelength, is
0.07 % from that of the printed digits of [CBS]. All schemes of a case meet the same users and the same noise, sweep by sweep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from bs_controller.inference import Model
from bs_controller.model_metadata import ModelError
from bs_controller.models import shipped_model
from bs_controller.representations import OUTPUTS, REPRESENTATIONS
from bs_controller.schemes import NetworkOptions, SchemeOptions
from deploy.reproduce import CannotReproduceError
from deploy.reproduce.workers import results
from deploy.statistics import bootstrap_rmse_interval, rmse
from deploy.study_file import DrawSection, Setup, scheme_label
from deploy.study_users import Chunk, Located, located_users
from emulator.config import ClocksSection, ElementErrorsSection, FrontEndSection, Noise, NoNoise
from protocol.config import DownlinkSection, RegionSection, UplinkSection
from protocol.testbed import SPEED_OF_LIGHT_M_S, default_facts

Floats = npt.NDArray[np.float64]

SEED = 20249
RANGE, ANGLE, LOCATION = 0, 1, 2  # metrics of errors and bounds: m, rad, m
SCENARIOS = {
    "line of sight, all sub-arrays": DrawSection(),
    "line of sight, some sub-arrays": DrawSection(masks="random"),
    "three paths, some sub-arrays": DrawSection(masks="random", paths="mixed"),
}
IMAGES = ("paper-*.onnx", "chisel-like-*.onnx")
SYSTEM_NOTE = (
    "The system is the testbed's default, for which the shipped network is trained; the grid and the speed of light of the "
    "paper's printed digits are 0.07 % from it."
)
NOISE_NOTE = (
    "In the paper's noise every subcarrier has the printed SNR, be it lit or dark, so that the darkest tell as much as the "
    "brightest; no receiver's noise does that, and bounds for flat noise do not hold. Flat noise has this SNR to the mean "
    "power of a sweep; its Cramer-Rao bounds are those of a line of sight with unknown gains and known sub-arrays."
)
SWEEPS_NOTE = (
    "Networks and CBS take as many angle + range sweeps as is said. The shipped network is one "
    "for all SNRs and scenarios."
)
_BLOCK = 50  # users of one task


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Users drawn alike, in one noise, and the schemes that locate them, by what the figure calls them."""

    draw: DrawSection
    noise: Noise
    schemes: Mapping[str, SchemeOptions]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Errors of a scheme and their bounds, ``(user, metric)``: `RANGE`, `ANGLE`, `LOCATION`; not a number if there is none."""

    errors: Floats
    bounds: Floats

    @property
    def rmse(self) -> Floats:
        """Return the root of the mean square error of users with a fix, ``(metric,)``."""
        return rmse(self._found())

    @property
    def bound(self) -> Floats:
        """Return the root of the mean square bound, ``(metric,)``."""
        return rmse(self.bounds)

    @property
    def failures(self) -> int:
        """Return how many users have no fix."""
        return len(self.errors) - len(self._found())

    def interval(self, rng: np.random.Generator) -> Floats:
        """Return the 95 % interval of the RMSE, low and high, ``(2, metric)``, by bootstrap over users."""
        return bootstrap_rmse_interval(self._found(), rng)

    def _found(self) -> Floats:
        return self.errors[np.isfinite(self.errors).all(axis=1)]


def located(cases: Sequence[Case], users: int) -> list[dict[str, Errors]]:
    """Return the errors of each scheme of each case, by the names that the case has for them."""
    chunks = [
        Chunk(
            cell=index,
            setup=_setup(case),
            seed=SEED,
            first_user=first,
            users=min(_BLOCK, users - first),
            bounds="all" if _flat(case.noise) else "own",
        )
        for index, case in enumerate(cases)
        for first in range(0, users, _BLOCK)
    ]
    rows: dict[tuple[int, str], list[Located]] = {}
    for found in results(located_users, chunks):
        for row in found:
            rows.setdefault((row.cell, row.scheme), []).append(row)
    return [
        {name: _errors(rows[index, scheme_label(options)]) for name, options in case.schemes.items()}
        for index, case in enumerate(cases)
    ]


def element_options(**options: object) -> NetworkOptions:
    """Return options of `network` with the shipped model.

    Raises
    ------
    CannotReproduceError
        If none is shipped.
    """
    try:
        path = shipped_model("element")
    except ModelError as error:
        raise CannotReproduceError(str(error)) from error
    return msgspec.convert({"scheme": "network", "model": str(path), **options}, NetworkOptions)


def image_models(folder: Path) -> dict[str, Path]:
    """Return the trained networks of [CBS] that a folder holds, by the names of their presets; none if there is no folder.

    Raises
    ------
    CannotReproduceError
        If one was made for something else.
    """
    paths = [path for pattern in IMAGES for path in sorted(folder.glob(pattern))]
    shown = REPRESENTATIONS["image"]
    for path in paths:
        try:
            Model.load(path, default_facts(), features=f"{shown.name}-{shown.version}", outputs=OUTPUTS)
        except ModelError as error:
            raise CannotReproduceError(str(error)) from error
    return {path.stem: path for path in paths}


def image_options(path: Path, **options: object) -> NetworkOptions:
    """Return options of `network` with a trained network of [CBS]."""
    return msgspec.convert({"scheme": "network", "plan": "image", "model": str(path), **options}, NetworkOptions)


def image_note(models: Mapping[str, Path], folder: Path) -> str:
    """Return what is to be said of the trained networks of [CBS] that are at hand, or are not."""
    if models:
        return f"Networks of [CBS], trained with this testbed: {', '.join(models)} in {folder}."
    return (
        f"No network of [CBS] is in {folder} (--models). The published sizes S and L need a GPU to train; paper-micro and "
        f"paper-atto stand in: nftestbed train paper-micro --minutes 30 --out {folder}"
    )


def failure_notes(found: Sequence[Mapping[str, Errors]]) -> tuple[str, ...]:
    """Return a note on fixes that failed, if any did."""
    failed = sum(errors.failures for case in found for errors in case.values())
    asked = sum(len(errors.errors) for case in found for errors in case.values())
    return (f"{failed} of {asked} fixes failed and are no part of the errors.",) if failed else ()


def _flat(noise: Noise) -> bool:
    return noise.__struct_config__.tag in {"sweep_mean", "link_budget"}


def _errors(rows: Sequence[Located]) -> Errors:
    def column(name: str) -> Floats:
        return np.array([getattr(row, name) for row in rows], dtype=np.float64)  # None becomes not-a-number

    truth = np.stack([column("truth_range_m"), column("truth_angle_rad")], axis=1)
    fixes = np.stack([column("range_m"), column("angle_rad")], axis=1)
    return Errors(
        errors=np.column_stack([fixes - truth, column("error_m")]),
        bounds=np.column_stack([column("bound_range_m"), column("bound_angle_rad"), column("bound_error_m")]),
    )


def _setup(case: Case) -> Setup:
    """Return the study's setup of a case; the facts are the default ones."""
    return Setup(
        downlink=DownlinkSection(carrier_hz=100e9, bandwidth_hz=6e9, subcarriers=2048, elements=512),
        uplink=UplinkSection(
            carrier_hz=28e9, spacing_hz=480e3, subcarriers=100, elements=392, radius_m=1.0, half_sector_deg=60.0
        ),
        region=RegionSection(range_m=(5.0, 50.0), angle_deg=(-60.0, 60.0)),
        speed_of_light_m_s=SPEED_OF_LIGHT_M_S,
        front_end=FrontEndSection(),
        downlink_noise=case.noise,
        uplink_noise=NoNoise(),
        uplink_errors=ElementErrorsSection(),
        clocks=ClocksSection(),
        scatterers=(),
        schemes=tuple(case.schemes.values()),
        users=1,
        draw=case.draw,
    )
