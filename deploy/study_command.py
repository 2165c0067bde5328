"""The command ``nftestbed study``: a study file to its results on disk and on standard output."""

import contextlib
from pathlib import Path

import typer
from rich.console import Console

from deploy.executors import cluster_executor, local_executor
from deploy.output import output_console, print_json
from deploy.study import ChunkError, default_directory, run_study
from deploy.study_file import Study, read_study
from deploy.study_report import print_summary, study_progress
from deploy.study_store import StoreError, StudyStore, SummaryRow, opened_store
from protocol.strict_yaml import ConfigError
from protocol.versions import versions


def carried_out(file: Path, out: Path | None, *, workers: int | None, scheduler: str | None, as_json: bool) -> int:
    """Carry out the study in a file, print its summary, and return the exit status."""
    try:
        study = read_study(file)
        directory = out or default_directory(study)
        with opened_store(directory, study) as store:
            rows = _carried_out(study, store, workers, scheduler)
    except (ConfigError, StoreError, OSError, ModuleNotFoundError) as error:
        typer.echo(str(error), err=True)
        return 2
    except ChunkError as error:
        typer.echo(f"{error}\nWhat was finished is kept: the same command continues.", err=True)
        return 1
    except KeyboardInterrupt:
        typer.echo("stopped; the same command continues", err=True)
        return 130
    _show(directory, rows, as_json=as_json)
    return 0


def _carried_out(study: Study, store: StudyStore, workers: int | None, scheduler: str | None) -> list[SummaryRow]:
    with contextlib.ExitStack() as stack:
        executor = stack.enter_context(cluster_executor(scheduler) if scheduler else local_executor(workers))
        show = stack.enter_context(study_progress(study.file.name, Console(stderr=True)))
        return run_study(study, store, executor, show)


def _show(directory: Path, rows: list[SummaryRow], *, as_json: bool) -> None:
    if as_json:
        document = {"directory": str(directory.resolve()), "rows": rows, "versions": versions()}
        print_json(document)
        return
    console = output_console()
    print_summary(rows, console)
    console.print(f"results: {directory.resolve()}", markup=False, soft_wrap=True)
