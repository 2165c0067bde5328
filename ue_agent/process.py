"""The UE agent's process: joins control link, rules and receiver (shell, no formula)."""

import logging
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from protocol.config import LoadedTestbed, facts
from protocol.keys import CONTROLLER, RADIO, client_keys
from protocol.links import PeerLink, RefusedError
from protocol.messages import PROTOCOL_VERSION, FeedbackKind, Hello, Message, UeCapabilities
from protocol.metrics import Family
from protocol.shell import metrics_served, serve_testbed
from protocol.testbed import TestbedFacts
from protocol.versions import software
from ue_agent.agent import Agent, Command, Say
from ue_agent.config import UeAgentSection
from ue_agent.metrics import families
from ue_agent.receiver import EMULATED, ComplexArray, Receiver, ReceiverContext, receiver_factory
from ue_agent.sounder import Sounder, SounderContext, sounder_factory

logger = logging.getLogger(__name__)


class UeProcess:
    """One UE: what the controller says goes to the agent, what the agent commands goes to receiver and link."""

    def __init__(self, loaded: LoadedTestbed, name: str) -> None:
        section = loaded.section("ue_agent", UeAgentSection)
        shared = facts(loaded.file)
        hello = Hello(
            name=name,
            versions=(PROTOCOL_VERSION,),
            software=software(),
            digest=shared.digest(),
            facts=shared,
            capabilities=UeCapabilities(feedback_kinds=tuple(FeedbackKind)),
        )
        links = loaded.file.links
        self._agent = Agent()
        keys = client_keys(loaded, links.control, name, CONTROLLER)
        self._link = PeerLink(links.control, hello, self._on_message, self._agent.reset, keys=keys)
        air_keys = client_keys(loaded, links.air, name, RADIO) if section.receiver == EMULATED else None
        context = ReceiverContext(ue=name, facts=shared, air=links.air, options=section.options, air_keys=air_keys)
        self._receiver: Receiver = receiver_factory(section.receiver)(context, self._on_received)
        self._sounder = _sounder(loaded, section, name, shared)

    def families(self) -> list[Family]:
        """Return the metrics of this moment."""
        return families(self._agent.counters, self._link.counters(), is_open=self._link.is_open)

    async def run(self) -> None:
        """Serve the controller until cancelled or refused for good."""
        try:
            await self._link.run()
        finally:
            self._receiver.close()
            if self._sounder is not None:
                self._sounder.close()

    def _on_message(self, message: Message) -> None:
        self._obey(self._agent.hear(message))

    def _on_received(self, epoch: int, samples: ComplexArray) -> None:
        self._obey(self._agent.receive(epoch, samples))

    def _obey(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, Say):
                self._link.send(command.message)
            else:
                self._receiver.listen(command.epoch)


def _sounder(loaded: LoadedTestbed, section: UeAgentSection, ue: str, shared: TestbedFacts) -> Sounder | None:
    """Return what sounds for this UE; it has to have a slot then."""
    if section.sounder is None:
        return None
    slots = () if loaded.file.sounding is None else loaded.file.sounding.slots
    if ue not in slots:
        raise LookupError(
            f"sounder {section.sounder}: expected a slot for {ue} in sounding, got {', '.join(slots) or 'none'}"
        )
    context = SounderContext(ue=ue, slots=slots, facts=shared, options=section.sounder_options)
    return sounder_factory(section.sounder)(context)


async def _serve(loaded: LoadedTestbed, name: str) -> int:
    async with AsyncExitStack() as stack:
        try:  # metrics first: a process that cannot serve them has opened nothing yet
            await stack.enter_async_context(metrics_served(loaded, name, lambda: process.families()))  # noqa: PLW0108
            process = UeProcess(loaded, name)
        except OSError as error:
            logger.error("%s: cannot start: %s", name, error)
            return 2
        except LookupError as error:
            logger.error("%s: %s", name, error)
            return 1
        try:
            await process.run()
        except RefusedError as error:
            logger.error("%s: the controller refuses this UE: %s", name, error)
            return 1
        return 0


def main(path: Path, name: str, *, run_directory: Path | None = None, quiet: bool = False) -> int:
    """Run the UE of this name until it is stopped; return the exit status."""
    return serve_testbed(name, path, partial(_serve, name=name), run_directory=run_directory, quiet=quiet, stopped=0)
