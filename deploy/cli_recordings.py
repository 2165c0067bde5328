"""The commands ``nftestbed replay`` and ``export``: what a person wants of a recorded run; nothing is computed here.

Each imports what it needs when it is called, as those of `deploy.cli` do.
"""

from pathlib import Path
from typing import Annotated

import typer

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]


def replay(
    run: RunPath,
    scheme: Annotated[
        str | None,
        typer.Option(
            "--scheme", metavar="NAME", help="One scheme: of the run's, or any other with its default options."
        ),
    ] = None,
    testbed: Annotated[
        Path | None, typer.Option("--testbed", metavar="FILE", help="Replay the schemes of this testbed file instead.")
    ] = None,
    *,
    json: AsJson = False,
) -> None:
    """Feed a recorded run back through schemes: its own give the recorded fixes bit for bit, others what they would have found.

    Other schemes are given reports of the same user and round whose sweeps are those they ask for; complex samples stand in
    for any other report. What cannot be replayed is named, with what the recording has instead.
    Exit status: 0 if all that is recorded came out the same, or every round gave a fix by another scheme; 1 if not, 2 if the
    run or the scheme cannot be used, 130 if stopped.
    """
    from deploy.output import output_console, print_json  # noqa: PLC0415
    from deploy.replay_command import CannotReplayRunError, replayed_document  # noqa: PLC0415
    from deploy.replay_report import print_replay  # noqa: PLC0415

    try:
        document = replayed_document(run, scheme, testbed)
    except CannotReplayRunError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        raise typer.Exit(130) from None
    if json:
        print_json(document)
    else:
        print_replay(document, output_console())
    raise typer.Exit(0 if document.complete else 1)


def export(
    run: RunPath,
    format_: Annotated[
        str, typer.Option("--format", metavar="h5|parquet|mat", help="HDF5, a folder of Parquet tables, or MATLAB.")
    ] = "h5",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PATH", help="File or folder to be made; RUN/export/ by default.")
    ] = None,
    *,
    settings: Annotated[
        bool, typer.Option("--settings", help="Also the phases and delays of every element, which may be large.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Write a recorded run as a file that other programs open: sweeps, reports by kind, snapshots, fixes, truth.

    Names end in units, arrays have their axes beside them. Nothing is overwritten. A killed run is exported up to its end.
    Exit status: 0 if the file is complete, 2 if it cannot be written or the run cannot be read, 130 if stopped.
    """
    from deploy.export import FORMATS, ExportError  # noqa: PLC0415
    from deploy.export.command import export_run  # noqa: PLC0415
    from deploy.output import print_json  # noqa: PLC0415

    if format_ not in FORMATS:
        raise typer.BadParameter(f"expected --format {', '.join(FORMATS)}, got {format_}")
    try:
        document = export_run(run, format_, out, settings=settings)
    except ExportError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        typer.echo("stopped; nothing is left behind", err=True)
        raise typer.Exit(130) from None
    for cut in document.cuts:
        typer.echo(cut, err=True)
    if json:
        print_json(document)
        return
    rows = ", ".join(f"{name} {count}" for name, count in document.rows.items())
    typer.echo(f"rows: {rows}\nwritten to {document.file}")
