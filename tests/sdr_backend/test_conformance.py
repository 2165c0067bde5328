"""The radio process under the conformance kit; what asks for an uplink receiver is listed as failing, and nothing else."""

import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from protocol.conformance import rig

KNOWN = Path(__file__).with_name("known_failing.yaml")
COARSE = "{groups: 4, phase_bits: 4, delay_step_s: 10e-12, delay_span_s: 20e-9, settle_s: 0.02}"
# The kit starts a second radio beside the first one; relative to the folder of its own, each has its endpoint.
SECTION = f"""
sdr_backend:
  radio: {{driver: zmq-iq, options: {{transmit: "ipc://iq"}}}}
  front_end: {{driver: simulated, options: {COARSE}}}
"""


def conform(folder: Path, *words: str) -> tuple[int, str]:
    text = rig.TEMPLATE.read_text(encoding="utf-8").replace("{control}", f"ipc://{folder}/c")
    testbed = folder / "testbed.yaml"
    testbed.write_text(text.replace("{air}", f"ipc://{folder}/a") + SECTION, encoding="utf-8")
    command = f"env -C {{folder}} {shlex.quote(sys.executable)} -m sdr_backend {{testbed}} --quiet"
    options = (
        "--no-air",
        "--testbed",
        str(testbed),
        "--command",
        command,
        "--known-failing",
        str(KNOWN),
        "--seed",
        "3",
    )
    result = CliRunner().invoke(app, ["conform", "radio", *options, *words])
    return result.exit_code, result.output


def test_radio_process_passes_cases_of_settings_and_deviations(tmp_path: Path) -> None:
    cases = (
        "radio/numerics/deviation*",
        "radio/session/*-settling",
        "radio/timing/settles-first",
        "radio/session/*-ago",
    )
    status, output = conform(tmp_path, *(word for case in cases for word in ("--case", case)))
    assert status == 0, output


@pytest.mark.long
@pytest.mark.timeout(900)
def test_radio_process_passes_every_case_but_those_of_the_uplink(tmp_path: Path) -> None:
    status, output = conform(tmp_path)
    assert status == 0, output
