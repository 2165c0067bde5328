"""A guarded router on loopback for tests, what came through it, and the dealers that knock."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from protocol.curve import GuardedRouter, KeyedDealer
from protocol.keys import AllowList, ClientKeys, Identity, ServerKeys, read_secret
from protocol.messages import Role
from protocol.transport import Dealer, Route
from tests.protocol.keyring import Keyring
from tests.protocol.test_transport import LIMIT_BYTES, WITHIN_S, Inbox

ANYWHERE = "tcp://127.0.0.1:*"


class Door:
    """A guarded router, what came through it, and the dealers that knock."""

    def __init__(self, ring: Keyring, roles: Iterable[Role], router: type[GuardedRouter] = GuardedRouter) -> None:
        self.ring = ring
        self.came: list[tuple[list[bytes], Identity | None]] = []
        self.routes: list[Route] = []
        self.gone: list[Route] = []
        self.changes = 0
        keys = ServerKeys(secret=read_secret(ring.folder, "controller"), allowed=AllowList(ring.list, roles))
        self.router = router(
            ANYWHERE, self._take, self.gone.append, self._changed, max_frame_bytes=LIMIT_BYTES, keys=keys
        )
        self.dealers: list[Dealer] = []

    def _take(self, route: Route, frames: list[bytes], sender: Identity | None) -> None:
        self.came.append((frames, sender))
        self.routes.append(route)

    def _changed(self) -> None:
        self.changes += 1

    def knock(self, keys: ClientKeys, endpoint: str | None = None) -> KeyedDealer:
        dealer = KeyedDealer(endpoint or self.router.endpoint, Inbox(), max_frame_bytes=LIMIT_BYTES, keys=keys)
        self.dealers.append(dealer)
        return dealer

    def names(self) -> list[str | None]:
        return [sender.name if sender else None for _, sender in self.came]

    def close(self) -> None:
        for dealer in self.dealers:
            dealer.close(0.0)
        self.router.close(0.0)


@asynccontextmanager
async def door(tmp_path: Path, roles: Iterable[Role] = Role) -> AsyncIterator[Door]:
    ring = Keyring(tmp_path / "keys")
    ring.enrolled("ue-1")
    ring.enrolled("ue-2")
    opened = Door(ring, roles)
    try:
        async with asyncio.timeout(2 * WITHIN_S):
            yield opened
    finally:
        opened.close()
