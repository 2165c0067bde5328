"""The command ``nftestbed conform``: does an implementation of one role speak the protocol? Nothing is tested here.

It imports what it needs when it is called, as those of `deploy.cli` do.
"""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from protocol.conformance.case import Case
    from protocol.conformance.reports import Report
    from protocol.conformance.rig import Target


#: what is tested without ``--command``: the processes of this installation
OWN = {
    "ue": ("-m", "ue_agent", "{testbed}", "--name", "{name}", "--quiet"),
    "radio": ("-m", "emulator", "{testbed}", "--quiet"),
    "controller": ("-m", "bs_controller", "{testbed}", "--run-dir", "{folder}/run", "--quiet"),
}


def conform(
    role: Annotated[str, typer.Argument(metavar="ue|radio|controller", help="Role under test.", show_default=False)],
    *,
    command: Annotated[
        str | None,
        typer.Option(
            "--command",
            metavar="WORDS",
            help="What starts it; {testbed}, {control}, {keys} and others are filled in. The one installed here by default.",
            show_default=False,
        ),
    ] = None,
    attach: Annotated[
        bool, typer.Option("--attach", help="Wait for it at the endpoints of --testbed instead.")
    ] = False,
    testbed: Annotated[
        Path | None,
        typer.Option("--testbed", metavar="FILE", help="Testbed file; a small one by default.", show_default=False),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Name of the UE under test, or of one that the radio knows.")
    ] = "ue-1",
    no_air: Annotated[bool, typer.Option("--no-air", help="It has an antenna, no air link.")] = False,
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="ID", help="Case or pattern (ue/session/*); may be repeated.")
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the cases and end.")] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, help="Seed of what is drawn; drawn by default.")
    ] = None,
    known_failing: Annotated[
        Path | None, typer.Option("--known-failing", metavar="FILE", help="YAML: case ids that fail, and why.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.")] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write JSON.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with wire logs.")] = None,
) -> None:
    """Test whether an implementation of one role speaks the protocol, and name the clauses that it breaks.

    A list of known failures is exact: what is on it and passes counts as a failure.
    Exit status: 0 if all ends as expected, 1 if not, 2 if it cannot be run.
    """
    from protocol.conformance.case import CannotRunError, Role, selected  # noqa: PLC0415
    from protocol.conformance.rig import Target  # noqa: PLC0415
    from protocol.conformance.runner import chosen_seed  # noqa: PLC0415

    try:
        if role not in OWN:
            raise CannotRunError(f"expected ue, radio or controller, got {role!r}")
        cases = selected(Role(role), case or [])
        if not cases:
            raise CannotRunError(f"expected the id of a case or a pattern of ids (--list shows them), got {case}")
        if list_all:
            _print_list(cases)
            return
        target = Target(
            role=Role(role),
            command=_command(role, command, attach=attach, testbed=testbed),
            testbed=testbed,
            name=name,
            has_air=not no_air,
            seed=chosen_seed() if seed is None else seed,
        )
        report = _run(target, cases, known_failing, complete=not case)
        _write(report, junit, json, html)
    except (CannotRunError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(0 if report.conforming else 1)


def _command(role: str, command: str | None, *, attach: bool, testbed: Path | None) -> str | None:
    """Return the command line of the testee, or none if it is attached."""
    from protocol.conformance.case import CannotRunError  # noqa: PLC0415

    if not attach:
        return command or shlex.join([sys.executable, "-P", *OWN[role]])
    if command is not None or testbed is None:
        raise CannotRunError("expected --attach with --testbed and without --command")
    return None


def _print_list(cases: "list[Case]") -> None:
    from protocol.conformance.clauses import requirement  # noqa: PLC0415

    for case in cases:
        typer.echo(f"{case.id}  [{case.clause} {requirement(case.clause).level}] {case.description}")


def _run(target: "Target", cases: "list[Case]", known_failing: Path | None, *, complete: bool) -> "Report":
    """Run the cases and print how they ended."""
    from rich.console import Console  # noqa: PLC0415

    from deploy.output import output_console  # noqa: PLC0415
    from protocol.conformance.reports import Report  # noqa: PLC0415
    from protocol.conformance.reports.terminal import print_report  # noqa: PLC0415
    from protocol.conformance.runner import conforming, known_failures, run_cases  # noqa: PLC0415
    from protocol.versions import versions  # noqa: PLC0415

    known = known_failures(known_failing)
    relevant = {name: reason for name, reason in known.items() if complete or name in {case.id for case in cases}}
    with Console(stderr=True).status("") as status:
        results = list(run_cases(target, cases, known, lambda case: status.update(case.id)))
    report = Report(
        role=target.role,
        testee=target.command or f"attached by {target.testbed}",
        seed=target.seed,
        versions=versions(),
        results=results,
        known=relevant,
        conforming=conforming(results, relevant, complete=complete),
    )
    print_report(report, output_console())
    return report


def _write(report: "Report", junit: Path | None, json: Path | None, html: Path | None) -> None:
    from protocol.conformance.reports import html as as_html  # noqa: PLC0415
    from protocol.conformance.reports import json as as_json  # noqa: PLC0415
    from protocol.conformance.reports import junit as as_junit  # noqa: PLC0415

    for path, text in ((junit, as_junit.text), (json, as_json.text), (html, as_html.text)):
        if path is not None:
            path.write_text(text(report), encoding="utf-8")
            typer.echo(f"written to {path}", err=True)
