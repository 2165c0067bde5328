"""The Red Pitaya of software: what is on its air when, and with which sample a receiver begins."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from sdr_backend.peers.red_pitaya_channel import begin_of
from sdr_backend.peers.red_pitaya_device import WIRE, WORD, RedPitaya, Role, Samples

STRIDE = 100
LONG_AGO_S, AT_LAST_S = 0.0, float("inf")


def numbered(count: int) -> Samples:
    return np.arange(1, count + 1).astype(np.complex64)


@asynccontextmanager
async def connected(device: RedPitaya, role: Role) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    server, port = await device.listen(0)
    async with server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(WORD.pack(role))
        yield reader, writer
        writer.close()
        device.send_away()
        await writer.wait_closed()


def with_samples(samples: Samples, then: Callable[[RedPitaya], None]) -> None:
    async def run() -> None:
        device = RedPitaya()
        async with connected(device, Role.TRANSMIT) as (_, writer):
            writer.write(samples.tobytes())
            while device.is_silent:  # noqa: ASYNC110 - a device tells nobody
                await asyncio.sleep(0.001)
            await device.filled(samples.size)
            then(device)

    asyncio.run(asyncio.wait_for(run(), 30))


def test_what_comes_after_it_ran_empty_is_on_the_air_no_earlier_than_it_came() -> None:
    def then(device: RedPitaya) -> None:
        assert not device.taken(50, LONG_AGO_S).any()
        assert device.sent == 0
        np.testing.assert_array_equal(device.taken(50, AT_LAST_S), numbered(50))

    with_samples(numbered(80), then)


def test_transmitter_that_ran_empty_sends_zeros_which_nobody_counts() -> None:
    def then(device: RedPitaya) -> None:
        assert np.count_nonzero(device.taken(100, AT_LAST_S)) == 80
        assert device.sent == 80

    with_samples(numbered(80), then)


def test_a_burst_is_on_its_way_until_its_last_sample_has_left() -> None:
    def then(device: RedPitaya) -> None:
        device.taken(79, AT_LAST_S)
        assert not device.is_silent
        device.taken(1, AT_LAST_S)
        assert device.is_silent

    with_samples(numbered(80), then)


@pytest.mark.parametrize(("first", "begin"), [(0, 3), (3, 0), (4, None), (80, None), (90, 13), (103, 0)])
def test_receivers_begin_with_a_multiple_of_the_stride_in_the_transmitters_count(first: int, begin: int | None) -> None:
    # EARLY_SAMPLES of them are left out, as GNU Radio does
    assert begin_of(first, first + 20, STRIDE) == begin


def test_receiver_hears_nothing_before_it_may_begin_and_everything_from_there_on() -> None:
    async def run() -> None:
        device = RedPitaya()
        async with connected(device, Role.RECEIVE) as (reader, _):
            while not device.has_begun:
                device.heard(numbered(10), None)
                device.heard(numbered(10), 3)
                await asyncio.sleep(0.001)
            device.heard(numbered(10), None)
            heard = np.frombuffer(await reader.readexactly(17 * WIRE.itemsize), dtype=WIRE)
            np.testing.assert_array_equal(heard, [*numbered(10)[3:], *numbered(10)])

    asyncio.run(asyncio.wait_for(run(), 30))
