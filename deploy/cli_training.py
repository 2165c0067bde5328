"""The commands ``nftestbed train`` and ``nftestbed card``: what a person wants of networks; nothing is computed here.

Each imports what it needs when it is called, as those of `deploy.cli` do.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from protocol.testbed import TestbedFacts

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]


def train(
    preset: Annotated[
        str, typer.Argument(metavar="PRESET", help="Network, e.g. convnext-element.", show_default=False)
    ],
    *,
    minutes: Annotated[float, typer.Option("--minutes", metavar="N", min=0.1, help="About how long to train.")] = 60.0,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", min=200, help="How long exactly, instead of --minutes.")
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda", help="Where to compute.")] = "cpu",
    testbed: Annotated[
        Path | None,
        typer.Option(
            "--testbed", metavar="FILE", help="Testbed to train for; the papers' by default.", show_default=False
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of model and history.")] = Path("models"),
    cache: Annotated[Path, typer.Option("--cache", metavar="DIR", help="Folder of noise-free sweeps.")] = Path(
        "sweeps"
    ),
    users: Annotated[int, typer.Option("--users", metavar="N", min=100, help="Users kept: 33 kB each.")] = 60_000,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of everything.")] = 1,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", min=1, help="Processes that make batches; one per core by default."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew even if there is a training to go on with.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Train a network on users of the emulator and export it to ONNX, with a history of loss and errors beside it.

    Stopped or killed, it goes on where it was when the same command is given again. With the same seed and steps one machine
    trains the same network. Exit status: 0 if the model is written, 2 if it cannot begin, 130 if stopped.
    """
    try:
        from deploy.training_command import carried_out  # noqa: PLC0415
        from deploy.training_run import Training  # noqa: PLC0415
    except ModuleNotFoundError as error:
        typer.echo(f"expected the packages of training (pip install 'nftestbed[train]'), got: {error}", err=True)
        raise typer.Exit(2) from error
    try:
        training = Training(
            preset=preset,
            facts=_facts(testbed),
            out=out,
            cache=cache,
            minutes=minutes,
            steps=steps,
            device=device,
            seed=seed,
            users=users,
        )
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(carried_out(training, workers=workers, fresh=fresh, as_json=json))


def card(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model (ONNX).", show_default=False)],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write it; beside the model by default.")
    ] = None,
    results: Annotated[Path, typer.Option("--results", metavar="DIR", help="Folder of the studies.")] = Path("studies"),
    users: Annotated[
        int | None, typer.Option("--users", metavar="N", min=10, help="Users of each cell; 2000 by default.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", min=1, help="Processes; one per core by default.")
    ] = None,
) -> None:
    """Write the card of a model: what it is, what it was trained on, and its errors on users that it never saw.

    The errors are those of four studies, an hour together on one core. Stopped, it goes on when it is called again.
    Exit status: 0 if the card is written, 1 if a study failed, 2 if it cannot begin, 130 if stopped.
    """
    try:
        from deploy.model_card_command import carried_out  # noqa: PLC0415
    except ModuleNotFoundError as error:
        typer.echo(f"expected the packages of a study (pip install 'nftestbed[study]'), got: {error}", err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(carried_out(model, out, results, users=users, workers=workers))


def _facts(file: Path | None) -> "TestbedFacts":
    """Return the facts of a testbed file, or of the papers' testbed."""
    from protocol.config import ConfigError, facts, read_testbed  # noqa: PLC0415
    from protocol.testbed import default_facts  # noqa: PLC0415

    if file is None:
        return default_facts()
    try:
        return facts(read_testbed(file).file)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
