"""The air's process, ``python -m emulator.air FILE``: settings of a front end in, taps of a channel program out (shell).

It stands in for the medium between antennas, and is told nothing by controller or UEs. A setting is answered when the channel
program has it; a program that was started again gets the last one again.
"""

import asyncio
import logging
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from emulator.channel_program import AbsentError, ChannelProgram
from emulator.config import EmulatorSection
from emulator.iq_air import IqAir, UserAir
from emulator.scene import Scene, SceneClock
from emulator.truth import TruthFile
from protocol.codec import Envelope, decode, encode, largest_frame_bytes
from protocol.config import LoadedTestbed, SdrSection, facts
from protocol.curve import router
from protocol.errors import PeerFaultError
from protocol.keys import Identity
from protocol.messages import Configure, Ready
from protocol.shell import arguments, serve_testbed
from protocol.testbed import MAX_GROUPS
from protocol.transport import Route

logger = logging.getLogger(__name__)

LOOK_S = 0.25  # how often it is looked whether the channel program was started again
TRY_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pilot:
    """A setting that the front end holds, when and by whom that was said, and which of its messages it was."""

    route: Route
    session: int
    sequence: int
    message: Configure
    now_s: float


class AirProcess:
    """Between the front end's hook and the channel program."""

    def __init__(self, loaded: LoadedTestbed, section: SdrSection, run_directory: Path | None) -> None:
        emulator = loaded.section("emulator", EmulatorSection)
        shared = facts(loaded.file)
        self._air = IqAir(shared, emulator, Scene.from_section(emulator, shared), section.sent_rms)
        self._truth = TruthFile(run_directory)
        self._program = ChannelProgram(section, shared.downlink.grid.count)
        self._clock = SceneClock()
        self._latched: _Pilot | None = None
        self._computed: tuple[_Pilot, dict[str, UserAir]] | None = None
        self._in_force: tuple[str, _Pilot] | None = None  # the start of the program that has it
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
        pilot = self._latched
        try:
            if pilot is not None and not await self._is_in_force(pilot):
                self._in_force = await asyncio.to_thread(self._brought_into_force, pilot), pilot
                self._answer(pilot)
        except AbsentError as error:
            logger.warning("%s; trying again", error)
            await asyncio.sleep(TRY_AGAIN_S)
            return
        if self._latched is pilot:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._new.wait()
            except TimeoutError:
                pass

    def _brought_into_force(self, pilot: _Pilot) -> str:
        """Give the channel program what a setting makes of the scene; return the name of its start."""
        if self._computed is None or self._computed[0] is not pilot:
            self._computed = pilot, self._air.latched(pilot.message, pilot.session, pilot.now_s)
            for truth in self._air.truth:
                self._truth.append(truth)
            self._air.truth.clear()
        return self._program.change(pilot.session, self._computed[1])

    async def _is_in_force(self, pilot: _Pilot) -> bool:
        if self._in_force is None or self._in_force[1] is not pilot:
            return False
        return await asyncio.to_thread(self._program.instance) == self._in_force[0]

    def _on_frames(self, route: Route, frames: list[bytes], _sender: Identity | None) -> None:
        try:
            envelope = decode(frames)
        except PeerFaultError as fault:
            logger.warning("refused from the front end: %s", fault)
            return
        if isinstance(envelope.message, Configure):
            self._take(route, envelope.session, envelope.sequence, envelope.message)

    def _take(self, route: Route, session: int, sequence: int, message: Configure) -> None:
        last = self._latched
        if last is not None and (last.session, last.sequence) == (session, sequence):
            if self._in_force is not None and self._in_force[1] is last:
                self._answer(last)
            return
        now_s = self._clock.since_s(time.monotonic())
        self._latched = _Pilot(route=route, session=session, sequence=sequence, message=message, now_s=now_s)
        self._new.set()

    def _answer(self, pilot: _Pilot) -> None:
        """Say that a setting is in force."""
        message = Ready(epoch=pilot.message.epoch, pilots=1, phase_deviation_cycles=0.0, delay_deviation_s=0.0)
        self._router.send(
            pilot.route, encode(Envelope(session=pilot.session, sequence=pilot.sequence, message=message))
        )


async def _serve(loaded: LoadedTestbed, run_directory: Path | None) -> int:
    if loaded.file.sdr is None:
        raise loaded.error(("sdr",), "expected a value, got nothing")
    try:
        process = AirProcess(loaded, loaded.file.sdr, run_directory)
    except (ValueError, OSError) as error:
        logger.error("cannot start: %s", error)
        return 2
    logger.info("settings are taken at %s", loaded.file.sdr.settings)
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
