"""The kit as controller and emulator of one UE under test."""

import numpy as np
import numpy.typing as npt

from protocol.conformance.case import NonconformityError, UnsupportedError
from protocol.conformance.curve import Door
from protocol.conformance.drivers.peer import PeerUnderTest
from protocol.conformance.headers import Said, frames_of, header, parsed
from protocol.conformance.keyring import RADIO
from protocol.conformance.referee import UE_SAYS
from protocol.conformance.rig import Rig
from protocol.conformance.sockets import now_s

ComplexArray = npt.NDArray[np.complex128]
KINDS = ("peak", "group", "power", "complex")


class UeUnderTest(PeerUnderTest):
    """A UE, its control link, and the air that it listens to.

    Every `listen` is answered at once with what `on_air` says, unless `answers_listen` is off; a case then answers by
    `answer_listen`.
    """

    answers = frozenset({*(f"{kind}_report" for kind in KINDS), "declined"})

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig, UE_SAYS)
        self.on_air: tuple[int, ComplexArray] | None = None
        self.answers_listen = True
        self.listens: list[Said] = []  # that no case has seen yet
        self.heard_listens_at_s: list[float] = []
        self._epoch = 0
        self.air_door = None if rig.ring is None else rig.ring.door_of(RADIO)
        if rig.target.has_air:
            self.open_air()

    def begin(self) -> None:
        """Bring the UE to the hello of a fresh session, with nothing on the air."""
        self.on_air, self.answers_listen = None, True
        self._epoch = 0
        super().begin()
        self.listens.clear()
        self.heard_listens_at_s.clear()

    @property
    def subcarriers(self) -> int:
        """Return the number of subcarriers of the downlink."""
        return self.rig.shared.downlink.grid.count

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of feedback that the UE advertises."""
        assert self.hello is not None  # noqa: S101 - a case begins with it
        capabilities = self.hello.fields["capabilities"]
        assert isinstance(capabilities, dict)  # noqa: S101 - the schema was checked
        return tuple(capabilities["feedback_kinds"])

    def next_epoch(self) -> int:
        """Return an epoch that was not yet used in this session."""
        self._epoch += 1
        return self._epoch

    def samples(self) -> ComplexArray:
        """Return random samples of one grid, ``(subcarrier,)``."""
        numbers = [[self.rig.random.gauss(0.0, 1e-6) for _ in range(self.subcarriers)] for _ in range(2)]
        return np.array(numbers[0]) + 1j * np.array(numbers[1])

    # --- verbs -------------------------------------------------------------------------------------------------------

    def require_kind(self, kind: str) -> None:
        """Check that the UE has this kind of feedback.

        Raises
        ------
        UnsupportedError
            If it does not advertise it.
        """
        if kind not in self.kinds:
            raise UnsupportedError(f"the UE advertises {', '.join(self.kinds) or 'no kinds'}, not {kind}")

    def ask(self, kind: str, *, groups: int = 1, epoch: int | None = None) -> int:
        """Say `measure` and return its epoch."""
        epoch = self.next_epoch() if epoch is None else epoch
        self.say("measure", {"epoch": epoch, "kind": kind, "groups": groups})
        return epoch

    def request(self, epoch: int, *, session: int | None = None, sequence: int | None = None) -> int:
        """Put random samples on the air and ask for a report of them."""
        self.on_air = (epoch, self.samples())
        return super().request(epoch, session=session, sequence=sequence)

    def requested(self, epoch: int) -> tuple[str, dict[str, object]]:
        """Return a `measure` of the first kind that the UE advertises."""
        return "measure", {"epoch": epoch, "kind": self.kinds[0] if self.kinds else "peak", "groups": 1}

    def measure(
        self, kind: str, samples: ComplexArray, *, groups: int = 1, epoch: int | None = None, within_s: float = 2.0
    ) -> Said:
        """Put samples on the air, ask for one kind of report, and return the report."""
        self.require_kind(kind)
        self.require_air()
        epoch = self.next_epoch() if epoch is None else epoch
        self.on_air = (epoch, samples)
        self.ask(kind, groups=groups, epoch=epoch)
        report = self.expect(f"{kind}_report", within_s=within_s)
        if report.fields["epoch"] != epoch:
            raise NonconformityError(f"expected epoch {epoch}, got {report.fields}", "5.1.4")
        return report

    def bind_air(self, door: Door | None) -> None:
        """Bind the air link anew, at a door with keys if there is one."""
        self.drop_air()
        self._air = self.rig.pump.bound(self.rig.air, "air", self._overhear, door)

    def open_air(self) -> None:
        """Bind the air link anew, at the UE's own door."""
        self.bind_air(self.air_door)

    def expect_listen(self, *, within_s: float = 2.0) -> Said:
        """Return the next `listen` that no case has seen yet."""
        self.require_air()
        until_s = now_s() + within_s
        while not self.listens:
            if now_s() >= until_s:
                raise NonconformityError(f"expected listen within {within_s:g} s, got none", "8.1.1")
            self.pump.step(until_s)
        return self.listens.pop(0)

    def answer_listen(self, listen: Said, samples: ComplexArray | None, *, epoch: int | None = None) -> None:
        """Answer with a grid, of the epoch hoped for unless given, or with silence."""
        epoch = listen.integer("epoch") if epoch is None else epoch
        if samples is None:
            frames = frames_of(header("silence", {"epoch": epoch, "text": "nothing is on the air"}), {})
        else:
            frames = frames_of(header("grid", {"epoch": epoch}), {"samples": samples})
        self.answer_listen_frames(listen, frames)

    def answer_listen_frames(self, listen: Said, frames: list[bytes]) -> bool:
        """Answer with any frames; return whether the connection is still there."""
        assert self._air is not None  # noqa: S101 - somebody listened
        return self._air.send(frames, listen.route)

    # --- hearing -----------------------------------------------------------------------------------------------------

    def _overhear(self, route: bytes, frames: list[bytes], at_s: float) -> None:
        said = parsed(frames, at_s=at_s, route=route)
        if said.type != "listen" or said.session or said.sequence or said.acknowledged:
            raise NonconformityError(
                f"expected listen with session, seq and ack 0 on the air link, got {said.type}", "3.4.1"
            )
        if said.fields["ue"] != self.rig.target.name:
            raise NonconformityError(f"expected listen of {self.rig.target.name}, got {said.fields}", "3.4.1")
        self.listens.append(said)
        self.heard_listens_at_s.append(said.at_s)
        if self.answers_listen:
            epoch, samples = self.on_air or (said.integer("epoch"), None)
            self.answer_listen(said, samples, epoch=epoch)
