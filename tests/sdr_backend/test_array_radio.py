"""Antennas side by side, from a radio that has their samples one after another."""

import queue

import numpy as np
import pytest

from sdr_backend.array_radio import ArrayRadio
from sdr_backend.radio import Block
from tests.sdr_backend.fake_devices import FakeRadio

ANTENNAS = 3


class Heard(FakeRadio):
    """A radio that has received these blocks."""

    def __init__(self, *blocks: Block) -> None:
        super().__init__(queue.Queue())
        self.blocks = list(blocks)
        self.asked: list[int] = []

    def receive(self, count: int, within_s: float) -> Block:
        self.asked.append(count)
        return self.blocks.pop(0) if self.blocks else Block(samples=np.empty(0, np.complex64), first_index=0)


def block(first: int, count: int, *, broken: bool = False) -> Block:
    """Samples whose values are their indices."""
    return Block(samples=np.arange(first, first + count).astype(np.complex64), first_index=first, broken=broken)


def test_samples_of_one_time_go_to_antennas_in_their_order_whatever_blocks_come() -> None:
    radio = Heard(block(0, 7), block(7, 4), block(11, 1))
    array = ArrayRadio(radio, ANTENNAS)
    blocks = [array.receive(4, 0.0) for _ in range(3)]
    assert [b.first_index for b in blocks] == [0, 2, 3]
    joined = np.concatenate([b.samples for b in blocks], axis=1)
    np.testing.assert_array_equal(joined, np.arange(12).reshape(4, 3).T)
    assert radio.asked == [12, 11, 10]  # less what is left of an item


def test_behind_a_gap_antennas_are_in_step_again_and_the_index_counts_what_was_lost() -> None:
    array = ArrayRadio(Heard(block(0, 4), block(10, 5)), ANTENNAS)
    array.receive(4, 0.0)
    after = array.receive(4, 0.0)
    assert after.first_index == 4
    np.testing.assert_array_equal(after.samples, [[12], [13], [14]])


def test_items_begin_anew_where_nobody_knows_what_was_lost() -> None:
    array = ArrayRadio(Heard(block(0, 6), block(7, 6, broken=True)), ANTENNAS)
    array.receive(2, 0.0)
    after = array.receive(2, 0.0)
    assert after.broken
    np.testing.assert_array_equal(after.samples, [[7, 10], [8, 11], [9, 12]])


def test_nothing_is_an_empty_block() -> None:
    assert ArrayRadio(Heard(), ANTENNAS).receive(5, 0.0).samples.shape == (ANTENNAS, 0)


@pytest.mark.parametrize("count", [1, 2])
def test_part_of_an_item_is_kept_for_the_next_block(count: int) -> None:
    array = ArrayRadio(Heard(block(0, count), block(count, 3 - count)), ANTENNAS)
    assert array.receive(1, 0.0).samples.shape == (ANTENNAS, 0)
    np.testing.assert_array_equal(array.receive(1, 0.0).samples, [[0], [1], [2]])
