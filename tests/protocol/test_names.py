"""Numbered names of a testbed file: what ``ue-1..16`` means, and what means nothing."""

import msgspec
import pytest

from protocol.messages import PeerName
from protocol.names import MAX_NUMBERED, PeerNames, each_name, every_name


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ue-1", ("ue-1",)),
        ("ue-9..11", ("ue-9", "ue-10", "ue-11")),
        ("0..2", ("0", "1", "2")),
        ("a2b07", ("a2b07",)),
    ],
)
def test_numbered_names_are_all_from_the_first_number_to_the_last(written: str, meant: tuple[str, ...]) -> None:
    assert each_name(msgspec.convert(written, PeerNames)) == meant
    msgspec.convert(meant, tuple[PeerName, ...])


@pytest.mark.parametrize("written", ["ue..3", "ue-1..", "ue-1...3", "ue-1..a", "ue-1..2..3", "-1..3", "ue-1..3\n"])
def test_what_does_not_end_in_a_number_and_another_is_no_name(written: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(written, PeerNames)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("ue-2..2", "numbers that grow"),
        ("ue-3..2", "numbers that grow"),
        (f"ue-1..{MAX_NUMBERED + 1}", f"at most {MAX_NUMBERED} numbers"),
        ("ue-01..12", "do not begin with zeros"),
        ("ue-1..02", "do not begin with zeros"),
        ("a" * 30 + "-9..10", "at most 32 characters"),
    ],
)
def test_numbers_that_nobody_would_write_by_hand_are_refused(written: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"{said}.*, got {written}"):
        each_name(msgspec.convert(written, PeerNames))


def test_name_that_is_meant_twice_is_refused_with_both_ways_to_write_it() -> None:
    assert every_name(["b", "a1..2"]) == ("b", "a1", "a2")
    with pytest.raises(ValueError, match=r"expected distinct names, got a2 twice \(a2, a1\.\.3\)"):
        every_name(["a2", "a1..3"])
