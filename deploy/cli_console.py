"""The commands ``nftestbed console`` and ``report``: a run to look at, live or recorded; nothing is computed here.

Each imports what it needs when it is called, as those of `deploy.cli` do.
"""

from pathlib import Path
from typing import Annotated

import typer

from bs_controller.console.defaults import DEFAULT_HOST, DEFAULT_PORT

RunOrTestbed = Annotated[
    Path,
    typer.Argument(
        metavar="RUN|FILE",
        help="Run directory to play, or testbed file of a controller to watch.",
        show_default=False,
    ),
]


ConsolePort = Annotated[
    int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Of the console's page; 0 is any that is free.")
]


def console(
    what: RunOrTestbed,
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Where to serve the page.")] = DEFAULT_HOST,
    port: ConsolePort = DEFAULT_PORT,
) -> None:
    """Show a run as a page in a browser: a live one through the events of its controller, a recorded one with a time slider.

    Beyond loopback the page is shown only to those who have the printed address with its token. The link is not encrypted.
    Exit status: 0 if stopped, 2 if there is nothing to show or the address is taken.
    """
    try:
        from bs_controller.console.process import show_live, show_recording  # noqa: PLC0415
    except ModuleNotFoundError as error:
        typer.echo(f"expected the packages of the console (pip install 'nftestbed[console]'), got: {error}", err=True)
        raise typer.Exit(2) from error
    show = show_recording if what.is_dir() else show_live
    raise typer.Exit(show(what, host, port, lambda address: typer.echo(f"console: {address}")))


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="HTML file to write; RUN/report.html by default.")
    ] = None,
) -> None:
    """Write one self-contained HTML page of a recorded run: map, errors, latencies, configuration.

    Exit status: 0 if it is written, 2 if the run cannot be read or the file not be written.
    """
    from bs_controller.recorded import RecordingError  # noqa: PLC0415
    from deploy.report import report_page  # noqa: PLC0415
    from protocol.config import ConfigError  # noqa: PLC0415

    file = out or run / "report.html"
    try:
        file.write_text(report_page(run), encoding="utf-8")
    except (RecordingError, ConfigError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(f"written to {file}")
