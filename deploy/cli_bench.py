"""The command ``nftestbed bench``: what a person wants measured, how fast or how long it is survived; nothing is computed here.

It imports what it needs when it is called, as the commands of `deploy.cli` do.
"""

from pathlib import Path
from typing import Annotated

import typer


def bench(
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="One benchmark; may be repeated.")
    ] = None,
    *,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="DIR", help="Draw how times grow with sizes: DIR/scaling.png.")
    ] = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="Instead: kill, stop and cut off real processes, and check what must hold.")
    ] = False,
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=1, help="Faults, one of each kind at least.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", metavar="S", min=0, help="Seed of the faults.")] = 1,
    load: Annotated[
        bool, typer.Option("--load", help="Instead: locate many UE agents for minutes, and watch losses and memory.")
    ] = False,
    ues: Annotated[int, typer.Option("--ues", metavar="N", min=1, max=1000, help="UE agents under load.")] = 256,
    track: Annotated[
        Path | None,
        typer.Option(
            "--track",
            metavar="FILE",
            help="Instead: track the users of a testbed for minutes, and watch ages and memory.",
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option("--minutes", metavar="M", min=0.1, help="How long --load or --track lasts.")
    ] = 10.0,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")
    ] = False,
) -> None:
    """Measure what must be fast, each row against a baseline in the same run; from a source checkout.

    With --faults, --load or --track: what real processes survive, and how.
    Exit status: 0 if every row meets its target or nothing was violated, 1 if not, 2 if it could not be run.
    """
    from deploy.bench import BenchmarkError, compute_in_one_thread  # noqa: PLC0415

    chosen = [name for name, asked in (("--faults", faults), ("--load", load), ("--track", track)) if asked]
    if len(chosen) > 1:
        raise typer.BadParameter(f"expected --faults, --load or --track, got {' and '.join(chosen)}")
    compute_in_one_thread()
    try:
        if faults:
            met = _faults(count, seed, as_json=json)
        elif load:
            met = _load(ues, minutes, as_json=json)
        elif track:
            met = _track(track, minutes, as_json=json)
        else:
            met = _rows(only or [], plot, as_json=json)
    except BenchmarkError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(0 if met else 1)


def _rows(only: list[str], plot: Path | None, *, as_json: bool) -> bool:
    from deploy.bench import measured, print_rows, scaling_plot  # noqa: PLC0415
    from deploy.output import output_console, print_json  # noqa: PLC0415

    write = scaling_plot(only) if plot else None
    rows = []
    for row in measured(Path.cwd(), only):
        typer.echo(f"{row.name}: {row.ours_ms:.3f} ms", err=True)
        rows.append(row)
    if write and plot:
        typer.echo(f"written to {write(rows, plot)}", err=True)
    if as_json:
        print_json({"rows": rows})
    else:
        print_rows(rows, output_console())
    return all(row.met for row in rows)


def _faults(count: int, seed: int, *, as_json: bool) -> bool:
    from deploy.output import output_console, print_json  # noqa: PLC0415
    from deploy.soak import campaign_report, print_faults  # noqa: PLC0415

    report = campaign_report(Path.cwd(), count, seed, lambda line: typer.echo(line, err=True))
    if as_json:
        print_json(report)
    else:
        print_faults(report, output_console())
    return not report.violations


def _load(ues: int, minutes: float, *, as_json: bool) -> bool:
    from deploy.output import output_console, print_json  # noqa: PLC0415
    from deploy.soak import load_report, print_load  # noqa: PLC0415

    report = load_report(Path.cwd(), ues, minutes, lambda line: typer.echo(line, err=True))
    if as_json:
        print_json(report)
    else:
        print_load(report, output_console())
    return report.met


def _track(file: Path, minutes: float, *, as_json: bool) -> bool:
    from deploy.output import output_console, print_json  # noqa: PLC0415
    from deploy.soak import print_track, track_report  # noqa: PLC0415

    report = track_report(Path.cwd(), file, minutes, lambda line: typer.echo(line, err=True))
    if as_json:
        print_json(report)
    else:
        print_track(report, output_console())
    return report.met
