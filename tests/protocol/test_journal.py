"""Lines of a journal: a cut leaves a prefix, a flipped bit never goes unseen."""

import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.journal import (
    DamagedJournalError,
    Record,
    fault_in_rest,
    intact_records,
    line_from_record,
    record_from_line,
    streamed_records,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(st.text().filter(lambda key: key != "seq"), JSON, max_size=3), max_size=5)


@given(records=RECORDS, cut=st.floats(0, 1))
def test_journal_cut_anywhere_is_a_prefix_of_its_records(records: list[dict[str, object]], cut: float) -> None:
    lines = [line_from_record(2 * seq, record) for seq, record in enumerate(records)]
    data = b"".join(lines)
    data = data[: round(cut * len(data))]
    found, valid_bytes = intact_records(data)
    assert found == [{"seq": 2 * seq, **record} for seq, record in enumerate(records[: len(found)])]
    assert valid_bytes == sum(map(len, lines[: len(found)]))
    assert len(data) - valid_bytes < max(map(len, lines), default=1), "less than one line is lost"


@given(record=st.dictionaries(st.text().filter(lambda key: key != "seq"), JSON, max_size=3), data=st.data())
def test_line_with_one_flipped_bit_is_never_intact(record: dict[str, object], data: st.DataObject) -> None:
    line = bytearray(line_from_record(3, record))
    bit = data.draw(st.integers(0, 8 * (len(line) - 1) - 1))
    line[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match="expected "):
        record_from_line(bytes(line))


def test_line_is_the_crc_and_the_object() -> None:
    assert line_from_record(3, {"a": 1.5}) == b'e81b8250 {"seq":3,"a":1.5}\n'


def test_rest_that_holds_an_intact_line_is_damage_and_no_torn_tail() -> None:
    line = line_from_record(3, {})
    assert fault_in_rest(b"torn") is None
    assert fault_in_rest(b"damaged\n") is None, "the last line: nothing after it was ever acknowledged"
    assert fault_in_rest(b"damaged\n" + line) is not None
    assert fault_in_rest(line[:-1]) is None, "without its newline a line is torn"


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"seq":"1"}', b'{"seq":1'])
def test_body_that_is_no_record_is_refused_though_its_crc_fits(body: bytes) -> None:
    with pytest.raises(ValueError, match="expected "):
        record_from_line(b"%08x %s\n" % (zlib.crc32(body), body))


def streamed(data: bytes) -> tuple[list[Record], int | str]:
    """What streaming yields, and the torn bytes or the damage at which it ends."""
    found: list[Record] = []
    records = streamed_records(io.BytesIO(data))
    try:
        while True:
            found.append(next(records))
    except StopIteration as end:
        return found, end.value
    except DamagedJournalError as damage:
        return found, f"{damage.line}: {damage}"


@given(records=RECORDS, cut=st.floats(0, 1), flipped=st.floats(0, 1), bit=st.integers(0, 7), swapped=st.booleans())
def test_streaming_tells_of_any_damage_what_reading_at_once_tells(
    records: list[dict[str, object]], cut: float, flipped: float, bit: int, swapped: bool
) -> None:
    lines = [line_from_record(2 * seq, record) for seq, record in enumerate(records)]
    lines = lines[::-1] if swapped else lines
    data = bytearray(b"".join(lines)[: round(cut * sum(map(len, lines)))])
    if data and flipped < 0.5:
        data[round(2 * flipped * (len(data) - 1))] ^= 1 << bit
    found, valid_bytes = intact_records(bytes(data))
    rest = bytes(data)[valid_bytes:]
    fault = fault_in_rest(rest)
    assert streamed(bytes(data)) == (found, len(rest) if fault is None else f"{len(found) + 1}: {fault}")
