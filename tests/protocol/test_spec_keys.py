"""Section 10 of SPEC.md: its requirements are numbered and say one thing each, and its figures are those of the code."""

import re

import pytest
import zmq

from protocol import curve, transport, zap
from tests.protocol.test_spec import SPEC, clause_text
from ue_agent import receiver

SECTION = SPEC.split("## 10. Security", 1)[1].split("\n## ", 1)[0]
REQUIREMENTS = re.findall(r"^  - \*\*(10\.\d+\.\d+)\*\* (.*?)(?=^ *- \*\*|\Z)", SECTION, re.MULTILINE | re.DOTALL)


def test_requirements_are_numbered_without_a_gap() -> None:
    expected: list[str] = []
    for clause in re.findall(r"^- \*\*(10\.\d+)\*\* ", SECTION, re.MULTILINE):
        count = sum(number.startswith(f"{clause}.") for number, _ in REQUIREMENTS)
        assert count > 0, clause
        expected += [f"{clause}.{number + 1}" for number in range(count)]
    assert [number for number, _ in REQUIREMENTS] == expected


@pytest.mark.parametrize(("number", "text"), REQUIREMENTS)
def test_requirement_says_one_thing(number: str, text: str) -> None:
    assert len(re.findall(r"\b(?:MUST|SHOULD|MAY)\b", text)) == 1, number


def test_figures_are_those_of_the_code() -> None:
    patience = f"after {receiver.FIRST_PATIENCE_S:g} s without any answer"
    assert f"MUST add {curve.OVERHEAD_BYTES} bytes" in clause_text("10.2")
    assert "MUST be out within 2 s" in clause_text("10.4")
    assert curve.LOOK_AGAIN_S <= 1.0, "and a second for what a loaded machine takes"
    assert patience in clause_text("10.5")
    assert f"{receiver.LONGEST_PATIENCE_S:g} s at most" in clause_text("10.5")
    handshake_ms = dict(transport._common_options(0))[zmq.HANDSHAKE_IVL]
    assert f"at most {handshake_ms / 1000:g} s" in clause_text("10.6")
    assert zap.DOMAIN
