"""The command ``nftestbed calibrate``: reads what a person wants and calls the pieces that do it; nothing is computed here.

It imports what it needs when it is called, as those of `deploy.cli` do.
"""

import datetime
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bs_controller.calibration.stored import StoredCalibration
    from bs_controller.schemes import CalibrationOptions
    from deploy.calibrate import Survey
    from deploy.checks import CheckedTestbed

TestbedPath = Annotated[Path, typer.Argument(metavar="FILE", help="Testbed file (YAML).", show_default=False)]


def calibrate(
    file: TestbedPath,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the calibration.")],
    ue: Annotated[list[str], typer.Option("--ue", metavar="NAME", help="Who stands at a surveyed place; repeatable.")],
    range_m: Annotated[list[float], typer.Option("--range-m", help="Its range, from the linear array's centre.")],
    angle_deg: Annotated[list[float], typer.Option("--angle-deg", help="Its angle from broadside.")],
    codes: Annotated[int, typer.Option("--codes", help="Codes, a power of two; twice as many pilots.")] = 64,
    delay_span_s: Annotated[float, typer.Option("--delay-span-s", help="How far the delay lines may be set.")] = 50e-9,
    valid_days: Annotated[
        float, typer.Option("--valid-days", min=0.0, max=36500.0, help="How long it may be used.")
    ] = 30.0,
    all_here: Annotated[bool, typer.Option("--all-here", help="Start radio and UEs on this machine too.")] = False,
    run_dir: Annotated[Path | None, typer.Option("--run-dir", metavar="DIR", help="Where to record.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Measure each element's gain, phase and delay with users at known places, and write a file that testbeds can name.

    A controller waits for radio and UEs of the file, as `nftestbed controller` does, and sends coded sweeps.
    Exit status: 0 if the file is written, 1 if something was not heard, 2 if it cannot begin, 130 if stopped.
    """
    surveys = _surveys(ue, range_m, angle_deg)
    if not out.parent.is_dir():
        raise typer.BadParameter(f"expected --out in a folder that is there, got {out}")
    testbed, options = _calibrating(file, surveys, codes, delay_span_s)
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    directory = run_dir or Path("runs") / f"{stamp}-calibration"
    status = _measured(testbed, file, directory, surveys, options, all_here=all_here)
    if status not in {0, 1}:
        raise typer.Exit(status)
    calibration = _solved(directory, surveys, valid_days)
    _write(out, calibration)
    _tell(calibration, out, directory, as_json=json)


def _surveys(ues: list[str], range_m: list[float], angle_deg: list[float]) -> "list[Survey]":
    from bs_controller.calibration.pilots import Place  # noqa: PLC0415
    from deploy.calibrate import Survey  # noqa: PLC0415

    if not len(ues) == len(range_m) == len(angle_deg) or len(set(ues)) != len(ues):
        counts = f"{len(ues)}, {len(range_m)} and {len(angle_deg)}"
        raise typer.BadParameter(f"expected --ue, --range-m and --angle-deg once for each user, got {counts}")
    for metres, degrees in zip(range_m, angle_deg, strict=True):
        if not (0 < metres < math.inf and -90 < degrees < 90):
            raise typer.BadParameter(
                f"expected a range above 0 m and an angle within 90 deg, got {metres:g}, {degrees:g}"
            )
    places = [Place(range_m=one, angle_rad=math.radians(other)) for one, other in zip(range_m, angle_deg, strict=True)]
    return [Survey(ue=name, place=place) for name, place in zip(ues, places, strict=True)]


def _calibrating(
    file: Path, surveys: "list[Survey]", codes: int, delay_span_s: float
) -> "tuple[CheckedTestbed, CalibrationOptions]":
    """Return the testbed that is run; end with status 2 if it cannot be."""
    from bs_controller.schemes import CalibrationOptions  # noqa: PLC0415
    from deploy.calibrate import calibrating  # noqa: PLC0415
    from deploy.checks import checked  # noqa: PLC0415
    from protocol.config import ConfigError, read_testbed  # noqa: PLC0415

    options = CalibrationOptions(codes=codes, delay_span_s=delay_span_s)
    try:
        return checked(calibrating(read_testbed(file), surveys, options)), options
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def _measured(
    testbed: "CheckedTestbed",
    file: Path,
    directory: Path,
    surveys: "list[Survey]",
    options: "CalibrationOptions",
    *,
    all_here: bool,
) -> int:
    """Carry out the run under a progress display and return its exit status."""
    from rich.console import Console  # noqa: PLC0415

    from bs_controller.process import main as controller_main  # noqa: PLC0415
    from deploy.calibrate import calibrating  # noqa: PLC0415
    from deploy.cli_samples import require_program  # noqa: PLC0415
    from deploy.launch import run_testbed  # noqa: PLC0415
    from deploy.progress import display  # noqa: PLC0415
    from protocol.shell import run_until_stopped, set_up_logging  # noqa: PLC0415

    with display(testbed.controller.ues, 1, Console(stderr=True), tracked=False) as shown:

        def on_record(record: "Mapping[str, object]", _: bool) -> None:
            if record["kind"] != "report":  # hundreds
                shown.show(record)

        if all_here:
            require_program(testbed)
            set_up_logging("launcher", directory, quiet=True)
            return run_until_stopped(run_testbed(testbed, directory, on_record), stopped=130)
        return controller_main(
            file, directory, on_record, patient=True, changed=lambda loaded: calibrating(loaded, surveys, options)
        )


def _solved(directory: Path, surveys: "list[Survey]", valid_days: float) -> "StoredCalibration":
    from bs_controller.recorded import RecordingError  # noqa: PLC0415
    from deploy.calibrate import CannotCalibrateError, calibration_from_run  # noqa: PLC0415

    try:
        return calibration_from_run(directory, surveys, valid_days)
    except (CannotCalibrateError, RecordingError) as error:
        typer.echo(f"{error} (recorded in {directory})", err=True)
        raise typer.Exit(1) from error


def _write(out: Path, calibration: "StoredCalibration") -> None:
    from bs_controller.disk import replace_file  # noqa: PLC0415

    try:
        replace_file(out, calibration.text().encode())  # as a whole: a controller may be reading it
    except OSError as error:
        typer.echo(f"{out}: expected a file that can be written, got: {error.strerror}", err=True)
        raise typer.Exit(2) from error


def _tell(calibration: "StoredCalibration", out: Path, directory: Path, *, as_json: bool) -> None:
    from deploy.calibrate import summary  # noqa: PLC0415
    from deploy.output import print_json  # noqa: PLC0415

    document = summary(calibration, out, directory)
    if as_json:
        print_json(document)
        return
    for line in document.lines():
        typer.echo(line)
