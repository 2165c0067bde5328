"""The hook of a front end of software: it returns when the air has answered, and lets go when it is closed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protocol.codec import Envelope, decode, encode
from protocol.curve import router
from protocol.messages import Configure, Ready
from protocol.testbed import default_facts
from protocol.transport import Router
from sdr_backend.air_link import AirLink
from sdr_backend.front_end import PilotSetting

WITHIN_S = 30.0
FACTS = default_facts(subcarriers=64, elements=8)
PILOT = PilotSetting(phase_cycles=np.full((1, 8), 0.25), delay_s=np.zeros((1, 8)), first_group=2, groups=4, epoch=12)


def answering(endpoint: str, answered: Callable[[Envelope], Envelope], heard: list[Envelope]) -> Router:
    """An air that answers every message, perhaps wrongly."""

    def on_frames(route: bytes, frames: list[bytes], _sender: object) -> None:
        asked = decode(frames)
        heard.append(asked)
        message = Ready(epoch=1, pilots=1, phase_deviation_cycles=0.0, delay_deviation_s=0.0)
        right = Envelope(session=asked.session, sequence=asked.sequence, message=message)
        air.send(route, encode(answered(right)))

    air = router(endpoint, on_frames, max_frame_bytes=1 << 20, keys=None)
    return air


def test_a_pilot_is_told_with_its_epoch_and_for_the_whole_band(tmp_path: Path) -> None:
    async def talk() -> list[Envelope]:
        heard: list[Envelope] = []
        link, air = AirLink(f"ipc://{tmp_path}/s", FACTS), answering(f"ipc://{tmp_path}/s", rightly, heard)
        for epoch in (12, 13):
            await asyncio.wait_for(asyncio.to_thread(link.latched, replace(PILOT, epoch=epoch), 0), WITHIN_S)
        link.close()
        air.close()
        return heard

    heard = asyncio.run(talk())
    sequences = [envelope.sequence for envelope in heard]
    assert sequences == sorted(sequences)  # the first may have been told more than once
    assert {1, 2} == {*sequences}
    first = heard[0].message
    assert isinstance(first, Configure)
    assert (first.epoch, first.phase_cycles.shape) == (12, (1, 8))


def test_an_air_that_comes_later_is_told_again(tmp_path: Path) -> None:
    async def talk() -> int:
        heard: list[Envelope] = []
        link = AirLink(f"ipc://{tmp_path}/s", FACTS)
        waiting = asyncio.create_task(asyncio.to_thread(link.latched, PILOT, 0))
        done, _ = await asyncio.wait({waiting}, timeout=0.7)
        assert not done
        air = answering(f"ipc://{tmp_path}/s", rightly, heard)
        await asyncio.wait_for(waiting, WITHIN_S)
        link.close()
        air.close()
        return len(heard)

    assert asyncio.run(talk()) >= 1


@pytest.mark.parametrize("off", [(1, 0), (0, -1)], ids=["of another radio", "of an earlier pilot"])
def test_another_answer_is_none_and_who_waits_is_let_go_at_the_end(tmp_path: Path, off: tuple[int, int]) -> None:
    async def talk() -> tuple[int, bool]:
        def wrongly(right: Envelope) -> Envelope:
            return Envelope(session=right.session + off[0], sequence=right.sequence + off[1], message=right.message)

        heard: list[Envelope] = []
        link = AirLink(f"ipc://{tmp_path}/s", FACTS)
        right = answering(f"ipc://{tmp_path}/s", rightly, [])
        await asyncio.wait_for(asyncio.to_thread(link.latched, PILOT, 0), WITHIN_S)
        right.close()
        air = answering(f"ipc://{tmp_path}/s", wrongly, heard)
        waiting = asyncio.create_task(asyncio.to_thread(link.latched, PILOT, 0))
        done, _ = await asyncio.wait({waiting}, timeout=2.0)
        link.close()
        await asyncio.wait_for(waiting, WITHIN_S)
        air.close()
        return len(heard), bool(done)

    count, done = asyncio.run(talk())
    assert count > 0
    assert not done


def rightly(right: Envelope) -> Envelope:
    return right
