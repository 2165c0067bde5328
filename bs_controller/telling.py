"""Tells consoles what was recorded, if the testbed file says where (shell); nobody is waited for."""

import time
from collections.abc import Mapping
from pathlib import Path

from bs_controller.answers import Samples
from bs_controller.commands import Keep
from bs_controller.recorded import document_of
from bs_controller.records import Record
from protocol.events import Announcement, Event, Told, frames_from_event
from protocol.transport import Publisher

ANNOUNCE_S = 1.0


class Teller:
    """Publishes each record after it has been on disk, and once a second which run it is."""

    def __init__(self, endpoint: str) -> None:
        """Bind.

        Raises
        ------
        OSError
            If the endpoint is taken.
        """
        self._publisher = Publisher(endpoint)
        self._run: tuple[str, str, dict[str, object]] | None = None
        self._peers: dict[str, Record] = {}
        self._number = 0
        self._announced_s = float("-inf")

    def about(self, directory: Path, config_text: str) -> None:
        """Say which run it is from now on: that of a run directory, with its resolved configuration."""
        start = document_of(directory)["start"]
        assert isinstance(start, dict)  # noqa: S101 - it was written a moment ago
        self._run = str(directory.resolve()), config_text, start

    def tell(self, seq: int, command: Keep, recorded: bool) -> None:
        """Tell one record, which is number `seq` in the journal, with its arrays."""
        record = command.record
        if record["kind"] == "peer":
            self._peers[str(record["name"])] = record
        self._number = seq
        assert self._run is not None  # noqa: S101 - nothing is recorded before
        told = Told(started_utc=str(self._run[2].get("started_utc", "")), record=record, recorded=recorded)
        self._publish(told, {**command.samples, **command.told})

    def announce(self, now_s: float) -> None:
        """Tell which run it is, unless it was told within the last second."""
        if self._run is None or now_s - self._announced_s < ANNOUNCE_S:
            return
        self._announced_s = now_s
        directory, config, start = self._run
        self._publish(
            Announcement(directory=directory, config=config, start=start, peers=list(self._peers.values())), {}
        )

    def _publish(self, event: Announcement | Told, arrays: Mapping[str, Samples]) -> None:
        self._publisher.publish(
            frames_from_event(Event(number=self._number, sent_s=time.time(), event=event, arrays=arrays))
        )

    def close(self) -> None:
        """Let what was told leave, and unbind."""
        self._publisher.close()
