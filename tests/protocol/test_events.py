"""What a controller tells consoles: events survive the wire, anything else is refused, and nobody is waited for."""

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest

from protocol.config import LinksSection
from protocol.events import Announcement, Event, EventFormatError, Told, event_from_frames, frames_from_event
from protocol.transport import HIGH_WATER_MARK, LISTENER_MESSAGES, Publisher, Subscriber

RECORD = {"kind": "report", "ue": "ue-1", "epoch": 3, "measure_ms": 1.5}


def told(number: int) -> Event:
    samples = np.arange(4) + 1j * number
    return Event(
        number=number, sent_s=2.0, event=Told(started_utc="", record=RECORD, recorded=True), arrays={"report": samples}
    )


def test_an_event_comes_back_as_it_was_told() -> None:
    event = event_from_frames([bytes(frame) for frame in frames_from_event(told(7))])
    assert (event.number, event.sent_s, event.event) == (7, 2.0, Told(started_utc="", record=RECORD, recorded=True))
    # complex64 holds these integers exactly
    np.testing.assert_array_equal(event.arrays["report"], np.arange(4) + 7j)


def test_an_announcement_has_no_arrays() -> None:
    run = Announcement(directory="runs/1", config="name: lab", start={"started_utc": "now"}, peers=[RECORD])
    assert event_from_frames(frames_from_event(Event(number=0, sent_s=0.0, event=run, arrays={}))).event == run


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [
        ([], "no frame"),
        ([b"\xc1"], "header"),
        ([msgspec.msgpack.encode({"number": 1})], "header"),
        (
            [
                msgspec.msgpack.encode(
                    {**msgspec.to_builtins(Told(started_utc="", record={}, recorded=True)), "more": 1}
                )
            ],
            "header",
        ),
        ([bytes(frame) for frame in frames_from_event(told(1))][:1], "1 arrays, got 0 frames"),
        ([*[bytes(frame) for frame in frames_from_event(told(1))][:1], b"short"], "got 5 bytes"),
    ],
)
def test_what_is_no_event_is_refused(frames: list[bytes], complaint: str) -> None:
    with pytest.raises(EventFormatError, match=complaint):
        event_from_frames(frames)


@pytest.mark.parametrize(
    ("links", "complaint"),
    [
        ({"events": "tcp://192.0.2.1:5"}, "loopback"),
        ({"events": "tcp://*:5"}, "loopback"),
        ({"events": "tcp://127.0.0.1:5", "insecure": True, "control": "tcp://192.0.2.1:4"}, None),
        ({"events": "tcp://192.0.2.1:5", "insecure": True}, "loopback"),
        ({"events": "tcp://127.0.0.1:5", "keys": "keys"}, "beside keys"),
        ({"events": "ipc:///run/lab/events", "keys": "keys"}, None),
        ({"events": "tcp://127.0.0.1:1"}, "of its own"),
    ],
)
def test_events_stay_on_the_machine(links: dict[str, object], complaint: str | None) -> None:
    values = {"control": "tcp://127.0.0.1:1", "air": "tcp://127.0.0.1:2", **links}
    if complaint is None:
        assert msgspec.convert(values, LinksSection).events == links["events"]
        return
    with pytest.raises(msgspec.ValidationError, match=complaint):
        msgspec.convert(values, LinksSection)


def test_a_listener_that_does_not_read_costs_the_publisher_nothing(tmp_path: Path) -> None:
    # far more than both high-water marks and what the kernel holds of a local socket: a waiting sender would never come back
    count, frame = 4 * (LISTENER_MESSAGES + HIGH_WATER_MARK), bytes(1 << 16)

    async def publish() -> list[int]:
        heard: list[int] = []
        publisher = Publisher(f"ipc://{tmp_path}/events")
        listener = Subscriber(
            publisher.endpoint, lambda _, frames: heard.append(int(frames[0])), max_frame_bytes=1 << 20
        )
        async with asyncio.timeout(30):
            while not heard:
                publisher.publish([b"-1", b""])
                await asyncio.sleep(0.01)
        heard.clear()
        for number in range(count):
            publisher.publish(
                [b"%d" % number, frame]
            )  # never awaits: the listener, on this loop, cannot read meanwhile
        async with asyncio.timeout(30):
            while not heard or heard[-1] < count:
                publisher.publish([b"%d" % count, b""])
                await asyncio.sleep(0.01)
        listener.close(0.0)
        publisher.close(0.0)
        return heard

    heard = asyncio.run(publish())
    assert heard == sorted(heard)
    assert len(set(heard)) < count, "the listener got all of it: nothing was dropped, so nothing was shown"


def test_an_endpoint_that_is_taken_is_refused(tmp_path: Path) -> None:
    async def twice() -> None:
        first = Publisher(f"ipc://{tmp_path}/events")
        try:
            with pytest.raises(OSError, match="cannot bind"):
                Publisher(f"ipc://{tmp_path}/events")
        finally:
            first.close(0.0)

    asyncio.run(twice())
