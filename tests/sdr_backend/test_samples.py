"""Samples on their way out and in: nothing is left out or put in, and each knows its index."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdr_backend.incoming import Incoming
from sdr_backend.radio import LateError, checked_samples
from sdr_backend.schedule import MAX_WAITING, Schedule

Samples = npt.NDArray[np.complex64]


def numbered(first: int, count: int) -> Samples:
    return np.arange(first, first + count).astype(np.complex64)


@given(
    bursts=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20)), max_size=8),
    takes=st.lists(st.integers(0, 25), max_size=20),
)
def test_schedule_is_zeros_with_each_burst_at_its_index(bursts: list[tuple[int, int]], takes: list[int]) -> None:
    schedule, at, wanted = Schedule(), 0, np.zeros(2000, dtype=np.complex64)
    for gap, size in bursts:
        at += gap
        assert schedule.add(numbered(1, size), at) == at
        wanted[at : at + size] = numbered(1, size)
        at += size
    taken = [schedule.take(count) for count in [*takes, 1000]]
    got = np.concatenate(taken)
    np.testing.assert_array_equal(got, wanted[: got.size])
    assert schedule.position == got.size
    assert schedule.empty


def test_burst_without_an_index_follows_the_one_before() -> None:
    schedule = Schedule()
    assert schedule.add(numbered(1, 5), 10) == 10
    assert schedule.add(numbered(1, 5), None) == 15


def test_burst_in_the_past_is_late_and_one_upon_another_is_refused() -> None:
    schedule = Schedule()
    schedule.take(100)
    with pytest.raises(LateError, match="from 100 on, got 99"):
        schedule.add(numbered(1, 5), 99)
    schedule.add(numbered(1, 5), 200)
    with pytest.raises(ValueError, match="from 205 on"):
        schedule.add(numbered(1, 5), 204)


def test_more_than_may_wait_is_refused_and_may_be_sent_after_others_have_left() -> None:
    schedule = Schedule()
    schedule.add(np.zeros(MAX_WAITING, dtype=np.complex64), None)
    with pytest.raises(ValueError, match=f"at most {MAX_WAITING}"):
        schedule.add(numbered(1, 1), None)
    schedule.take(10)
    schedule.add(numbered(1, 10), None)


def test_cleared_schedule_goes_on_at_its_index_with_zeros() -> None:
    schedule = Schedule()
    schedule.add(numbered(1, 10), None)
    schedule.take(3)
    schedule.clear()
    assert not schedule.take(10).any()
    assert schedule.position == 13


Came = list[tuple[int, int]]


@given(
    came=st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 7]), st.integers(0, 20)), max_size=10),
    count=st.integers(1, 30),
)
def test_blocks_put_together_are_what_came_and_gaps_are_between_them(came: Came, count: int) -> None:
    incoming, index = Incoming(), 0
    wanted: dict[int, int] = {}
    for lost, size in came:
        incoming.lost(lost)
        index += lost
        incoming.append(numbered(index, size))  # each sample is its own index
        wanted |= {index + offset: index + offset for offset in range(size)}
        index += size
    end = 0
    got: dict[int, int] = {}
    while (block := incoming.take(count)).samples.size:
        assert block.first_index == end + block.overrun
        end = block.first_index + block.samples.size
        assert incoming.position == end
        got |= {block.first_index + offset: int(value.real) for offset, value in enumerate(block.samples)}
    assert got == wanted


def test_block_ends_at_a_gap_and_does_not_wait_for_what_lies_behind() -> None:
    incoming = Incoming()
    incoming.append(numbered(0, 5))
    assert not incoming.holds(10)
    incoming.lost(3)
    incoming.append(numbered(8, 1))
    assert incoming.holds(10)
    assert incoming.take(10).samples.size == 5
    assert incoming.take(10).overrun == 3


def test_what_is_forgotten_counts_as_lost_when_something_comes() -> None:
    incoming = Incoming()
    incoming.lost(2)
    incoming.append(numbered(2, 5))
    incoming.clear()
    assert incoming.take(10).samples.size == 0
    incoming.append(numbered(7, 1))
    block = incoming.take(10)
    assert (block.overrun, block.first_index, block.broken) == (7, 7, False)


def test_loss_of_unknown_length_is_told_with_the_next_block_alone_even_if_that_is_forgotten_in_part() -> None:
    incoming = Incoming()
    incoming.broken()
    incoming.append(numbered(1, 5))
    incoming.clear()
    incoming.append(numbered(6, 8))
    blocks = [incoming.take(4), incoming.take(4)]
    assert [(block.overrun, block.broken) for block in blocks] == [(6, True), (0, False)]


def test_samples_to_be_sent_become_contiguous_complex64() -> None:
    checked = checked_samples(np.arange(10, dtype=np.complex64)[::2])
    assert checked.dtype == np.complex64
    assert checked.flags.c_contiguous
