"""The commands ``nftestbed air`` and ``nftestbed channel``: the parts of an air of samples, started by hand.

Each imports what it needs when it is called, as those of `deploy.cli` do.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from deploy.checks import CheckedTestbed

TestbedPath = Annotated[Path, typer.Argument(metavar="FILE", help="Testbed file (YAML).", show_default=False)]


def air(
    file: TestbedPath,
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="Where to write logs and the ground truth.")
    ] = None,
) -> None:
    """Run the air alone: it makes taps of what the front end of `nftestbed sdr` is set to, for the channel program.

    The file needs the section sdr. With --run-dir it writes the ground truth to DIR/truth.jsonl.
    """
    from emulator.air import main as air_main  # noqa: PLC0415

    raise typer.Exit(air_main(file, run_directory=run_dir))


def require_program(testbed: "CheckedTestbed") -> None:
    """End with status 2 where the file names a channel program that this machine lacks."""
    from deploy.children import absence  # noqa: PLC0415

    section = testbed.loaded.file.sdr
    if section is not None and (reason := absence(section)) is not None:
        typer.echo(testbed.loaded.error(("sdr", "program"), reason), err=True)
        raise typer.Exit(2)


def channel(file: TestbedPath) -> None:
    """Run the channel program alone, in GNU Radio or in numpy as the section sdr of the file says, until it is stopped."""
    from deploy.checks import checked  # noqa: PLC0415
    from deploy.children import channel_command, uplink_words  # noqa: PLC0415
    from protocol.config import ConfigError, read_testbed  # noqa: PLC0415

    try:
        testbed = checked(read_testbed(file))
        if testbed.loaded.file.sdr is None:
            raise testbed.loaded.error(("sdr",), "expected a value, got nothing")
    except ConfigError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from error
    require_program(testbed)
    file_read = testbed.loaded.file
    users = tuple(testbed.emulator.users)
    words = channel_command(
        testbed.loaded.file.sdr, file_read.downlink.subcarriers, users, uplink_words(file_read, testbed.controller.ues)
    )
    os.execv(words[0], words)  # noqa: S606 - no shell: that program in this process's place
