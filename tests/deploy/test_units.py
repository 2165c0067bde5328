"""systemd's units: it understands them, they are shut in, and what each says agrees with how the processes end."""

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from deploy.cli import app

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
PROGRAM = "/opt/nftestbed/bin/nftestbed"


def service(unit: Path) -> dict[str, str]:
    """Return the settings of a unit's service; of one that is given twice, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    parser.read_string(unit.read_text(encoding="utf-8"))
    return dict(parser["Service"])


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: systemd)"
)
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_no_fault_in_a_unit_and_little_exposure(tmp_path: Path, unit: Path) -> None:
    copy = tmp_path / unit.name
    text = unit.read_text(encoding="utf-8")
    assert PROGRAM in text
    copy.write_text(text.replace(PROGRAM, "/bin/true"), encoding="utf-8")  # it looks whether the program is there
    checked = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    about_it = [line for line in checked.stderr.splitlines() if "nftestbed" in line]
    assert (checked.returncode, about_it) == (0, [])
    words = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(copy)]
    judged = subprocess.run(words, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout  # 2.0 of 10; what keeps it from less is that it speaks on the network


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit_starts_what_the_command_line_takes(unit: Path) -> None:
    program, command, *arguments = shlex.split(service(unit)["ExecStart"])
    assert program == PROGRAM
    parsed = get_command(app).commands[command].make_context(command, arguments)  # type: ignore[attr-defined]
    assert str(parsed.params["file"]) == "/etc/nftestbed/testbed.yaml"


def test_units_end_and_begin_again_as_exit_statuses_ask() -> None:
    controller, radio, ue = map(service, UNITS)
    assert (controller["Restart"], controller["SuccessExitStatus"]) == ("on-abnormal", "130"), (
        "a run that ended is over"
    )
    for peer in (radio, ue):
        assert (peer["Restart"], peer["RestartPreventExitStatus"]) == ("on-failure", "2")
    for unit in (controller, radio, ue):
        assert unit["User"] == "nftestbed"
        limit_mib = int(unit["Environment"].removeprefix("NFTESTBED_MEMORY_LIMIT_MIB="))
        assert limit_mib < int(unit["MemoryMax"].removesuffix("M")), "it ends itself before the kernel ends it"
