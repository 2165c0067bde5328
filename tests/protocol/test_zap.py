"""Answers to authentication requests: a well-formed one of an enrolled key is let in, no other; nothing ends the handler."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from protocol.zap import DOMAIN, ENDPOINT, ZapHandler, answer

pytestmark = pytest.mark.clause("10.3")

WITHIN_S = 10.0
RAW = bytes(range(32))
KEY = z85.encode(RAW).decode()
REQUEST = [b"", b"1.0", b"7", DOMAIN, b"127.0.0.1", b"", b"CURVE", RAW]
ENROLLED: Callable[[str], bool] = {KEY}.__contains__
WRONG = {
    "other domain": (3, b"other"),
    "no domain": (3, b""),
    "no mechanism": (6, b"NULL"),
    "password": (6, b"PLAIN"),
    "other key": (7, bytes(32)),
    "short key": (7, RAW[:-1]),
    "long key": (7, RAW + b"\0"),
    "key as text": (7, KEY.encode()),
}


def test_enrolled_key_is_let_in_under_its_name() -> None:
    assert answer(REQUEST, ENROLLED) == [b"", b"1.0", b"7", b"200", b"enrolled", KEY.encode(), b""]


@pytest.mark.parametrize("name", WRONG)
def test_request_that_is_wrong_in_one_place_is_answered_with_400(name: str) -> None:
    place, frame = WRONG[name]
    said = answer([*REQUEST[:place], frame, *REQUEST[place + 1 :]], ENROLLED)
    assert said is not None
    assert (said[2], said[3], said[5]) == (b"7", b"400", b"")


@pytest.mark.parametrize("frames", [[], [b""], [b"", b"1.0"], [b"x", *REQUEST[1:]], [b"", b"2.0", *REQUEST[2:]]])
def test_what_is_no_request_gets_no_answer(frames: list[bytes]) -> None:
    assert answer(frames, ENROLLED) is None


@pytest.mark.parametrize("frames", [REQUEST[:-1], [*REQUEST, b"more"], REQUEST[:3]])
def test_request_of_another_length_is_kept_out(frames: list[bytes]) -> None:
    said = answer(frames, ENROLLED)
    assert said is not None
    assert said[3] == b"400"


FRAMES = st.lists(st.sampled_from(REQUEST) | st.binary(max_size=40), max_size=10)


@given(frames=FRAMES)
def test_nothing_but_the_request_itself_is_let_in(frames: list[bytes]) -> None:
    said = answer(frames, ENROLLED)
    admitted = said is not None and said[3] == b"200"
    same = len(frames) == 8 and all(frames[n] == REQUEST[n] for n in (0, 1, 3, 6, 7))
    assert admitted == same


@asynccontextmanager
async def served(admits: Callable[[str], bool]) -> AsyncIterator["zmq.Socket[bytes]"]:
    """Yield a socket that asks a running handler."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    handler = ZapHandler(context, admits)
    handler.start()
    asker = context.socket(zmq.DEALER)
    asker.connect(ENDPOINT)
    try:
        async with asyncio.timeout(WITHIN_S):
            yield asker
    finally:
        asker.close(linger=0)
        handler.close()
        await asyncio.sleep(0)
        context.term()


async def said(asker: "zmq.Socket[bytes]") -> list[bytes]:
    while not asker.poll(0):  # noqa: ASYNC110 - the answer comes from this loop
        await asyncio.sleep(0.001)
    return asker.recv_multipart()


@pytest.mark.asyncio
async def test_handler_answers_after_any_amount_of_garbage() -> None:
    async with served(ENROLLED) as asker:
        for number in range(500):
            asker.send_multipart([b"", b"1.0"] if number % 2 else [b"\xff" * 300] * (1 + number % 7))
        asker.send_multipart(REQUEST)
        assert (await said(asker))[3] == b"200"


@pytest.mark.asyncio
async def test_error_in_the_list_keeps_one_out_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    broken = [True]

    def admits(key: str) -> bool:
        if broken.pop():
            broken.append(False)
            raise RuntimeError("a bug in the list")
        return ENROLLED(key)

    caplog.set_level(logging.CRITICAL, "protocol.zap")
    async with served(admits) as asker:
        asker.send_multipart(REQUEST)
        asker.send_multipart([*REQUEST[:2], b"8", *REQUEST[3:]])
        answered = await said(asker)
    assert (answered[2], answered[3]) == (b"8", b"200"), "the first request got no answer, which lets nobody in"


@pytest.mark.asyncio
async def test_burst_of_requests_longer_than_one_turn_is_answered_whole() -> None:
    async with served(ENROLLED) as asker:
        for number in range(400):
            asker.send_multipart([*REQUEST[:2], b"%d" % number, *REQUEST[3:]])
        assert [(await said(asker))[2] for _ in range(400)] == [b"%d" % number for number in range(400)]
