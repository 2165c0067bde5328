"""The kit as a whole site to a controller: a radio, and UEs at known places, that answer by the reference maths.

Whatever the controller asks for is checked as it comes and answered, unless a case wants to do that itself.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from protocol.conformance import reference, reference_radio
from protocol.conformance.case import NonconformityError
from protocol.conformance.drivers.controller import ControllerUnderTest, KitPeer
from protocol.conformance.headers import Array, Fields, Said
from protocol.conformance.reference import ComplexArray
from protocol.conformance.requests import RequestWatch
from protocol.conformance.scene import Place
from protocol.conformance.sockets import now_s

PATIENCE_S = 5.0  # for a request that there is no bound for
KINDS = ("peak", "group", "power", "complex")

Answer = tuple[str, Fields, Mapping[str, Array]]


def places_in(controller: ControllerUnderTest) -> dict[str, Place]:
    """Return where the kit has its users: in the nearer part of the region, off its axes."""
    region = controller.rig.shared.region
    depth_m = region.range_max_m - region.range_min_m
    centre_rad = (region.angle_min_rad + region.angle_max_rad) / 2
    half_rad = (region.angle_max_rad - region.angle_min_rad) / 2
    return {
        name: Place(range_m=region.range_min_m + near * depth_m, angle_rad=centre_rad + aside * half_rad)
        for name, near, aside in (("ue-1", 0.07, 0.1), ("ue-2", 0.15, -0.53))
    }


class Site:
    """A radio and UEs; nobody has said anything yet."""

    def __init__(
        self,
        controller: ControllerUnderTest,
        kinds: Mapping[str, Sequence[str]] | Sequence[str] = KINDS,
        **front_end: float,
    ) -> None:
        self.controller = controller
        self.shared = controller.rig.shared
        self.places = places_in(controller)
        known = kinds if isinstance(kinds, Mapping) else {"ue-1": kinds}
        self.ues = {name: controller.ue(name, wanted) for name, wanted in known.items()}
        self.radio = controller.radio(**front_end)
        capability = self.radio.capabilities["front_end"]
        assert isinstance(capability, dict)  # noqa: S101 - made so
        self.front_end: dict[str, float] = capability
        self.watch = RequestWatch(shared=self.shared, front_end=self.front_end, kinds=known)
        self.asked: list[tuple[KitPeer, Said]] = []
        self.mute: set[str] = set()  # who answers nothing
        self.declines: set[str] = set()  # types of requests
        self._channels: dict[str, ComplexArray] = {}

    def open(self) -> "Site":
        """Let everybody open a session."""
        for peer in (*self.ues.values(), self.radio):
            peer.open_session()
        return self

    def radio_returns(self) -> None:
        """Let the radio open a session again, on a new connection."""
        self.radio.vanish()
        self.radio = self.controller.peer(self.radio.name, self.radio.capabilities)
        self.watch.radio_returns()
        self.radio.open_session()

    # --- being asked -------------------------------------------------------------------------------------------------

    def next_request(self, *kinds: str, ue: str | None = None, within_s: float = PATIENCE_S) -> Said | None:
        """Answer everything until something of these types comes, for this UE if one is given, and return that."""
        until_s = now_s() + within_s
        while True:
            for peer in (self.radio, *self.ues.values()):
                while peer.requests:
                    said = self._taken(peer)
                    if said.type in kinds and (ue is None or _of_ue(peer, said) == ue):
                        return said
                    if peer.name not in self.mute:
                        self.answer(said, peer)
            if now_s() >= until_s:
                return None
            self.controller.pump.step(until_s)

    def request(self, *kinds: str, ue: str | None = None, within_s: float = PATIENCE_S) -> Said:
        """Return what `next_request` does; without it, the controller does nothing for its users."""
        said = self.next_request(*kinds, ue=ue, within_s=within_s)
        if said is None:
            asked = [request.type for _, request in self.asked]
            text = f"expected {' or '.join(kinds)} within {within_s:g} s, got {asked[-8:] or 'no request'}"
            raise NonconformityError(text)
        return said

    def serve_for(self, duration_s: float) -> None:
        """Answer everything for a while."""
        self.next_request(within_s=duration_s)

    def serve_until(self, done: Callable[[], bool], *, within_s: float = PATIENCE_S) -> bool:
        """Answer everything until this holds; return whether it does in time."""
        until_s = now_s() + within_s
        while not done():
            if now_s() >= until_s:
                return False
            self.next_request(within_s=0.02)
        return True

    def count(self, *kinds: str) -> int:
        """Return how many requests of these types have come."""
        return sum(said.type in kinds for _, said in self.asked)

    def _taken(self, peer: KitPeer) -> Said:
        said = peer.requests.popleft()
        self.asked.append((peer, said))
        if peer is self.radio:
            self.watch.radio_asked(said)
        else:
            self.watch.ue_asked(peer.name, said)
        return said

    # --- answering ---------------------------------------------------------------------------------------------------

    def answer(self, said: Said, peer: KitPeer | None = None) -> int:
        """Answer a request as a conforming peer does, and return the sequence number of the answer."""
        if said.type in self.declines:
            return (self.radio if peer is None else peer).decline(said.integer("epoch"))
        match said.type:
            case "configure":
                self.watch.ready.add(said.integer("epoch"))
                return self.radio.say("ready", self._ready(said))
            case "capture":
                fields: Fields = {"epoch": said.fields["epoch"]}
                return self.radio.say("snapshot", fields, {"samples": self.snapshot(said.text("ue"))})
            case _:
                assert peer is not None  # noqa: S101 - a measure has its UE
                return peer.say(*self.report(peer.name, said))

    def _ready(self, said: Said) -> Fields:
        setting = _setting(said)
        phase_deviation_cycles, delay_deviation_s = reference_radio.deviations(setting, self.front_end)
        in_a_pilot = min(said.integer("groups_per_pilot"), int(self.front_end["groups"]))
        return {
            "epoch": said.fields["epoch"],
            "pilots": -(-len(setting[0]) // in_a_pilot),
            "phase_deviation_cycles": phase_deviation_cycles,
            "delay_deviation_s": delay_deviation_s,
        }

    def snapshot(self, ue: str) -> ComplexArray:
        """Return what the uplink array receives of a UE's pilot, ``(element, subcarrier)``."""
        return reference_radio.snapshot(self.places[ue], self.shared.uplink, self.shared.speed_of_light_m_s)

    def samples(self, ue: str, epoch: int) -> ComplexArray:
        """Return what a UE receives of the setting of an epoch, ``(subcarrier,)``."""
        said, grid = self.watch.settings[epoch], self.shared.downlink.grid
        setting = reference_radio.nearest(_setting(said), self.front_end)
        weight = reference.weights(*setting, count=grid.count, spacing_hz=grid.spacing_hz)
        if ue not in self._channels:
            x_m, position_m = self.shared.downlink.array.element_x_m, self.places[ue].position_m
            self._channels[ue] = reference.line_of_sight(
                position_m, x_m, grid.frequency_hz, self.shared.speed_of_light_m_s
            )
        return reference.received(self._channels[ue], weight)

    def report(self, ue: str, said: Said, kind: str | None = None) -> Answer:
        """Return the report that a measure asks for, or of another kind, for `KitPeer.say`."""
        epoch, kind = said.integer("epoch"), said.text("kind") if kind is None else kind
        samples = self.samples(ue, epoch)
        match kind:
            case "peak":
                return "peak_report", {"epoch": epoch, "subcarrier": reference.strongest(samples)}, {}
            case "group":
                group = reference.strongest_group(samples, said.integer("groups"))
                return "group_report", {"epoch": epoch, "group": group}, {}
            case "power":
                return "power_report", {"epoch": epoch}, {"power_w": reference.powers_w(samples)}
            case _:
                return "complex_report", {"epoch": epoch}, {"samples": reference.rounded(samples)}


def _setting(said: Said) -> reference_radio.Setting:
    return said.arrays["phase_cycles"].astype(np.float64), said.arrays["delay_s"].astype(np.float64)


def _of_ue(peer: KitPeer, said: Said) -> str:
    return said.text("ue") if said.type == "capture" else peer.name


def resized(samples: Array, by: int) -> Array:
    """Return samples with some more or less of them than there were, along the first axis."""
    return np.concatenate([samples, samples[:by]]) if by > 0 else samples[:by]
