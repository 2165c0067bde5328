"""Lines of a journal: eight hexadecimal digits of CRC-32, a space, one JSON object, a newline; refuses what does not add up.

Pure functions of bytes. Each object has a `seq` that grows from line to line, not always by one: a gap is a record that
could not be taken. What follows the last intact line is a torn tail if no intact line comes after it.
"""

import json
import zlib
from collections.abc import Generator, Iterable, Mapping

import msgspec

Record = dict[str, object]

_CRC_DIGITS = 8


def line_from_record(seq: int, record: Mapping[str, object]) -> bytes:
    """Return the line of one record, newline included.

    Raises
    ------
    ValueError
        If the record has a `seq` of its own or a number that is not finite.
    TypeError
        If a value is not plain JSON.
    """
    if "seq" in record:
        raise ValueError(f"expected a record without seq, got seq {record['seq']!r}")
    body = json.dumps({"seq": seq, **record}, separators=(",", ":"), allow_nan=False).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(body), body)


def record_from_line(line: bytes) -> Record:
    """Return the record of one line, `seq` among its fields; the newline may be left out.

    Raises
    ------
    ValueError
        If the line is not intact; the text says what was expected and what came.
    """
    head, body = line[: _CRC_DIGITS + 1], line[_CRC_DIGITS + 1 :].removesuffix(b"\n")
    expected = b"%08x " % zlib.crc32(body)
    if head != expected:
        raise ValueError(f"expected a line that begins with {expected.decode()!r}, got {head.decode('latin-1')!r}")
    try:
        record = _object(body)
    except ValueError as error:
        raise ValueError(f"expected JSON, got: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("seq"), int):
        raise ValueError(f"expected an object with an integer seq, got {body[:60].decode('latin-1')!r}")
    return record


def _object(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)  # in a seventh of the time
    except msgspec.DecodeError:
        return json.loads(body)  # takes half a surrogate pair too, as names of files that are no UTF-8 have


def intact_records(data: bytes) -> tuple[list[Record], int]:
    """Return the records up to the first line that is not intact or whose `seq` does not grow, and their length in bytes.

    A last line without its newline is not intact, whatever it says.
    """
    records: list[Record] = []
    valid_bytes, last_seq = 0, -1
    for line in _lines(data):
        try:
            record = record_from_line(line)
        except ValueError:
            break
        seq = record["seq"]
        if not isinstance(seq, int) or seq <= last_seq:
            break
        records.append(record)
        valid_bytes, last_seq = valid_bytes + len(line), seq
    return records, valid_bytes


class DamagedJournalError(ValueError):
    """A journal is damaged elsewhere than at its end; `line` counts from one."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def streamed_records(lines: Iterable[bytes]) -> Generator[Record, None, int]:
    """Yield what `intact_records` returns, one record at a time, and return the length of the torn tail in bytes.

    Parameters
    ----------
    lines
        The lines of a journal, newlines included; the last may lack its own.

    Raises
    ------
    DamagedJournalError
        Where `fault_in_rest` tells of damage; all records before were yielded by then.
    """
    last_seq, rest = -1, iter(lines)
    for number, line in enumerate(rest, 1):
        record = _next_record(line, last_seq)
        if record is None:
            return len(line) + _torn_bytes(rest, line, number)
        last_seq = _seq(record)
        yield record
    return 0


def _next_record(line: bytes, last_seq: int) -> Record | None:
    """Return the record of a line that follows one with that `seq`, if it is intact."""
    try:
        record = record_from_line(line)
    except ValueError:
        return None
    return record if line.endswith(b"\n") and _seq(record) > last_seq else None


def _seq(record: Record) -> int:
    seq = record["seq"]
    assert isinstance(seq, int)  # noqa: S101 - an intact line has one
    return seq


def _torn_bytes(rest: Iterable[bytes], first: bytes, number: int) -> int:
    """Return the length of the lines after the first of a tail, of which none may be intact."""
    fault, torn_bytes = fault_in_rest(first), 0
    if fault is not None:
        raise DamagedJournalError(number, fault)
    for line in rest:
        torn_bytes += len(line)
        if fault_in_rest(line) is not None:
            raise DamagedJournalError(number, _fault(first))
    return torn_bytes


def _lines(data: bytes) -> list[bytes]:
    """Return the lines that have their newline."""
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


def fault_in_rest(rest: bytes) -> str | None:
    """Return why the bytes after the intact records are damage and no torn tail, or None for a torn tail."""
    lines = _lines(rest)
    for number, line in enumerate(lines):
        try:
            record = record_from_line(line)
        except ValueError:
            continue
        return f"expected a growing seq, got {record['seq']}" if number == 0 else _fault(lines[0])
    return None


def _fault(line: bytes) -> str:
    try:
        record_from_line(line)
    except ValueError as error:
        return str(error)
    return "expected a damaged line, got an intact one"
