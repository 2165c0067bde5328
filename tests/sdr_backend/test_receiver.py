"""The receiver `ofdm`: which bursts become the grid of an epoch, and which never do."""

import asyncio
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from protocol.testbed import default_facts
from sdr_backend.channel import SampleChannel
from sdr_backend.ofdm import FrameLayout, Modulator
from sdr_backend.radio import Block
from sdr_backend.receiver import BurstListener, OfdmOptions, OfdmReceiver
from sdr_backend.tag import Tag
from sdr_backend.zmq_iq import ZmqIq
from tests.sdr_backend.keeping import Keep
from ue_agent.receiver import ReceiverContext, receiver_factory

ComplexArray = npt.NDArray[np.complex128]
Samples = npt.NDArray[np.complex64]

LAYOUT = FrameLayout.of(256)
FRAME, COUNT = LAYOUT.frame_samples, LAYOUT.subcarriers
#: cf32 samples are rounded to 2^-24 of themselves, see test_demodulation.
CF32 = 4e-7


def frame(epoch: int, pilot: int = 0, pilots: int = 1, stretch: int = 0) -> Samples:
    return Modulator(LAYOUT).frame(Tag.of(epoch, pilot, pilots, stretch))


def listener(flush_samples: int = 0, frame_delay_samples: int | None = None, stretch: int = 0) -> BurstListener:
    options = OfdmOptions(radio="none", flush_samples=flush_samples, frame_delay_samples=frame_delay_samples)
    return BurstListener(LAYOUT, options, stretch)


def heard(ear: BurstListener, samples: Samples, wanted: int, first: int = 0) -> list[tuple[int, ComplexArray]]:
    """What comes of samples in blocks of a third of a frame."""
    found = []
    for start in range(0, samples.size, FRAME // 3):
        block = Block(samples=samples[start : start + FRAME // 3], first_index=first + start)
        if (grid := ear.heard(block, wanted)) is not None:
            found.append(grid)
    return found


def silence(frames: int = 1) -> Samples:
    return np.zeros(frames * FRAME, np.complex64)


def test_a_grid_is_what_specification_calls_y() -> None:
    delay, channel = 5, SampleChannel(1)
    channel.change(np.eye(1, 20, delay + 3)[0].astype(np.complex128), np.ones(1, np.complex128), 0.0, 0.0)
    samples = channel.passed(np.concatenate([frame(7), silence()]))
    ((epoch, grid),) = heard(listener(frame_delay_samples=3), samples, 7)
    assert epoch == 7
    # a delay turns y[m] forwards (SPEC 6.2)
    np.testing.assert_allclose(grid, np.exp(2j * np.pi * np.arange(COUNT) * delay / COUNT), rtol=0, atol=CF32)


def test_a_setting_from_before_the_one_that_is_wanted_is_no_grid() -> None:
    samples = np.concatenate([frame(6), frame(6), frame(7), silence()])
    assert [epoch for epoch, _ in heard(listener(), samples, 7)] == [7]


def test_a_newer_setting_is_told_of() -> None:
    assert [epoch for epoch, _ in heard(listener(), np.concatenate([frame(9), silence()]), 7)] == [9]


def test_epochs_beyond_the_tags_are_whole_again() -> None:
    epoch = 3 * 65536 + 2
    assert [found for found, _ in heard(listener(), np.concatenate([frame(epoch), silence()]), epoch - 5)] == [epoch]


def test_pilots_of_two_settings_are_never_put_together() -> None:
    parts = [frame(7, 0, 2), frame(8, 1, 2), frame(8, 0, 2), silence()]
    assert [epoch for epoch, _ in heard(listener(), np.concatenate(parts), 7)] == [8]


def test_what_was_under_way_during_a_pause_is_thrown_away() -> None:
    ear = listener(flush_samples=2 * FRAME)
    ear.resume()
    # a tag of an earlier session may be the same: only what comes after the pause counts
    samples = np.concatenate([frame(7), frame(7), 1j * frame(7), silence()])
    ((_, grid),) = heard(ear, samples.astype(np.complex64), 7)
    np.testing.assert_allclose(grid, -1j * np.ones(COUNT), rtol=0, atol=CF32)


def test_bursts_beside_the_frames_that_are_counted_are_none() -> None:
    ear = listener(frame_delay_samples=0)
    strays = np.concatenate([silence()[: FRAME // 2], frame(7), frame(7), frame(7), silence()])
    assert heard(ear, strays, 7) == []
    assert (ear.counters["moved_frames"], ear.moved_to) == (1, 0)
    assert heard(ear, np.concatenate([frame(7), silence()]), 7, 100 * FRAME) == [], "the radio is to be opened anew"


def test_known_frames_hold_for_the_stretch_that_was_heard_before_the_radio_was_opened_alone() -> None:
    ear = listener(frame_delay_samples=0)
    late = np.concatenate([silence()[:100], frame(7, stretch=3), silence()])  # less than a prefix: no stray
    assert heard(ear, late, 7) == []
    assert ear.moved_to == 3
    again = listener(frame_delay_samples=0, stretch=3)
    assert [epoch for epoch, _ in heard(again, np.concatenate([frame(7, stretch=3), silence()]), 7)] == [7]


def test_pilots_of_two_stretches_are_never_put_together() -> None:
    parts = [frame(7, 0, 2), silence()[:100], frame(7, 1, 2, 1), frame(7, 0, 2, 1), frame(7, 1, 2, 1), silence()]
    ear = listener()
    (found,) = heard(ear, np.concatenate(parts), 7)
    # frames are taken anew from the next burst: without the 100 samples, which would turn the first pilot's half
    np.testing.assert_allclose(found[1], np.ones(COUNT), rtol=0, atol=CF32)


async def received(context: ReceiverContext, epoch: int) -> tuple[int, ComplexArray]:
    grids: asyncio.Queue[tuple[int, ComplexArray]] = asyncio.Queue()
    receiver = receiver_factory("ofdm")(context, lambda *grid: grids.put_nowait(grid))
    try:
        receiver.listen(epoch)
        async with asyncio.timeout(30):
            return await grids.get()
    finally:
        await asyncio.to_thread(receiver.close)


def context(options: dict[str, str | int | float | bool]) -> ReceiverContext:
    return ReceiverContext(ue="ue-1", facts=default_facts(subcarriers=COUNT, elements=8), air="", options=options)


def test_a_receiver_asks_the_driver_of_its_own_endpoint(tmp_path: Path, kept: Keep) -> None:
    radio = kept(ZmqIq({"transmit": f"ipc://{tmp_path}/ue-1.iq", "paced": False}))
    radio.transmit(np.concatenate([frame(7)] * 20), FRAME)
    epoch, grid = asyncio.run(received(context({"radio": "zmq-iq", "receive": f"ipc://{tmp_path}/{{ue}}.iq"}), 7))
    assert epoch == 7
    np.testing.assert_allclose(grid, np.ones(COUNT), rtol=0, atol=CF32)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "radio"),
        ({"radio": "usrp"}, "expected a radio driver"),
        ({"radio": "zmq-iq", "gain": 3}, "driver zmq-iq: .*gain"),
        ({"radio": "zmq-iq", "flush_samples": "some"}, "driver ofdm: .*flush_samples"),
    ],
)
def test_wrong_options_are_refused_with_their_names(options: dict[str, str | int | float | bool], text: str) -> None:
    async def make() -> None:
        OfdmReceiver(context(options), lambda _epoch, _grid: None).close()

    with pytest.raises(LookupError, match=text):
        asyncio.run(make())
