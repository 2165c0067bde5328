"""The air's process, ``python -m emulator.air FILE``: settings and captures in, taps of a channel program out (shell).

It stands in for the medium between antennas, and is told nothing by controller or UEs: only what the front end is set to, and
whose sounding the array is about to hear. Both are answered when the channel program has their taps; a program that was started
again gets the last ones again.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from emulator.channel_program import AbsentError, ChannelProgram
from emulator.config import EmulatorSection
from emulator.iq_air import IqAir
from emulator.iq_uplink import UplinkIqAir
from emulator.scene import Scene, SceneClock
from emulator.server import Truth
from emulator.tracks import read_tracks
from emulator.truth import TruthFile
from protocol.codec import Envelope, decode, encode, largest_frame_bytes
from protocol.config import LoadedTestbed, SdrSection, facts
from protocol.curve import router
from protocol.errors import PeerFaultError
from protocol.keys import Identity
from protocol.messages import Capture, Configure, Message, Ready
from protocol.shell import arguments, serve_testbed
from protocol.testbed import MAX_GROUPS
from protocol.transport import Route

logger = logging.getLogger(__name__)

LOOK_S = 0.25  # how often it is looked whether the channel program was started again
TRY_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Request:
    """What is told, when and by whom that was said, and which of its messages it was."""

    route: Route
    session: int
    sequence: int
    message: Configure | Capture
    now_s: float

    @property
    def answer(self) -> list[bytes | memoryview]:
        message = Ready(epoch=self.message.epoch, pilots=1, phase_deviation_cycles=0.0, delay_deviation_s=0.0)
        return encode(Envelope(session=self.session, sequence=self.sequence, message=message))


class _Direction:
    """The last request about downlink or uplink; what it makes of the scene is computed once.

    `computed` does so and returns a call that gives it to the channel program and returns the name of the program's start.
    """

    def __init__(self, computed: Callable[[_Request], Callable[[], str]]) -> None:
        self.last: _Request | None = None
        self._computed = computed
        self._bound: tuple[_Request, Callable[[], str]] | None = None
        self._in_force: tuple[str, _Request] | None = None

    def has(self, request: _Request) -> bool:
        """Return whether the program had it when it was last looked."""
        return self._in_force is not None and self._in_force[1] is request

    def due(self, instance: str) -> bool:
        """Return whether this start of the program lacks the last request."""
        return self.last is not None and self._in_force != (instance, self.last)

    def bring(self, request: _Request) -> None:
        """Have the program hold a request; blocks."""
        if self._bound is None or self._bound[0] is not request:
            self._bound = request, self._computed(request)
        self._in_force = self._bound[1](), request


class AirProcess:
    """Between the front end's hook and the array's receiver on one side, and the channel program on the other."""

    def __init__(self, loaded: LoadedTestbed, section: SdrSection, run_directory: Path | None) -> None:
        emulator = loaded.section("emulator", EmulatorSection)
        shared = facts(loaded.file)
        scene = Scene.from_section(emulator, shared, read_tracks(emulator, loaded.path.parent, shared.region))
        self._downlink = IqAir(shared, emulator, scene, section.sent_rms)
        self._truth = TruthFile(run_directory)
        self._program = ChannelProgram(section, shared.downlink.grid.count, shared.uplink.grid.count)
        self._clock = SceneClock(self._truth.scene_s)
        self._directions: dict[type[Message], _Direction] = {Configure: _Direction(self._latched)}
        if section.uplink is not None:
            self._uplink = UplinkIqAir(shared, emulator, scene, section.sent_rms)
            self._directions[Capture] = _Direction(self._captured)
        self._new = asyncio.Event()
        limit = largest_frame_bytes(shared, MAX_GROUPS)
        self._router = router(section.settings, self._on_frames, max_frame_bytes=limit, keys=None)

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            while True:
                await self._step()
        finally:
            self._router.close()
            self._truth.close()

    async def _step(self) -> None:
        self._new.clear()
        try:
            for direction in self._directions.values():
                await self._bring(direction)
        except AbsentError as error:
            logger.warning("%s; trying again", error)
            await asyncio.sleep(TRY_AGAIN_S)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._new.wait()

    async def _bring(self, direction: _Direction) -> None:
        request = direction.last
        if request is not None and (
            not direction.has(request) or direction.due(await asyncio.to_thread(self._program.instance))
        ):
            await asyncio.to_thread(direction.bring, request)
            self._router.send(request.route, request.answer)

    def _latched(self, request: _Request) -> Callable[[], str]:
        assert isinstance(request.message, Configure)  # noqa: S101 - the key under which this is kept
        users = self._downlink.latched(request.message, request.session, request.now_s)
        self._tell_truth(self._downlink.truth)
        return partial(self._program.change, request.session, users)

    def _captured(self, request: _Request) -> Callable[[], str]:
        assert isinstance(request.message, Capture)  # noqa: S101 - the key under which this is kept
        air = self._uplink.captured(request.message, request.now_s)
        self._tell_truth(self._uplink.truth)
        return partial(self._program.change_uplink, air)

    def _tell_truth(self, truths: list[Truth]) -> None:
        for truth in truths:
            self._truth.append(truth)
        truths.clear()

    def _on_frames(self, route: Route, frames: list[bytes], _sender: Identity | None) -> None:
        try:
            envelope = decode(frames)
        except PeerFaultError as fault:
            logger.warning("refused: %s", fault)
            return
        if isinstance(envelope.message, Configure | Capture) and type(envelope.message) in self._directions:
            self._take(route, envelope.session, envelope.sequence, envelope.message)

    def _take(self, route: Route, session: int, sequence: int, message: Configure | Capture) -> None:
        direction = self._directions[type(message)]
        last = direction.last
        if last is not None and (last.session, last.sequence) == (session, sequence):
            if direction.has(last):
                self._router.send(last.route, last.answer)
            return
        now_s = self._clock.since_s(time.monotonic())
        direction.last = _Request(route=route, session=session, sequence=sequence, message=message, now_s=now_s)
        self._new.set()


async def _serve(loaded: LoadedTestbed, run_directory: Path | None) -> int:
    if loaded.file.sdr is None:
        raise loaded.error(("sdr",), "expected a value, got nothing")
    try:
        process = AirProcess(loaded, loaded.file.sdr, run_directory)
    except (ValueError, OSError) as error:
        logger.error("cannot start: %s", error)
        return 2
    logger.info("settings and captures are taken at %s", loaded.file.sdr.settings)
    await process.run()
    return 0


def main(path: Path, *, run_directory: Path | None = None, quiet: bool = False) -> int:
    """Run the air until it is stopped; return the exit status."""
    serve = partial(_serve, run_directory=run_directory)
    return serve_testbed("air", path, serve, run_directory=run_directory, quiet=quiet, stopped=0)


if __name__ == "__main__":
    options = arguments(
        "Air of samples of the near-field testbed, between a front end of software and UEs", named=False
    )
    sys.exit(main(options.file, run_directory=options.run_dir, quiet=options.quiet))
