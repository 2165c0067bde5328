"""The command ``nftestbed``: reads what a person wants and calls the piece that does it; nothing is computed here.

Each command imports what it needs when it is called, so that ``--help`` answers at once.
"""

import datetime
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bs_controller.console.defaults import DEFAULT_PORT
from deploy.cli_bench import bench
from deploy.cli_calibrate import calibrate
from deploy.cli_conform import conform
from deploy.cli_console import ConsolePort, report
from deploy.cli_console import console as console_command
from deploy.cli_keys import keys
from deploy.cli_recordings import export, replay
from deploy.cli_samples import air, channel, require_program
from deploy.cli_training import card, train

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deploy.checks import CheckedTestbed


app = typer.Typer(
    name="nftestbed",
    help="Near-field XL-MIMO localization testbed.\n\nExample: nftestbed run deploy/testbeds/demo.yaml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

TestbedPath = Annotated[Path, typer.Argument(metavar="FILE", help="Testbed file (YAML).", show_default=False)]
RunDirectory = Annotated[
    Path | None,
    typer.Option("--run-dir", metavar="DIR", help="Where to record; a new folder under runs/ by default."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]


@app.command(epilog="Example: nftestbed run deploy/testbeds/demo.yaml --json > result.json")
def run(
    file: TestbedPath,
    run_dir: RunDirectory = None,
    *,
    json: AsJson = False,
    continuous: Annotated[
        bool, typer.Option("--continuous", help="Locate users again and again, and track them, until stopped.")
    ] = False,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="S", min=1.0, help="With tracks: how long.", show_default=False)
    ] = None,
    console: Annotated[
        bool, typer.Option("--console", help="Show it in a browser as well; the page stays when the run is over.")
    ] = False,
    port: ConsolePort = DEFAULT_PORT,
) -> None:
    """Run emulator, UE agents and controller on this machine until every user is located.

    With --continuous, or controller.track in the file, users are tracked until the run is stopped or its time is over.
    With --console it prints the address of a page that shows the run and can stop it and begin another; Ctrl-C ends both.
    Exit status: 0 if every user got a fix from every scheme (of tracked users: in 9 of 10 rounds), 1 if not, 2 if the file
    is wrong, 130 if stopped.
    """
    from deploy.launch import run_testbed  # noqa: PLC0415
    from protocol.shell import run_until_stopped, set_up_logging  # noqa: PLC0415

    testbed = _checked(file, continuous=continuous, seconds=seconds)
    require_program(testbed)
    directory = _run_directory(run_dir, testbed.loaded.file.name)
    set_up_logging("launcher", directory, quiet=True)
    if console:
        if json:
            raise typer.BadParameter("expected --console or --json, got both")
        raise typer.Exit(_run_with_console(testbed, directory, port))
    _carry_out(
        testbed,
        directory,
        lambda on_record: run_until_stopped(run_testbed(testbed, directory, on_record), stopped=130),
        as_json=json,
    )


@app.command(epilog="Example: nftestbed controller deploy/testbeds/demo.yaml --run-dir runs/today")
def controller(file: TestbedPath, run_dir: RunDirectory = None, json: AsJson = False) -> None:
    """Run the controller alone: it waits for the radio and the UEs of the file, locates them, and ends.

    Give the emulator the same --run-dir to see the truth beside the fixes.
    """
    from bs_controller.process import main as controller_main  # noqa: PLC0415

    testbed = _checked(file)
    directory = _run_directory(run_dir, testbed.loaded.file.name)
    _carry_out(
        testbed, directory, lambda on_record: controller_main(file, directory, on_record, patient=True), as_json=json
    )


@app.command(epilog="Example: nftestbed emulator deploy/testbeds/demo.yaml --run-dir runs/today")
def emulator(file: TestbedPath, run_dir: RunDirectory = None) -> None:
    """Run the emulated radio alone; it serves any controller of the same file until it is stopped.

    With --run-dir it writes the ground truth to DIR/truth.jsonl.
    """
    from emulator.process import main as emulator_main  # noqa: PLC0415

    raise typer.Exit(emulator_main(file, run_directory=run_dir))


@app.command(epilog="Example: nftestbed sdr deploy/testbeds/demo.yaml")
def sdr(file: TestbedPath, run_dir: RunDirectory = None) -> None:
    """Run a radio over the front end and the radio drivers that the file names; it takes the emulator's place.

    It serves any controller of the same file until it is stopped.
    """
    from sdr_backend.process import main as sdr_main  # noqa: PLC0415

    raise typer.Exit(sdr_main(file, run_directory=run_dir))


app.command(epilog="Example: nftestbed air deploy/testbeds/gnuradio.yaml --run-dir runs/today")(air)
app.command(epilog="Example: nftestbed channel deploy/testbeds/gnuradio.yaml")(channel)


@app.command(epilog="Example: nftestbed ue deploy/testbeds/demo.yaml --name ue-1")
def ue(
    file: TestbedPath,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Name of the UE in the file.", show_default=False)
    ],
    run_dir: RunDirectory = None,
) -> None:
    """Run one UE agent alone; it joins any controller of the same file, early or late, until it is stopped."""
    from ue_agent.process import main as ue_main  # noqa: PLC0415

    raise typer.Exit(ue_main(file, name, run_directory=run_dir))


@app.command(epilog="Example: nftestbed study deploy/studies/smoke.yaml --workers 2 --json > summary.json")
def study(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Study file (YAML).", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the results; one under studies/ by default.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", min=1, help="Processes; one per core by default.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="URL", help="Dask scheduler, tcp://host:port, instead of processes here."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Locate random users in every cell of a study file (Monte-Carlo), and sum up the errors of each scheme.

    Stopped or killed, it goes on where it was when the same command is given again.
    Exit status: 0 if the study is complete, 1 if a task failed, 2 if it cannot begin, 130 if stopped.
    """
    if workers is not None and scheduler is not None:
        raise typer.BadParameter(
            "expected --workers (processes here) or --scheduler (a cluster with its own), got both"
        )
    try:
        from deploy.study_command import carried_out  # noqa: PLC0415
    except ModuleNotFoundError as error:
        typer.echo(f"expected the packages of a study (pip install 'nftestbed[study]'), got: {error}", err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(carried_out(file, out, workers=workers, scheduler=scheduler, as_json=json))


@app.command(epilog="Example: nftestbed reproduce cbs-fig3 suca-fig4 --quick --out figures")
def reproduce(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME|all]...", help="Figures and tables.", show_default=False)
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the results.")] = Path("figures"),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer users and coarser grids: all in five minutes.")] = False,
    models: Annotated[
        Path, typer.Option("--models", metavar="DIR", help="Folder of trained paper-*.onnx and chisel-like-*.onnx.")
    ] = Path("models"),
    list_all: Annotated[bool, typer.Option("--list", help="List the figures and end.")] = False,
    json: AsJson = False,
) -> None:
    """Draw figures and tables of the papers again: a picture, a CSV and a JSON file with printed values beside ours.

    At full size cbs-fig8 and cbs-table1 take an estimated half hour each on two cores, cbs-fig9 and cbs-fig10 ten minutes each,
    the others a few minutes together.
    Exit status: 0 if all were drawn, 2 if one cannot be.
    """
    from deploy.output import output_console, print_json  # noqa: PLC0415
    from deploy.reproduce import CannotReproduceError, entries, figure_lines, reproduced  # noqa: PLC0415

    if list_all:
        typer.echo("\n".join(figure_lines()))
        return
    if not names:
        raise typer.BadParameter("expected the name of a figure, or all; --list shows them")
    documents = []
    try:
        for entry in entries(names):
            typer.echo(f"{entry.name}: {entry.shows}", err=True)
            documents.append(reproduced(entry, out, quick=quick, models=models))
    except CannotReproduceError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if json:
        print_json({"figures": documents})
        return
    from deploy.reproduce.report import print_document  # noqa: PLC0415

    console = output_console()
    for document in documents:
        print_document(document, console)
    typer.echo(f"written to {out}")


app.command(
    epilog="Example: nftestbed calibrate lab.yaml --ue ue-1 --range-m 8 --angle-deg 5 --out lab-calibration.yaml"
)(calibrate)
app.command(epilog="Example: nftestbed bench --only sweep_synthesis --json")(bench)
app.command(epilog="Example: nftestbed train convnext-element --minutes 60 --out models")(train)
app.command(epilog="Example: nftestbed conform ue --case 'ue/session/*' --html report.html")(conform)
app.command(name="console", epilog="Example: nftestbed console runs/today")(console_command)
app.command(epilog="Example: nftestbed report runs/today --out today.html")(report)
app.command(epilog="Example: nftestbed replay runs/today --scheme likelihood --json")(replay)
app.command(epilog="Example: nftestbed export runs/today --format parquet --out today")(export)
app.command(epilog="Example: nftestbed card models/convnext-element.onnx --users 500")(card)
app.add_typer(keys)


def _checked(file: Path, *, continuous: bool = False, seconds: float | None = None) -> "CheckedTestbed":
    from deploy.checks import checked, tracking  # noqa: PLC0415
    from protocol.config import ConfigError, read_testbed  # noqa: PLC0415

    try:
        loaded = read_testbed(file)
        return checked(tracking(loaded, seconds) if continuous or seconds is not None else loaded)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def _run_directory(wanted: Path | None, name: str) -> Path:
    if wanted is not None:
        return wanted
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return Path("runs") / f"{stamp}-{name}"


def _carry_out(
    testbed: "CheckedTestbed",
    directory: Path,
    work: "Callable[[Callable[[Mapping[str, object], bool], None]], int]",
    *,
    as_json: bool,
) -> None:
    """Do the work under a progress display, print its result, and exit with its status."""
    from deploy.outcome import printed_status, told  # noqa: PLC0415

    with told(testbed) as what:
        status = work(what)
    raise typer.Exit(printed_status(testbed, directory, what, status, as_json=as_json))


def _run_with_console(testbed: "CheckedTestbed", directory: Path, port: int) -> int:
    from deploy.console_run import ConsoleMissingError, run_with_console  # noqa: PLC0415
    from protocol.shell import run_until_stopped  # noqa: PLC0415

    try:
        return run_until_stopped(run_with_console(testbed, directory, port), stopped=130)
    except ConsoleMissingError as error:
        typer.echo(str(error), err=True)
        return 2


def _end(number: int, _frame: object) -> None:
    """Say why a command ends that is still starting, or has no end of its own, and end as the signal asks."""
    os.write(sys.stderr.fileno(), f"nftestbed: ended by {signal.Signals(number).name}\n".encode())
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # process 1 of a container, which no signal ends by itself


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _end)  # until a process's loop takes it over
    app()


if __name__ == "__main__":
    main()
