from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from protocol.conformance import rig

COARSE = "{groups: 1, phase_bits: 3, delay_step_s: 5e-12, delay_span_s: 5.003e-9, settle_s: 0.4}"
IDEAL = "{groups: 4096, settle_s: 0.0}"  # continuous phases and delays, at once


def conform(folder: Path, front_end: str, *cases: str) -> tuple[int, str]:
    """Run cases of radios on the emulator with another front end than the kit's own testbed has."""
    lines = rig.TEMPLATE.read_text(encoding="utf-8").splitlines()
    lines = [f"  front_end: {front_end}" if line.startswith("  front_end: ") else line for line in lines]
    text = "\n".join(lines).replace("{control}", f"ipc://{folder}/c").replace("{air}", f"ipc://{folder}/a")
    testbed = folder / "testbed.yaml"
    testbed.write_text(text, encoding="utf-8")
    words = [word for case in cases for word in ("--case", case)]
    result = CliRunner().invoke(app, ["conform", "radio", "--testbed", str(testbed), "--seed", "3", *words])
    return result.exit_code, result.output


def test_radio_that_settles_for_long_says_nothing_of_an_ended_session_in_the_next_one(tmp_path: Path) -> None:
    # 0.4 s: a new session is open 0.1 to 0.3 s after the last one
    status, output = conform(tmp_path, COARSE, "radio/session/no-late-answer")
    assert status == 0, output


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("front_end", [COARSE, IDEAL], ids=["coarse", "ideal"])
def test_own_radio_passes_the_cases_of_settings_with_other_front_ends(tmp_path: Path, front_end: str) -> None:
    status, output = conform(tmp_path, front_end, "radio/numerics/*", "radio/session/*", "radio/timing/settles-first")
    assert status == 0, output
