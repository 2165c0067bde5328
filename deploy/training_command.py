"""The command ``nftestbed train``: what a person asks for to a training, and what went wrong to an exit status."""

import sys

import msgspec
import typer

from bs_controller.training.export import ExportError
from bs_controller.training.fitting import CheckpointError
from deploy.executors import local_executor
from deploy.training_run import Training, trained


def carried_out(training: Training, *, workers: int | None, fresh: bool, as_json: bool) -> int:
    """Carry out a training, tell on standard error how it goes, and return the exit status."""
    try:
        if fresh:
            training.file("checkpoint").unlink(missing_ok=True)
        with local_executor(workers) as executor:
            standing = trained(training, executor, lambda text: typer.echo(text, err=True))
    except (CheckpointError, ExportError, ValueError, RuntimeError, OSError) as error:
        typer.echo(str(error), err=True)
        return 2
    except KeyboardInterrupt:
        typer.echo("stopped; the same command continues", err=True)
        return 130
    if as_json:
        document = {"model": str(training.file("onnx").resolve()), "standing": standing}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
    return 0
