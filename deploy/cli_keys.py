"""The commands ``nftestbed keys``: pairs of keys, and who is enrolled. Nothing is computed here.

Each imports what it needs when it is called, as those of `deploy.cli` do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from protocol.messages import Role

keys = typer.Typer(
    name="keys",
    help="Keys of a testbed: make them, say who is let in, and who no more.\n\n"
    "Example: nftestbed keys new controller --keys keys",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="controller, radio, or a UE's name.", show_default=False)]
Folder = Annotated[Path, typer.Option("--keys", metavar="DIR", help="Key folder, links.keys of the testbed file.")]
HERE = Path("keys")


@keys.command(epilog="Example: nftestbed keys new ue-1 --keys keys")
def new(name: Name, folder: Folder = HERE) -> None:
    """Make a pair of keys: DIR/NAME.secret, which stays on the machine of NAME, and DIR/NAME.public.

    Exit status: 0 if both are written, 2 if one is there already or cannot be written.
    """
    from protocol.curve import new_keypair  # noqa: PLC0415
    from protocol.enrolment import write_pair  # noqa: PLC0415

    public, secret = new_keypair()
    with _complaints():
        secret_path, public_path = write_pair(folder, name, public, secret)
    typer.echo(f"{secret_path}: stays on the machine of {name}, readable by its user alone")
    if name == "controller":
        typer.echo(f"{public_path}: copy it to the machines of the radio and of all UEs")
        return
    if name == "radio":
        typer.echo(f"{public_path}: copy it to the machines of all UEs, if they use the emulated air link")
    typer.echo(f"{public_path}: copy it to where controller and radio run, and there: nftestbed keys enrol {name}")


@keys.command(epilog="Example: nftestbed keys enrol ue-1 --keys keys")
def enrol(
    name: Name,
    *,
    folder: Folder = HERE,
    role: Annotated[
        Role | None,
        typer.Option("--role", help="What NAME is; radio for the name radio, else ue.", show_default=False),
    ] = None,
    public: Annotated[
        Path | None,
        typer.Option(
            "--public", metavar="FILE", help="Its public key; DIR/NAME.public by default.", show_default=False
        ),
    ] = None,
) -> None:
    """Let a key in under a name: write it into DIR/enrolled.txt, which running processes read again within a second.

    Exit status: 0 if it is enrolled now, 2 if its name or its key is enrolled otherwise, or a file cannot be used.
    """
    from protocol import enrolment  # noqa: PLC0415
    from protocol.keys import RADIO, Identity, checked_name, read_public  # noqa: PLC0415

    with _complaints():
        key = read_public(public or folder / f"{checked_name(name)}.public")
        identity = Identity(name=name, role=role or (Role.RADIO if name == RADIO else Role.UE), key=key)
        is_new = enrolment.enrol(folder, identity)
    typer.echo(f"{name} is enrolled as {identity.role}" + ("" if is_new else " already"))


@keys.command(epilog="Example: nftestbed keys revoke ue-1 --keys keys")
def revoke(name: Name, folder: Folder = HERE) -> None:
    """Let a name in no more: running processes close its sessions within two seconds. Its files stay.

    Exit status: 0 if it is revoked, 2 if it was not enrolled or the file cannot be used.
    """
    from protocol import enrolment  # noqa: PLC0415

    with _complaints():
        gone = enrolment.revoke(folder, name)
    typer.echo(f"{name} is let in no more; its key was {gone.key}")


@keys.command("list", epilog="Example: nftestbed keys list --keys keys --json")
def list_all(
    folder: Folder = HERE,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """List who is enrolled in DIR, with role and public key.

    Exit status: 0 if the list could be read, 2 if not.
    """
    from deploy.output import print_json  # noqa: PLC0415
    from protocol.keys import ENROLLED, read_enrolled  # noqa: PLC0415

    with _complaints():
        enrolled = read_enrolled(folder / ENROLLED)
    if json:
        print_json({"enrolled": enrolled})
        return
    for one in enrolled:
        typer.echo(f"{one.name:32} {one.role:5} {one.key}")


@contextmanager
def _complaints() -> Iterator[None]:
    """Tell what is wrong with a file of keys in one line, and end with status 2."""
    from protocol.keys import KeyFileError  # noqa: PLC0415

    try:
        yield
    except KeyFileError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
