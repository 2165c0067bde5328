"""SPEC.md and the code say the same: clauses, limits, messages, facts, session tables, examples."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgpack
import msgspec
import numpy as np
import pytest

import protocol
from protocol import codec, delivery, hub, links, session
from protocol import messages as msg
from protocol.messages import MESSAGE_TYPES, Message, Role
from protocol.session import CONTROLLER_HEARS, PEER_HEARS, Table
from protocol.testbed import FrontEndLimits, TestbedFacts, default_facts
from ue_agent import receiver

ROOT = Path(protocol.__file__).parent.parent
SPEC = (ROOT / "protocol" / "SPEC.md").read_text(encoding="utf-8")
CODE = ("protocol", "bs_controller", "ue_agent", "emulator", "sdr_backend", "deploy")
CLAUSES = re.findall(r"^- \*\*(\d+\.\d+)\*\* ", SPEC, re.MULTILINE)
# A requirement names who is bound, and then what to do, by one keyword.
REQUIREMENTS = re.findall(r"^  - \*\*(\d+\.\d+)\.(\d+)\*\* (.*(?:\n    .*)*)", SPEC, re.MULTILINE)
KEYWORD = re.compile(r"\b(?:MUST|SHOULD)(?: NOT)?\b|\bMAY\b")
SECTIONS = re.findall(r"^## (\d+)\. ", SPEC, re.MULTILINE)
# A quoted number of a refusal, or a clause, list or range of clauses in prose; no clause ends in 0, version numbers do.
IN_CODE = re.compile(r"\"([1-9]\d?\.[1-9]\d?)\"|SPEC (\d+(?:\.\d+)?(?:(?:, | and |-)\d+\.\d+)*)")
IN_TESTS = re.compile(r"mark\.clause\(\"([^\"]*)(\")")


def citations() -> Iterator[tuple[str, str]]:
    """Yield where a clause or section is cited, and its number."""
    for room, pattern in (*((room, IN_CODE) for room in CODE), ("tests", IN_TESTS)):
        for path in sorted((ROOT / room).rglob("*.py")):
            for quoted, spelt in pattern.findall(path.read_text(encoding="utf-8")):
                numbers = re.split(r", | and |-", quoted or spelt)
                yield from ((str(path.relative_to(ROOT)), number) for number in numbers)


def table_rows(header: str, text: str = SPEC) -> list[list[str]]:
    """Return the cells of all tables with this header, without the marks of code."""
    rows: list[list[str]] = []
    for block in re.findall(rf"^ *\| {re.escape(header)} \|\n *\|[-|]+\|\n((?: *\|.*\|\n)+)", text, re.MULTILINE):
        rows += [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
    return rows


def bare(cell: str) -> str:
    return cell.replace("`", "")


def described_messages() -> dict[str, tuple[bool, dict[str, str]]]:
    """Return of each described message whether it is sequenced, and the types of its fields."""
    described: dict[str, tuple[bool, dict[str, str]]] = {}
    name = ""
    for message, sequenced, field, kind, _ in table_rows("message | seq | field | type | meaning"):
        if message:
            name = bare(message)
            described[name] = (sequenced == "yes", {})
        if field:
            described[name][1][bare(field)] = bare(kind)
    return described


DESCRIBED = described_messages()


# --- clauses ---------------------------------------------------------------------------------------------------------


def test_clauses_are_numbered_without_a_gap() -> None:
    expected = [f"{section}.{number + 1}" for section in SECTIONS for number in range(count_of(section))]
    assert expected == CLAUSES


def count_of(section: str) -> int:
    return sum(clause.split(".")[0] == section for clause in CLAUSES)


def test_sections_are_numbered_without_a_gap() -> None:
    assert [str(number + 1) for number in range(len(SECTIONS))] == SECTIONS


def test_requirements_of_each_clause_are_numbered_without_a_gap() -> None:
    clauses = [clause for clause, _, _ in REQUIREMENTS]
    expected = [(clause, str(number + 1)) for clause in CLAUSES for number in range(clauses.count(clause))]
    assert [(clause, number) for clause, number, _ in REQUIREMENTS] == expected


@pytest.mark.parametrize(("clause", "number", "text"), REQUIREMENTS)
def test_requirement_has_one_keyword(clause: str, number: str, text: str) -> None:
    assert len(KEYWORD.findall(text)) == 1, f"{clause}.{number}"


def test_keyword_stands_in_requirements_alone() -> None:
    in_requirements = sum(len(KEYWORD.findall(text)) for _, _, text in REQUIREMENTS)
    explained = len(KEYWORD.findall(SPEC.split("## 1. ", 1)[0]))
    assert len(KEYWORD.findall(SPEC)) == in_requirements + explained


@pytest.mark.parametrize(("place", "number"), sorted(set(citations())))
def test_cited_clause_exists(place: str, number: str) -> None:
    assert number in {*CLAUSES, *SECTIONS, *(f"{clause}.{of_clause}" for clause, of_clause, _ in REQUIREMENTS)}, place


def test_clauses_are_cited_at_all() -> None:
    assert len(set(citations())) > 50


# --- messages --------------------------------------------------------------------------------------------------------


def test_every_message_is_described_and_no_other() -> None:
    assert sorted(DESCRIBED) == sorted(MESSAGE_TYPES)


@pytest.mark.parametrize("name", MESSAGE_TYPES)
def test_described_fields_are_those_of_the_message_in_order(name: str) -> None:
    assert list(DESCRIBED[name][1]) == list(MESSAGE_TYPES[name].__struct_fields__)


@pytest.mark.clause("4.6")
@pytest.mark.parametrize("name", MESSAGE_TYPES)
def test_described_message_is_sequenced_if_the_message_is(name: str) -> None:
    assert DESCRIBED[name][0] is MESSAGE_TYPES[name].SEQUENCED


@pytest.mark.clause("3.8")
@pytest.mark.parametrize("name", MESSAGE_TYPES)
def test_described_arrays_have_dtype_and_axes_of_the_message(name: str) -> None:
    arrays = {field: kind for field, kind in DESCRIBED[name][1].items() if kind.startswith("array")}
    assert arrays == {
        field: f"array [{spec.dtype} ({', '.join(spec.axes)})]" for field, spec in MESSAGE_TYPES[name].FRAMES.items()
    }


@pytest.mark.clause("3.4")
def test_optional_fields_are_described_as_such() -> None:
    optional = {
        (name, info.name)
        for name, kind in MESSAGE_TYPES.items()
        for info in msgspec.structs.fields(kind)
        if not info.required
    }
    described = {
        (name, field) for name, (_, kinds) in DESCRIBED.items() for field in kinds if "optional" in kinds[field]
    }
    assert described == optional


@pytest.mark.clause("7.1")
def test_every_feedback_kind_is_described() -> None:
    assert all(f"- **7.{number + 2}** `{kind}`:" in SPEC for number, kind in enumerate(msg.FeedbackKind))


# --- facts and capabilities ------------------------------------------------------------------------------------------


def leaves(kind: type, prefix: str = "") -> list[str]:
    found: list[str] = []
    for info in msgspec.structs.fields(kind):
        nested = isinstance(info.type, type) and issubclass(info.type, msgspec.Struct)
        found += leaves(info.type, f"{prefix}{info.name}.") if nested else [f"{prefix}{info.name}"]
    return found


@pytest.mark.clause("4.4")
def test_described_facts_are_those_that_are_compared() -> None:
    assert [bare(row[0]) for row in table_rows("fact | type | meaning")] == leaves(TestbedFacts)


@pytest.mark.clause("6.1")
def test_described_capabilities_are_those_of_a_front_end() -> None:
    assert [bare(row[0]) for row in table_rows("capability | type | meaning")] == leaves(FrontEndLimits)


@pytest.mark.clause("3.4")
def test_described_header_keys_are_those_of_an_encoded_header() -> None:
    header = msgpack.unpackb(codec.encode(codec.Envelope(session=1, message=msg.Acknowledge()))[0])
    assert [bare(row[0]) for row in table_rows("key | type | meaning")] == list(header)


# --- session tables --------------------------------------------------------------------------------------------------


def described_table(heading: str) -> dict[tuple[str, str], str]:
    text = SPEC.split(f"#### {heading}\n", 1)[1].split("####", 1)[0]
    return {
        (state, heard): then
        for state, hears, then in table_rows("state | hears | then", text)
        for heard in hears.split(", ")
    }


def named(table: Table) -> dict[tuple[str, str], str]:
    return {(state.value, str(kind.__struct_config__.tag)): then.value for (state, kind), then in table.items()}


@pytest.mark.clause("4.14")
@pytest.mark.parametrize("role", Role)
def test_described_table_is_what_the_controller_hears(role: Role) -> None:
    assert described_table(f"What the controller hears from a {role}") == named(CONTROLLER_HEARS[role])


@pytest.mark.clause("4.14")
@pytest.mark.parametrize("role", Role)
def test_described_table_is_what_a_peer_hears(role: Role) -> None:
    assert described_table(f"What a {role} hears") == named(PEER_HEARS[role])


# --- limits ----------------------------------------------------------------------------------------------------------


def clause_text(number: str) -> str:
    """Return the text of one clause on one line."""
    text = SPEC.split(f"- **{number}** ", 1)[1]
    return " ".join(re.split(r"\n- \*\*|\n## |\n#### ", text)[0].split())


@pytest.mark.parametrize(
    ("number", "phrase"),
    [
        ("2.4", f"`max({codec.MAX_HEADER_BYTES}, "),
        ("2.5", f"at most {hub.MAX_SESSIONS} sessions"),
        ("2.6", f"more than {hub.MAX_RATE_HZ:.0f} messages in a second"),
        ("3.1", f"1 to {codec.MAX_FRAMES} frames"),
        ("3.1", f"at most {codec.MAX_HEADER_BYTES} bytes"),
        ("3.1", f"at most {codec.MAX_DEPTH} levels"),
        ("3.2", f"version, {msg.PROTOCOL_VERSION}."),
        ("4.1", f"every {session.HELLO_AGAIN_S:g} s"),
        ("4.7", f"acknowledge within {delivery.ACKNOWLEDGE_WITHIN_S:g} s"),
        ("4.7", f"after {delivery.FIRST_RESEND_S:g} s"),
        ("4.7", f"every {delivery.LONGEST_RESEND_S:g} s"),
        ("4.8", f"At most {delivery.WINDOW} sequenced messages"),
        ("4.11", f"did not listen for {hub.STALL_S:g} s"),
        # what is due is seen at the next tick; the rest of what the text allows is for machines that are late
        *((number, f"(plus {2 * links.TICK_S:g} s for timers)") for number in ("4.1", "4.7", "4.10")),
        ("8.1", f"after {receiver.FIRST_PATIENCE_S:g} s, then"),
        ("8.1", f"{receiver.LONGEST_PATIENCE_S:g} s at most"),
        ("9.3", f"more than {hub.MAX_FAULTS} refusals within {hub.FAULT_WINDOW_S:g} s"),
    ],
)
def test_limit_is_that_of_the_code(number: str, phrase: str) -> None:
    assert phrase in clause_text(number)


# --- examples --------------------------------------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", SPEC, re.MULTILINE | re.DOTALL)


def example() -> codec.Envelope:
    message: Message = msg.PowerReport(epoch=42, power_w=np.array([1e-12, 2e-12]))
    return codec.Envelope(session=7, sequence=3, acknowledged=5, message=message)


@pytest.mark.clause("3.1")
def test_example_in_hex_is_what_is_sent() -> None:
    assert [bytes.fromhex(block) for block in blocks("hex")] == [bytes(frame) for frame in codec.encode(example())]


@pytest.mark.clause("3.1")
def test_example_in_json_is_the_header_in_hex() -> None:
    assert json.loads(blocks("json")[0]) == msgpack.unpackb(bytes.fromhex(blocks("hex")[0]))


@pytest.mark.clause("4.4")
def test_facts_of_the_example_are_the_default_ones() -> None:
    assert msgspec.json.decode(blocks("json")[1], type=TestbedFacts) == default_facts()


@pytest.mark.clause("4.4")
def test_digest_of_the_example_is_the_sha256_of_its_text() -> None:
    assert hashlib.sha256(blocks("json")[1].strip().encode()).hexdigest() in SPEC


@pytest.mark.clause("4.4")
def test_digest_of_the_example_is_that_of_the_default_facts() -> None:
    assert default_facts().digest() in SPEC


@pytest.mark.clause("4.4")
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (28e9, "28000000000.0"),
        (1e-5, "0.00001"),
        (9.999e-6, "9.999e-6"),
        (1e-6, "1e-6"),
        (9.999e15, "9999000000000000.0"),
        (1.5e16, "1.5e16"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_floats_are_written_as_the_digest_demands(value: float, text: str) -> None:
    assert msgspec.json.encode(value).decode() == text
