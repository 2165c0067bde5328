"""The kit as controller of one radio under test, and as a UE receiver on its air link."""

from collections import deque

import numpy as np
import numpy.typing as npt

from protocol.conformance.case import NonconformityError
from protocol.conformance.conversation import PATIENCE_S
from protocol.conformance.drivers.peer import PeerUnderTest
from protocol.conformance.headers import Said, frames_of, header, parsed
from protocol.conformance.keyring import RADIO
from protocol.conformance.referee import RADIO_SAYS
from protocol.conformance.rig import Rig
from protocol.conformance.sockets import now_s

Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.complex128]


class RadioUnderTest(PeerUnderTest):
    """A radio, its control link, and the air link of a radio that has one."""

    answers = frozenset({"snapshot", "declined"})

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig, RADIO_SAYS)
        self.overheard: deque[Said] = deque()
        self._epoch = 0
        if rig.target.has_air:
            self.open_air()

    def begin(self) -> None:
        """Bring the radio to the hello of a fresh session."""
        self._epoch = 0
        super().begin()
        self.overheard.clear()

    @property
    def ue(self) -> str:
        """Return the name of a UE that the radio knows."""
        return self.rig.target.name

    @property
    def subcarriers(self) -> int:
        """Return the number of subcarriers of the downlink."""
        return self.rig.shared.downlink.grid.count

    @property
    def elements(self) -> int:
        """Return the number of elements of the front end."""
        return int(self.front_end["elements"])

    def groups_near(self, wanted: int) -> int:
        """Return a number of groups that divides the subcarriers, the largest up to `wanted`."""
        return next(groups for groups in range(wanted, 0, -1) if self.subcarriers % groups == 0)

    @property
    def front_end(self) -> dict[str, float]:
        """Return what the radio advertises of its front end."""
        assert self.hello is not None  # noqa: S101 - a case begins with it
        capabilities = self.hello.fields["capabilities"]
        assert isinstance(capabilities, dict)  # noqa: S101 - the schema was checked
        return dict(capabilities["front_end"])

    def next_epoch(self) -> int:
        """Return an epoch that was not yet used in this session."""
        self._epoch += 1
        return self._epoch

    def setting(self, groups: int = 1) -> tuple[Floats, Floats]:
        """Return random phases and delays that the front end can have, ``(group, element)`` each."""
        shape = (groups, self.elements)
        count = shape[0] * shape[1]
        phase_cycles = [self.rig.random.random() for _ in range(count)]
        delay_s = [self.rig.random.random() * self.front_end["delay_span_s"] for _ in range(count)]
        return np.array(phase_cycles).reshape(shape), np.array(delay_s).reshape(shape)

    def configure(
        self, phase_cycles: Floats, delay_s: Floats, *, groups_per_pilot: int = 1, epoch: int | None = None
    ) -> int:
        """Say `configure` and return its epoch."""
        epoch = self.next_epoch() if epoch is None else epoch
        fields = {"epoch": epoch, "groups_per_pilot": groups_per_pilot}
        self.say("configure", fields, {"phase_cycles": phase_cycles, "delay_s": delay_s})
        return epoch

    def requested(self, epoch: int) -> tuple[str, dict[str, object]]:
        """Return a `capture` of one uplink pilot."""
        return "capture", {"epoch": epoch, "ue": self.ue}

    def put_on_air(self, phase_cycles: Floats, delay_s: Floats, *, groups_per_pilot: int = 1) -> Said:
        """Say `configure` and return the `ready` to it."""
        epoch = self.configure(phase_cycles, delay_s, groups_per_pilot=groups_per_pilot)
        return self.expect_answer("ready", epoch)

    def expect_declined(self, clause: str, epoch: int) -> Said:
        """Return the `declined` that answers a request and names this clause."""
        declined = self.expect_answer("declined", epoch)
        if declined.fields["clause"] != clause:
            raise NonconformityError(f"expected declined by {clause}, got {declined.fields}")
        return declined

    def expect_answer(self, kind: str, epoch: int) -> Said:
        """Return the answer to a request: ``ready``, ``snapshot`` or ``declined``, of its epoch."""
        said = self.expect(kind, within_s=PATIENCE_S + self.front_end["settle_s"])
        if said.fields["epoch"] != epoch:
            raise NonconformityError(f"expected {kind} of epoch {epoch}, got {said.fields}", "5.1.4")
        return said

    def capture(self, ue: str, *, epoch: int | None = None) -> int:
        """Say `capture` and return its epoch."""
        epoch = self.next_epoch() if epoch is None else epoch
        self.say("capture", {"epoch": epoch, "ue": ue})
        return epoch

    def listen(self, ue: str, epoch: int, *, within_s: float = PATIENCE_S) -> Said:
        """Ask on the air link as a UE receiver does, and return ``grid`` or ``silence``."""
        self.listen_frames(frames_of(header("listen", {"ue": ue, "epoch": epoch}), {}))
        return self.expect_overheard(within_s=within_s)

    def expect_overheard(self, *, within_s: float = PATIENCE_S) -> Said:
        """Return the next answer on the air link."""
        until_s = now_s() + within_s
        while not self.overheard:
            if now_s() >= until_s:
                raise NonconformityError(f"expected grid or silence within {within_s:g} s, got nothing", "8.2.1")
            self.pump.step(until_s)
        return self.overheard.popleft()

    def hear(self, ue: str, epoch: int, hoped_for: int | None = None) -> Samples:
        """Return what a UE hears, which must be the grid of this epoch, ``(subcarrier,)``."""
        said = self.listen(ue, epoch if hoped_for is None else hoped_for)
        if said.type != "grid" or said.fields["epoch"] != epoch:
            raise NonconformityError(f"expected the grid of epoch {epoch}, got {said.type} {said.fields}", "8.2.1")
        samples = said.arrays["samples"].astype(np.complex128)
        if samples.shape != (self.subcarriers,):
            raise NonconformityError(f"expected {self.subcarriers} samples, got {samples.shape}", "8.2.1")
        return samples

    def open_air(self) -> None:
        """Listen through another connection from now on."""
        self.drop_air()
        keys = None if self.rig.ring is None else self.rig.ring.pass_of(self.ue, RADIO)
        self._air = self.rig.pump.connected(self.rig.air, "air", self._overhear, keys)

    def listen_frames(self, frames: list[bytes]) -> None:
        """Say any frames on the air link."""
        assert self._air is not None  # noqa: S101 - `require_air` comes first
        self._air.send(frames)

    def _overhear(self, route: bytes, frames: list[bytes], at_s: float) -> None:
        said = parsed(frames, at_s=at_s, route=route)
        if said.type not in {"grid", "silence"} or said.session or said.sequence or said.acknowledged:
            raise NonconformityError(f"expected grid or silence with zeros on the air link, got {said.type}", "3.4.1")
        self.overheard.append(said)
