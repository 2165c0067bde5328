"""The papers' figures and tables, drawn again by the testbed's own code: the table of their names.

This file computes and draws nothing and imports no matplotlib, so that the list can be shown without it. [CBS] and [SUCA]
are the papers that the README names.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy.reproduce.plates import Document, Plate


MODELS = Path("models")  # where trained networks are looked for, seen from where the process was started


class CannotReproduceError(RuntimeError):
    """A figure that was asked for cannot be drawn, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A figure's name, what it shows, and the function that computes it: of whether it is quick, and of a folder of models."""

    name: str
    shows: str
    module: str
    function: str
    takes_models: bool = False


FIGURES: tuple[Entry, ...] = (
    Entry(
        name="cbs-fig3",
        shows="beam trajectories of phase shifters and of true-time delays",
        module="one_user",
        function="trajectories",
    ),
    Entry(
        name="cbs-fig4",
        shows="amplitude over subcarriers of both sweeps, all or a quarter of the array visible",
        module="one_user",
        function="sweep_amplitudes",
    ),
    Entry(
        name="cbs-fig6",
        shows="root Cramer-Rao bounds over SNR for numbers of subcarriers",
        module="root_bounds",
        function="over_subcarriers",
    ),
    Entry(
        name="cbs-fig7",
        shows="root Cramer-Rao bounds over SNR for bandwidths",
        module="root_bounds",
        function="over_bandwidth",
    ),
    Entry(
        name="cbs-fig8",
        shows="angle and range error of CBS and CBS-BT over SNR",
        module="beam_training",
        function="errors_over_snr",
    ),
    Entry(
        name="cbs-fig9",
        shows="angle and range error of networks over SNR, beside bounds",
        module="networks_over_snr",
        function="errors_over_snr",
        takes_models=True,
    ),
    Entry(
        name="cbs-fig10",
        shows="angle error of networks over the angle",
        module="networks_over_angle",
        function="errors_over_angle",
        takes_models=True,
    ),
    Entry(
        name="cbs-table1",
        shows="location error of networks, of what they build upon and of CHISEL",
        module="networks_by_scenario",
        function="location_errors",
        takes_models=True,
    ),
    Entry(
        name="suca-fig2",
        shows="images of two targets by a linear and a circular array",
        module="circular_images",
        function="two_targets",
    ),
    Entry(
        name="suca-fig3",
        shows="fewest elements over the sector's half-width",
        module="circular_lobes",
        function="fewest_elements",
    ),
    Entry(
        name="suca-fig4",
        shows="angle and range patterns and their main lobes",
        module="circular_lobes",
        function="patterns",
    ),
    Entry(
        name="suca-fig5",
        shows="distribution of the location error, backprojection and MUSIC",
        module="circular_errors",
        function="error_distribution",
    ),
    Entry(
        name="suca-fig6",
        shows="image of a sounding, and its cuts over angle and range",
        module="circular_images",
        function="one_target",
    ),
    Entry(
        name="suca-table1",
        shows="multiplications and run time of backprojection and MUSIC",
        module="circular_costs",
        function="costs",
    ),
)

# of the testbed itself; ``all`` leaves them out
OWN_FIGURES: tuple[Entry, ...] = (
    Entry(
        name="testbed-users",
        shows="sweeps, time, latency and error against the number of users, over the wire (not a paper's)",
        module="users_over_wire",
        function="over_users",
    ),
)


def figure_lines() -> list[str]:
    """Return the list of figures, one a line."""
    listed = (*FIGURES, *OWN_FIGURES)
    width = max(len(entry.name) for entry in listed)
    return [f"{entry.name:<{width}}  {entry.shows}" for entry in listed]


def entries(names: list[str]) -> list[Entry]:
    """Return the figures of these names, in the table's order; ``all`` means every one of the papers'.

    Raises
    ------
    CannotReproduceError
        If a name is unknown.
    """
    known = {entry.name: entry for entry in (*FIGURES, *OWN_FIGURES)}
    wanted = [entry.name for entry in FIGURES] if "all" in names else []
    for name in names:
        if name not in known and name != "all":
            raise CannotReproduceError(f"no figure {name!r}; there are {', '.join(known)} and all")
    return [entry for entry in known.values() if entry.name in {*wanted, *names}]


def reproduced(entry: Entry, folder: Path, *, quick: bool, models: Path = MODELS) -> "Document":
    """Compute one figure and write its picture, table and document into a folder.

    Parameters
    ----------
    entry
        The figure.
    folder
        Of the results.
    quick
        Whether fewer users and coarser grids will do.
    models
        The folder of trained networks, for figures that show them.

    Raises
    ------
    CannotReproduceError
        If matplotlib is not installed, or a model does not fit.
    """
    try:
        plates = importlib.import_module("deploy.reproduce.plates")
    except ModuleNotFoundError as error:
        raise CannotReproduceError(f"pictures need matplotlib: pip install 'nftestbed[study]' ({error})") from error
    compute: Callable[..., Plate] = getattr(importlib.import_module(f"deploy.reproduce.{entry.module}"), entry.function)
    plate = compute(quick, models) if entry.takes_models else compute(quick)
    document: Document = plates.write(plate, folder, quick=quick)
    return document
