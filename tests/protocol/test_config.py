"""The testbed file: what is accepted, and that every refusal names file, line, column, key and value."""

import contextlib
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from protocol.config import ConfigError, Section, facts, host_and_port, read_testbed, resolved
from protocol.strict_yaml import document_from_text, text_from_values
from protocol.testbed import default_facts

GOOD = """\
name: lab
downlink:
  carrier_hz: 100e9
  bandwidth_hz: 6e9
  subcarriers: 2048
  elements: 512
uplink:
  carrier_hz: 28e9
  spacing_hz: 480e3
  subcarriers: 100
  elements: 392
  radius_m: 1
  half_sector_deg: 60
region:
  range_m: [5, 50]
  angle_deg: [-60, 60]
links:
  control: tcp://127.0.0.1:5555
  air: ipc:///run/lab/air
controller:
  scheme: cbs
emulator:
  seed: 7
"""


class Walk(Section, frozen=True, tag="walk", tag_field="kind"):
    speed_m_s: Annotated[float, Meta(gt=0)]


class Stand(Section, frozen=True, tag="stand", tag_field="kind"):
    angle_deg: Annotated[float, Meta(gt=-90, lt=90)] = 0.0

    def __post_init__(self) -> None:
        if self.angle_deg == 13:
            raise ValueError("angle_deg: expected any angle but the unlucky one, got 13")


class EmulatorSection(Section, frozen=True):
    seed: int
    users: dict[str, Walk | Stand] = msgspec.field(default_factory=dict)
    paths: tuple[Walk | Stand, ...] = ()
    gains_db: dict[Annotated[str, Meta(pattern="^[a-z]+$")], Annotated[float, Meta(le=0)]] = msgspec.field(
        default_factory=dict
    )


def write(folder: Path, text: str) -> Path:
    path = folder / "bed.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(folder: Path, text: str) -> str:
    """Return the error that a file draws, without its folder."""
    with pytest.raises(ConfigError) as caught:
        read_testbed(write(folder, text))
    return str(caught.value).removeprefix(f"{folder}/")


def emulator_complaint(folder: Path, section: str) -> str:
    loaded = read_testbed(write(folder, GOOD.replace("emulator:\n  seed: 7\n", section)))
    with pytest.raises(ConfigError) as caught:
        loaded.section("emulator", EmulatorSection)
    return str(caught.value).removeprefix(f"{folder}/")


def test_file_of_the_full_size_testbed_yields_its_facts(tmp_path: Path) -> None:
    assert facts(read_testbed(write(tmp_path, GOOD)).file).digest() == default_facts().digest()


@pytest.mark.parametrize("grid", ["edge", "centred", "authors"])
def test_grid_of_that_name_is_built(tmp_path: Path, grid: str) -> None:
    text = GOOD.replace("  subcarriers: 2048\n", f"  subcarriers: 2048\n  grid: {grid}\n")
    first_hz = facts(read_testbed(write(tmp_path, text)).file).downlink.grid.first_hz
    # exact: the same formula with the same rounding
    assert first_hz == {"edge": 97e9, "centred": 100e9 - 2047 / 2 * 6e9 / 2048, "authors": 97e9 + 6e9 / 2047}[grid]


def test_angles_are_degrees_in_the_file_and_radians_in_the_facts(tmp_path: Path) -> None:
    found = facts(read_testbed(write(tmp_path, GOOD.replace("[-60, 60]", "[-30, 45]"))).file)
    assert (found.region.angle_min_rad, found.region.angle_max_rad) == (np.deg2rad(-30), np.deg2rad(45))
    assert found.uplink.array.half_sector_rad == np.deg2rad(60)


def test_section_is_converted_to_the_type_of_its_process(tmp_path: Path) -> None:
    loaded = read_testbed(write(tmp_path, GOOD))
    assert loaded.section("emulator", EmulatorSection) == EmulatorSection(seed=7)


def test_section_left_out_is_empty(tmp_path: Path) -> None:
    class Agent(Section, frozen=True):
        retries: int = 3

    assert read_testbed(write(tmp_path, GOOD)).section("ue_agent", Agent) == Agent()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("100e9", '"100e9"', 'bed.yaml:3:15: downlink.carrier_hz: expected a number, got "100e9"'),
        ("100e9", "-1", "bed.yaml:3:15: downlink.carrier_hz: expected a number > 0.0, got -1"),
        ("100e9", "yes", 'bed.yaml:3:15: downlink.carrier_hz: expected a number, got "yes"'),
        ("100e9", ".inf", "bed.yaml:3:15: downlink.carrier_hz: expected a finite number, got .inf"),
        ("100e9", "1e999", "bed.yaml:3:15: downlink.carrier_hz: expected a finite number, got 1e999"),
        (
            "carrier_hz: 100e9",
            "carier_hz: 100e9",
            "bed.yaml:3:3: downlink.carier_hz: expected one of bandwidth_hz, carrier_hz, elements, grid, subarrays, "
            "subcarriers, got the unknown key carier_hz (did you mean carrier_hz?)",
        ),
        ("  carrier_hz: 100e9\n", "", "bed.yaml:2:1: downlink.carrier_hz: expected a value, got nothing"),
        (
            "  subcarriers: 2048\n",
            "  subcarriers: 2048\n  subcarriers: 4\n",
            'bed.yaml:6:3: downlink.subcarriers: expected each key once, got a second "subcarriers" '
            "(the first is in line 5)",
        ),
        (
            "bandwidth_hz: 6e9",
            "bandwidth_hz: 300e9",
            "bed.yaml:4:17: downlink.bandwidth_hz: expected less than 2e+11 Hz, twice the carrier, got 3e+11",
        ),
        (
            "elements: 512",
            "elements: 510",
            "bed.yaml:2:1: downlink.subarrays: expected a divisor of 510 elements, got 4",
        ),
        (
            "subcarriers: 2048",
            "grid: middle\n  subcarriers: 2048",
            'bed.yaml:5:9: downlink.grid: expected one of "authors", "centred", "edge", got "middle"',
        ),
        ("[5, 50]", "[50, 5]", "bed.yaml:15:12: region.range_m: expected two growing values, got [50, 5]"),
        ("[5, 50]", "[5]", "bed.yaml:15:12: region.range_m: expected a list of length 2, got [5]"),
        ("[-60, 60]", "[-60, north]", 'bed.yaml:16:20: region.angle_deg[1]: expected a number, got "north"'),
        ("name: lab", "name: lab\nspare: 1", "bed.yaml:2:1: spare: expected one of "),
        ("name: lab\n", "", "bed.yaml:1:1: name: expected a value, got nothing"),
        ("emulator:\n  seed: 7\n", "emulator: 7\n", "bed.yaml:22:11: emulator: expected a mapping, got 7"),
        ("emulator:\n  seed: 7\n", "emulator:\n", "bed.yaml:22:10: emulator: expected a mapping, got null"),
        ("name: lab", "name: [lab", "bed.yaml:2:9: expected YAML, got "),
        ("name: lab", "name: &a lab", "bed.yaml:1:7: expected the value itself, got the anchor or alias a"),
        ("name: lab", "name: *a", "bed.yaml:1:7: expected the value itself, got the anchor or alias a"),
        (
            "name: lab",
            "name: !!python/name:os.system lab",
            "bed.yaml:1:7: expected a value without a tag, got the tag ",
        ),
        ("  seed: 7", "  <<: {seed: 7}", "bed.yaml:23:3: emulator: expected the keys themselves, got the merge key <<"),
        ("  seed: 7", "  1: 7", 'bed.yaml:23:3: emulator: expected a key that is text, got "1"'),
        ("  seed: 7\n", "  seed: 7\n---\nname: b\n", "bed.yaml:24:1: expected YAML, got "),
        ("seed: 7", f"seed: {'9' * 5000}", "bed.yaml:23:9: emulator.seed: expected at most 40 digits, got 5000"),
        ("seed: 7", f"seed: {'[' * 5000}", "bed.yaml:23:"),
    ],
)
def test_refusal_says_where_what_was_expected_and_what_came(
    tmp_path: Path, before: str, after: str, expected: str
) -> None:
    assert before in GOOD
    assert complaint(tmp_path, GOOD.replace(before, after, 1)).startswith(expected)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("emulator: {sed: 7}", "bed.yaml:22:12: emulator.sed: expected one of gains_db, paths, seed, users, got the"),
        ("emulator: {}", "bed.yaml:22:11: emulator.seed: expected a value, got nothing"),
        (
            "emulator:\n  seed: 1\n  users:\n    anna: {kind: stand}\n    ben: {kind: run}\n",
            'bed.yaml:26:17: emulator.users.ben.kind: expected one of "stand", "walk", got "run"',
        ),
        (
            "emulator:\n  seed: 1\n  users:\n    anna: {kind: stand}\n    ben: {}\n",
            "bed.yaml:26:10: emulator.users.ben.kind: expected a value, got nothing",
        ),
        (
            "emulator:\n  seed: 1\n  users:\n    a: {kind: walk, speed_m_s: 1}\n    b: {kind: walk, speed_m_s: 0}\n",
            "bed.yaml:26:32: emulator.users.b.speed_m_s: expected a number > 0.0, got 0",
        ),
        (
            "emulator:\n  seed: 1\n  users:\n    a: {kind: walk, speed_m_s: 1}\n    b: {kind: walk, sped: 1}\n",
            "bed.yaml:26:21: emulator.users.b.sped: expected one of kind, speed_m_s, got the unknown key sped "
            "(did you mean speed_m_s?)",
        ),
        (
            "emulator:\n  seed: 1\n  paths:\n    - {kind: stand}\n    - {kind: stand, angle_deg: 13}\n",
            "bed.yaml:26:32: emulator.paths[1].angle_deg: expected any angle but the unlucky one, got 13",
        ),
        (
            "emulator:\n  seed: 1\n  gains_db: {a: 0, B: -1}\n",
            "bed.yaml:24:20: emulator.gains_db.B: expected text matching regex '^[a-z]+$', got \"B\"",
        ),
        (
            "emulator:\n  seed: 1\n  gains_db: {a: 0, b: 1}\n",
            "bed.yaml:24:23: emulator.gains_db.b: expected a number <= 0.0, got 1",
        ),
    ],
)
def test_section_of_a_process_is_refused_as_clearly(tmp_path: Path, section: str, expected: str) -> None:
    assert emulator_complaint(tmp_path, section).startswith(expected)


def test_file_that_is_missing_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: expected a readable file, got: No such file or directory"):
        read_testbed(tmp_path / "none.yaml")


def test_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bed.yaml").write_bytes(b"name: \xff")
    with pytest.raises(ConfigError, match=r"expected UTF-8 text, got byte 0xff at 6"):
        read_testbed(tmp_path / "bed.yaml")


@pytest.mark.parametrize("text", ["", "- a\n", "lab\n", "# nothing\n"])
def test_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert ": expected a mapping, got " in complaint(tmp_path, text)


@pytest.mark.parametrize(
    "endpoint", ["tcp://127.0.0.1:5555", "tcp://localhost:1", "tcp://[::1]:65535", "ipc:///run/x", "ipc://relative/x"]
)
def test_private_endpoint_is_accepted(tmp_path: Path, endpoint: str) -> None:
    text = GOOD.replace("tcp://127.0.0.1:5555", f'"{endpoint}"')
    assert read_testbed(write(tmp_path, text)).file.links.control == endpoint


@pytest.mark.parametrize("host", ["0.0.0.0", "*", "192.168.1.4", "[::]", "eth0", "lab.example"])
def test_public_endpoint_needs_insecure_in_so_many_words(tmp_path: Path, host: str) -> None:
    text = GOOD.replace("tcp://127.0.0.1:5555", f'"tcp://{host}:5555"')
    said = complaint(tmp_path, text)
    assert said.startswith("bed.yaml:18:12: links.control: expected a loopback address or ipc://")
    assert "insecure: true" in said
    allowed = text.replace("links:\n", "links:\n  insecure: true\n")
    assert read_testbed(write(tmp_path, allowed)).file.links.insecure


@pytest.mark.clause("2.3")
def test_public_endpoint_with_keys_needs_nothing_else(tmp_path: Path) -> None:
    text = GOOD.replace("control: tcp://127.0.0.1:5555", 'keys: keys\n  control: "tcp://192.168.1.4:5555"')
    links = read_testbed(write(tmp_path, text)).file.links
    assert (links.keys, links.exposed) == ("keys", ())


def test_only_endpoints_without_keys_beyond_loopback_are_exposed(tmp_path: Path) -> None:
    text = GOOD.replace("control: tcp://127.0.0.1:5555", 'insecure: true\n  control: "tcp://192.168.1.4:5555"')
    assert read_testbed(write(tmp_path, text)).file.links.exposed == ("tcp://192.168.1.4:5555",)
    assert read_testbed(write(tmp_path, GOOD)).file.links.exposed == ()


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        (
            "  keys: keys\n  insecure: true\n",
            "bed.yaml:19:13: links.insecure: expected false beside keys, which make it",
        ),
        ('  keys: ""\n', "bed.yaml:18:9: links.keys: expected text of length >= 1"),
        ("  keys: 7\n", "bed.yaml:18:9: links.keys: expected text or nothing, got 7"),
    ],
)
def test_keys_that_cannot_be_meant_are_refused(tmp_path: Path, links: str, expected: str) -> None:
    assert complaint(tmp_path, GOOD.replace("links:\n", f"links:\n{links}")).startswith(expected)


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:0",
        "tcp://:5",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:x",
        "udp://127.0.0.1:5",
        "inproc://x",
        "ipc://",
        "ipc://@abstract",
        "ipc:///" + "x" * 107,
        "127.0.0.1:5",
        "",
    ],
)
def test_what_is_no_endpoint_is_refused_even_if_insecure(tmp_path: Path, endpoint: str) -> None:
    text = GOOD.replace("control: tcp://127.0.0.1:5555", f'insecure: true\n  control: "{endpoint}"')
    assert "links.control: expected " in complaint(tmp_path, text)


def test_both_links_at_one_endpoint_are_refused(tmp_path: Path) -> None:
    said = complaint(tmp_path, GOOD.replace("ipc:///run/lab/air", "tcp://127.0.0.1:5555"))
    assert said.startswith("bed.yaml:19:8: links.air: expected an endpoint other than that of control")


def test_resolved_text_is_read_back_as_the_same_file_and_is_its_own_canonical_form(tmp_path: Path) -> None:
    loaded = read_testbed(write(tmp_path, GOOD))
    again = read_testbed(write(tmp_path, resolved(loaded)))
    assert again.file == loaded.file
    assert resolved(again) == resolved(loaded)
    assert "grid: edge" in resolved(loaded), "defaults are written out, so that the run stays explained after an update"


def test_order_of_keys_does_not_change_the_resolved_text(tmp_path: Path) -> None:
    raw = "emulator:\n  seed: 7\n"
    one, other = raw + "  noise: {b: 1, a: 2}\n", "emulator:\n  noise: {a: 2, b: 1}\n  seed: 7\n"
    texts = [resolved(read_testbed(write(tmp_path, GOOD.replace(raw, text)))) for text in (one, other)]
    assert texts[0] == texts[1]


SCALAR_VALUES: dict[str, object] = {
    **{"28e9": 28e9, "1e3": 1e3, "28.0e9": 28e9, ".5": 0.5, "5.": 5.0, "-1E-3": -1e-3},
    **{"+7": 7, "010": 10, "0x1F": 31, "0o17": 15, "true": True, "False": False, "~": None, "": None},
    **{"no": "no", "on": "on", "1_000": "1_000", "1:30": "1:30", "2001-01-01": "2001-01-01"},
    **{'"1e3"': "1e3", "'true'": "true"},
}


@pytest.mark.parametrize(("text", "value"), SCALAR_VALUES.items())
def test_scalar_means_what_the_core_schema_says(text: str, value: object) -> None:
    found = document_from_text(f"a: {text}", Path("x.yaml")).value["a"]
    assert (type(found), found) == (type(value), value)


SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
KEYS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["28e9", "true", "no", "<<", "~", ""]
)
VALUES = st.recursive(
    SCALARS | TEXTS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=10
)


@given(values=st.dictionaries(KEYS, VALUES, max_size=4))
def test_values_written_are_read_back_unchanged(values: dict[str, object]) -> None:
    found = document_from_text(text_from_values(values), Path("x.yaml")).value
    assert msgspec.json.encode(found) == msgspec.json.encode(values)


@given(text=st.text("ab:-[]{}&*!<>|'\"#%? \n\t1e.~", max_size=60))
def test_no_text_draws_anything_but_values_or_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(document_from_text(text, Path("x.yaml")).value, dict)


def with_metrics(at: str, *more: str) -> str:
    return GOOD + "\n".join(("metrics:", f"  at: {at}", *(f"  {line}" for line in more))) + "\n"


def test_metrics_are_served_where_the_file_says_and_nowhere_by_default(tmp_path: Path) -> None:
    assert read_testbed(write(tmp_path, GOOD)).file.metrics.at == {}
    text = with_metrics('{controller: "127.0.0.1:9464", radio: "localhost:0", ue-1: "[::1]:1"}')
    metrics = read_testbed(write(tmp_path, text)).file.metrics
    assert [host_and_port(metrics.at[name]) for name in ("controller", "ue-1")] == [("127.0.0.1", 9464), ("::1", 1)]
    assert metrics.exposed == ()


def test_metrics_beyond_loopback_must_be_called_insecure(tmp_path: Path) -> None:
    at = '{controller: "0.0.0.0:9464"}'
    text = complaint(tmp_path, with_metrics(at))
    assert "expected a loopback address" in text
    assert '"0.0.0.0:9464"' in text
    assert read_testbed(write(tmp_path, with_metrics(at, "insecure: true"))).file.metrics.exposed == ("0.0.0.0:9464",)


@pytest.mark.parametrize("address", ["9464", ":9464", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000"])
def test_metrics_address_is_a_host_and_a_port(tmp_path: Path, address: str) -> None:
    text = complaint(tmp_path, with_metrics(f'{{controller: "{address}"}}'))
    assert f'expected host:port for controller, got "{address}"' in text
