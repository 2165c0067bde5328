"""The radio process under the conformance kit, beside an uplink array that hears the kit's UEs."""

import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from protocol.conformance import rig

ROOT = Path(__file__).parents[2]
COARSE = "{groups: 4, phase_bits: 4, delay_step_s: 10e-12, delay_span_s: 20e-9, settle_s: 0.02}"
# The kit starts a second radio beside the first one; relative to the folder of its own, each has its endpoint.
SECTION = f"""
sdr_backend:
  radio: {{driver: zmq-iq, options: {{transmit: "ipc://iq"}}}}
  front_end: {{driver: simulated, options: {COARSE}}}
  uplink:
    radio: {{driver: zmq-iq, options: {{receive: "ipc://array", counted: 640, width: 64}}}}
    delay_samples: 16
sounding: {{slots: [ue-1, ue-2]}}
"""


def conform(folder: Path, *words: str) -> tuple[int, str]:
    text = rig.TEMPLATE.read_text(encoding="utf-8").replace("{control}", f"ipc://{folder}/c")
    testbed = folder / "testbed.yaml"
    testbed.write_text(text.replace("{air}", f"ipc://{folder}/a") + SECTION, encoding="utf-8")
    python = f"env -C {{folder}} PYTHONPATH={ROOT} {shlex.quote(sys.executable)}"
    command = f"{python} -m tests.sdr_backend.sounded_radio {{testbed}}"
    options = (
        "--no-air",
        "--testbed",
        str(testbed),
        "--command",
        command,
        "--seed",
        "3",
    )
    result = CliRunner().invoke(app, ["conform", "radio", *options, *words])
    return result.exit_code, result.output


def test_radio_process_passes_cases_of_settings_deviations_and_captures(tmp_path: Path) -> None:
    cases = (
        "radio/numerics/deviation*",
        "radio/session/*-settling",
        "radio/timing/settles-first",
        "radio/session/*-ago",
        "radio/session/capture*",
        "radio/session/unknown-ue",
        "radio/schema/snapshot-shape",
    )
    status, output = conform(tmp_path, *(word for case in cases for word in ("--case", case)))
    assert status == 0, output


@pytest.mark.long
@pytest.mark.timeout(900)
def test_radio_process_passes_every_case(tmp_path: Path) -> None:
    status, output = conform(tmp_path)
    assert status == 0, output
