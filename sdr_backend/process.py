"""The radio process over real radios: joins control link, rules, front end, transmitter and array (shell, no formula)."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path

from protocol.config import LoadedTestbed, facts
from protocol.keys import CONTROLLER, RADIO, client_keys
from protocol.links import PeerLink, RefusedError
from protocol.messages import PROTOCOL_VERSION, Hello, Message, RadioCapabilities
from protocol.metrics import Family
from protocol.shell import metrics_served, serve_testbed
from protocol.testbed import MAX_GROUPS, FrontEndLimits, TestbedFacts
from protocol.versions import software
from sdr_backend.air_link import AirLink
from sdr_backend.config import SdrBackendSection, UplinkReceiverSection
from sdr_backend.front_end import FrontEndContext, PilotSetting, opened_front_end
from sdr_backend.metrics import families
from sdr_backend.ofdm import FrameLayout, Modulator
from sdr_backend.radio import RadioError, opened_radio
from sdr_backend.server import Apply, ComplexArray, Hear, RadioServer
from sdr_backend.transmitter import Transmitter
from sdr_backend.uplink import UplinkReceiver

logger = logging.getLogger(__name__)


class RadioProcess:
    """The radio role over front end, transmitter and array, if there is one; an air of samples is told of beams and UEs."""

    def __init__(self, loaded: LoadedTestbed) -> None:
        section = loaded.section("sdr_backend", SdrBackendSection)
        shared = facts(loaded.file)
        modulator = Modulator(FrameLayout.of(shared.downlink.grid.count))
        elements = shared.downlink.array.elements
        self._air = None if loaded.file.sdr is None else AirLink(loaded.file.sdr.settings, shared)
        context = FrontEndContext(elements=elements, options=section.front_end.options, hook=self._air)
        with _blamed_on(loaded, "front_end"):
            front_end = opened_front_end(section.front_end.driver, context)
        slots = _slots(loaded, section)
        self._server = RadioServer(shared, front_end.limits, slots)
        self._settle_s = front_end.limits.settle_s
        self._loop = asyncio.get_running_loop()
        self._failed: asyncio.Future[None] = self._loop.create_future()
        hello = _hello(shared, front_end.limits)
        control = loaded.file.links.control
        keys = client_keys(loaded, control, RADIO, CONTROLLER)
        self._control = PeerLink(control, hello, self._on_message, self._begin_anew, MAX_GROUPS, keys=keys)
        with _blamed_on(loaded, "radio"):
            radio = opened_radio(section.radio.driver, section.radio.options)
        self._uplink_air = None if not slots or loaded.file.sdr is None else AirLink(loaded.file.sdr.settings, shared)
        self._uplink = None if section.uplink is None else self._opened_uplink(loaded, section.uplink, shared, slots)
        self._transmitter = Transmitter(
            radio, front_end, modulator, self._in_loop(self._on_applied), self._in_loop(self._on_failed)
        )

    def families(self) -> list[Family]:
        """Return the metrics of this moment."""
        link, sent = self._control, self._transmitter.counters
        heard = None if self._uplink is None else self._uplink.counters
        return families(self._server.counters, sent, heard, link.counters(), is_open=link.is_open)

    def _opened_uplink(
        self, loaded: LoadedTestbed, section: UplinkReceiverSection, shared: TestbedFacts, slots: tuple[str, ...]
    ) -> UplinkReceiver:
        heard, failed = self._in_loop(self._on_heard), self._in_loop(self._on_failed)
        with _blamed_on(loaded, "uplink"):
            return UplinkReceiver(section, shared, slots, self._uplink_air, on_heard=heard, on_failed=failed)

    async def run(self) -> None:
        """Serve the controller until cancelled or refused for good.

        Raises
        ------
        RadioError
            If a device is lost for good.
        """
        serving = asyncio.create_task(self._control.run(), name="control link")
        try:
            await asyncio.wait({serving, self._failed}, return_when=asyncio.FIRST_COMPLETED)
            await (self._failed if self._failed.done() else serving)
        finally:
            serving.cancel()
            await asyncio.wait({serving})
            for air in (self._air, self._uplink_air):
                if air is not None:
                    air.close()  # whoever waits for an answer is let go
            self._transmitter.close()
            if self._uplink is not None:
                self._uplink.close()
                logger.info("captures: %s", dict(self._uplink.counters))
            logger.info("sent: %s; asked: %s", dict(self._transmitter.counters), dict(self._server.counters))

    def _in_loop(self, callback: Callable[..., None]) -> Callable[..., object]:
        """Return what calls back in the event loop's thread."""
        return partial(self._loop.call_soon_threadsafe, callback)

    def _begin_anew(self) -> None:
        """Forget the session before, what is being applied included (SPEC 5.1.3)."""
        self._server.reset()
        self._transmitter.silence()
        if self._uplink is not None:
            self._uplink.forget()

    def _on_message(self, message: Message) -> None:
        answer = self._server.hear(message)
        if isinstance(answer, Apply):
            self._transmitter.apply(answer)
        elif isinstance(answer, Hear):
            if self._uplink is not None:
                self._uplink.hear(answer)
        elif answer is not None:
            self._control.send(answer)

    def _on_applied(self, command: Apply, loaded: Sequence[PilotSetting]) -> None:
        self._loop.call_later(self._settle_s, self._on_settled, command, loaded)

    def _on_settled(self, command: Apply, loaded: Sequence[PilotSetting]) -> None:
        for answer in self._server.applied(command, loaded):
            self._control.send(answer)

    def _on_heard(self, command: Hear, samples: ComplexArray | str) -> None:
        for answer in self._server.heard(command, samples):
            self._control.send(answer)

    def _on_failed(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(RadioError(f"{type(error).__name__}: {error}"))


def _slots(loaded: LoadedTestbed, section: SdrBackendSection) -> tuple[str, ...]:
    """Return who sounds, if there is anything to hear it with."""
    if section.uplink is None:
        return ()
    if loaded.file.sounding is None:
        raise loaded.error(("sdr_backend", "uplink"), "expected a section sounding that says who sounds when, got none")
    return loaded.file.sounding.slots


def _hello(shared: TestbedFacts, limits: FrontEndLimits) -> Hello:
    return Hello(
        name=RADIO,
        versions=(PROTOCOL_VERSION,),
        software=software(),
        digest=shared.digest(),
        facts=shared,
        capabilities=RadioCapabilities(front_end=limits),
    )


@contextmanager
def _blamed_on(loaded: LoadedTestbed, key: str) -> Iterator[None]:
    """Point at a driver in the testbed file that is not there, or has other options."""
    try:
        yield
    except (LookupError, ValueError) as error:
        raise loaded.error(("sdr_backend", key), str(error)) from error


async def _serve(loaded: LoadedTestbed) -> int:
    async with AsyncExitStack() as stack:
        try:  # metrics first: a process that cannot serve them has opened nothing yet
            await stack.enter_async_context(metrics_served(loaded, RADIO, lambda: process.families()))  # noqa: PLW0108
            process = RadioProcess(loaded)
        except (ValueError, OSError, RadioError) as error:
            logger.error("cannot start: %s", error)
            return 2
        logger.info("transmitting what the controller asks for")
        try:
            await process.run()
        except RefusedError as error:
            logger.error("the controller refuses this radio: %s", error)
            return 1
        except RadioError as error:
            logger.error("the radio is lost: %s", error)
            return 1
        return 0


def main(path: Path, *, run_directory: Path | None = None, quiet: bool = False) -> int:
    """Run the radio until it is stopped; return the exit status."""
    return serve_testbed("sdr", path, _serve, run_directory=run_directory, quiet=quiet, stopped=0)
