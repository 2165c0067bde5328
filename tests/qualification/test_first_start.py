"""The first start after installation, which compiles loops for seconds while peers join."""

from pathlib import Path

import pytest

from protocol.journal import intact_records
from tests.qualification.conftest import LabFactory
from tests.qualification.processes import fixes, of_kind

COMPILED_WITHIN_S = 100.0
# Compiling takes 5 s on a fast machine and 50 s on a busy slow one; a fix takes tens of milliseconds.
LONGEST_FIX_MS = 3000.0


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.requirement("nobody is measured while schemes are being prepared")
def test_users_are_not_swept_and_do_not_walk_while_loops_are_compiled(
    lab_of: LabFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "empty"))
    lab = lab_of(
        downlink={"subcarriers": 512},
        controller={"schemes": [{"scheme": "likelihood", "plan": "pair"}], "liveness_s": 5.0},
        emulator={"users": {"ue-1": {"velocity_m_s": [1.0, 0.0]}}},
    )
    lab.emulator()
    for name in lab.ues:
        lab.ue(name)
    controller = lab.controller()
    assert controller.ended(COMPILED_WITHIN_S) == 0, controller.errors
    assert "schemes were prepared in" in controller.errors, "compiling took no time, so nothing was tested"
    assert of_kind(controller.records, "failure") == []
    located = fixes(controller.records)
    assert len(located) == 2
    assert all(float(str(fix["latency_ms"])) < LONGEST_FIX_MS for fix in located)
    truth, _ = intact_records((lab.run_directory / "truth.jsonl").read_bytes())
    ranges_m = [float(str(record["range_m"])) for record in truth if record["ue"] == "ue-1"]
    # from 3 m at 1 m/s, to rounding: whoever walks for the five seconds or more of compiling is beyond 7 m
    assert 3.0 - 1e-12 <= min(ranges_m) <= max(ranges_m) < 3.0 + 1e-3 * LONGEST_FIX_MS
