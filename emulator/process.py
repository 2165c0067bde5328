"""The emulator's process: joins control link, air link, rules and the truth file (shell, no formula)."""

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from emulator.config import EmulatorSection
from emulator.link_faults import LinkFaults
from emulator.metrics import answer_durations, families
from emulator.scene import Scene, SceneClock
from emulator.server import RadioServer
from emulator.tracks import read_tracks
from emulator.truth import TruthFile
from protocol.codec import Envelope, decode, encode, largest_frame_bytes
from protocol.config import LoadedTestbed, facts
from protocol.curve import router
from protocol.errors import PeerFaultError
from protocol.keys import CONTROLLER, RADIO, Identity, client_keys, server_keys
from protocol.links import PeerLink, RefusedError
from protocol.messages import PROTOCOL_VERSION, Configure, Hello, Listen, Message, RadioCapabilities, Role, type_name
from protocol.metrics import Family
from protocol.shell import metrics_served, serve_testbed
from protocol.testbed import MAX_GROUPS
from protocol.transport import Route
from protocol.versions import software

logger = logging.getLogger(__name__)


class EmulatorProcess:
    """The emulated radio between controller and UE receivers."""

    def __init__(self, loaded: LoadedTestbed, run_directory: Path | None) -> None:
        section = loaded.section("emulator", EmulatorSection)
        shared = facts(loaded.file)
        scene = Scene.from_section(section, shared, read_tracks(section, loaded.path.parent, shared.region))
        self.users = scene.names
        self._truth = TruthFile(run_directory)
        self._server = RadioServer(shared, section, scene, SceneClock(self._truth.scene_s))
        self._settle_s = self._server.limits.settle_s
        self._faults = LinkFaults(section.link_faults)
        self._answers = answer_durations()
        self._sessions = 0
        hello = Hello(
            name=RADIO,
            versions=(PROTOCOL_VERSION,),
            software=software(),
            digest=shared.digest(),
            facts=shared,
            capabilities=RadioCapabilities(front_end=self._server.limits),
        )
        links = loaded.file.links
        control_keys = client_keys(loaded, links.control, RADIO, CONTROLLER)
        air_keys = server_keys(loaded, links.air, RADIO, [Role.UE])
        self._air = router(links.air, self._on_air, max_frame_bytes=largest_frame_bytes(shared), keys=air_keys)
        self._air_is_keyed = air_keys is not None
        self._control = PeerLink(
            links.control, hello, self._on_message, self._begin_anew, MAX_GROUPS, keys=control_keys
        )

    def families(self) -> list[Family]:
        """Return the metrics of this moment."""
        link = self._control
        return families(self._server.counters, self._answers, link.counters(), is_open=link.is_open)

    async def run(self) -> None:
        """Serve controller and receivers until cancelled or refused for good."""
        try:
            await self._control.run()
        finally:
            self._air.close()
            self._truth.close()

    def _begin_anew(self) -> None:
        """Forget the session before, answers that are still to be sent included (SPEC 5.1.3)."""
        self._sessions += 1
        self._server.reset()

    def _on_message(self, message: Message) -> None:
        began_s = time.monotonic()
        answer = self._server.hear(message, began_s)
        self._keep_truth()
        if answer is not None:
            self._answers.observe(type_name(message), time.monotonic() - began_s)
            settle_s = self._settle_s if isinstance(message, Configure) else 0.0
            self._later(answer, settle_s)

    def _later(self, answer: Message, wait_s: float) -> None:
        """Send an answer when it is due, through the link's faults."""
        for delay_s, item in self._faults.pass_on(answer, wait_s):
            if delay_s > 0:
                asyncio.get_running_loop().call_later(delay_s, self._send, item, self._sessions)
            else:
                self._control.send(item)

    def _send(self, answer: Message, session: int) -> None:
        """Send an answer, unless the session that asked for it has given way to another."""
        if session == self._sessions:
            self._control.send(answer)

    def _on_air(self, route: Route, frames: list[bytes], sender: Identity | None = None) -> None:
        if self._air_is_keyed and sender is None:
            return  # revoked since it connected; it will find out when it asks on a new connection
        try:
            message = decode(frames).message
        except PeerFaultError as fault:
            logger.warning("refused from the air link: %s", fault)
            return
        if isinstance(message, Listen):
            began_s = time.monotonic()
            answer = self._server.listen(message, None if sender is None else sender.name)
            self._keep_truth()
            self._answers.observe(type_name(message), time.monotonic() - began_s)
            self._air.send(route, encode(Envelope(session=0, message=answer)))

    def _keep_truth(self) -> None:
        for truth in self._server.truth:
            self._truth.append(truth)
        self._server.truth.clear()


async def _serve(loaded: LoadedTestbed, run_directory: Path | None) -> int:
    async with AsyncExitStack() as stack:
        try:  # metrics first: a process that cannot serve them has opened nothing yet
            await stack.enter_async_context(metrics_served(loaded, RADIO, lambda: process.families()))  # noqa: PLW0108
            process = EmulatorProcess(loaded, run_directory)
        except (ValueError, OSError) as error:
            logger.error("cannot start: %s", error)
            return 2
        logger.info("emulating %d users; air link at %s", len(process.users), loaded.file.links.air)
        try:
            await process.run()
        except RefusedError as error:
            logger.error("the controller refuses this radio: %s", error)
            return 1
        return 0


def main(path: Path, *, run_directory: Path | None = None, quiet: bool = False) -> int:
    """Run the emulator until it is stopped; return the exit status."""
    serve = partial(_serve, run_directory=run_directory)
    return serve_testbed("emulator", path, serve, run_directory=run_directory, quiet=quiet, stopped=0)
