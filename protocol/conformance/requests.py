"""What holds of everything that a controller asks for, whatever the case is about. Pure: no socket, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protocol.conformance.case import NonconformityError
from protocol.conformance.headers import Said
from protocol.testbed import MAX_GROUPS, TestbedFacts

ROUNDING_S = 1e-15  # that a delay may be outside the span (SPEC 6.3)


@dataclass(slots=True, kw_only=True)
class RequestWatch:
    """What was asked of a radio and of UEs so far; `kinds` are those that each UE advertises."""

    shared: TestbedFacts
    front_end: Mapping[str, float]
    kinds: Mapping[str, Sequence[str]]
    settings: dict[int, Said] = field(default_factory=dict)  # of the radio's session, by epoch
    ready: set[int] = field(default_factory=set)
    _requests: dict[int, tuple[object, ...]] = field(default_factory=dict)

    def radio_returns(self) -> None:
        """Take note that the radio has a new session, in which epochs may begin anew (SPEC 5.1.2)."""
        self.settings.clear()
        self.ready.clear()
        self._requests.clear()

    def radio_asked(self, said: Said) -> None:
        """Check `configure` or `capture`.

        Raises
        ------
        NonconformityError
            If its epoch was used for something else, or no front end like this can have the setting.
        """
        epoch, what = said.integer("epoch"), (said.type, repr(said.fields), said.frames[1:])
        newest = max(self._requests, default=0)
        if self._requests.setdefault(epoch, what) != what:
            raise NonconformityError(f"expected the request of epoch {epoch} as before, got {said.fields}", "5.1.1")
        if epoch < newest and said.type == "configure" and epoch not in self.settings:
            raise NonconformityError(f"expected an epoch above {newest} for a new request, got {epoch}", "5.1.1")
        if said.type == "configure":
            self._check_setting(said)
            self.settings[epoch] = said

    def _check_setting(self, said: Said) -> None:
        phase_cycles, delay_s = said.arrays["phase_cycles"], said.arrays["delay_s"]
        groups, elements = phase_cycles.shape
        count, span_s = self.shared.downlink.grid.count, self.front_end["delay_span_s"]
        if delay_s.shape != phase_cycles.shape:
            text = f"expected delays in the shape of the phases, {phase_cycles.shape}, got {delay_s.shape}"
            raise NonconformityError(text, "3.4.1")
        if elements != self.front_end["elements"]:
            text = f"expected a setting of {self.front_end['elements']} elements, got {elements}"
            raise NonconformityError(text, "6.3.3")
        if groups > MAX_GROUPS or count % groups:
            text = f"expected groups that divide {count} subcarriers, at most {MAX_GROUPS}, got {groups}"
            raise NonconformityError(text, "6.3.3")
        if delay_s.min() < -ROUNDING_S or delay_s.max() > span_s + ROUNDING_S:
            text = f"expected delays of 0 to {span_s:g} s, got {delay_s.min():g} to {delay_s.max():g} s"
            raise NonconformityError(text, "6.3.3")

    def ue_asked(self, ue: str, said: Said) -> None:
        """Check `measure`.

        Raises
        ------
        NonconformityError
            If it is about no setting that is on the air, or asks for what the UE does not have.
        """
        epoch, kind = said.integer("epoch"), said.text("kind")
        if kind not in self.kinds[ue]:
            raise NonconformityError(f"expected a kind of {list(self.kinds[ue])} from {ue}, got {kind}", "7.1.2")
        if epoch not in self.ready:
            text = f"expected measure about a setting that is on the air, got epoch {epoch}, ready are {self.ready}"
            raise NonconformityError(text, "5.1")
        groups = self.settings[epoch].arrays["phase_cycles"].shape[0]
        if said.fields["groups"] != groups:
            text = f"expected the {groups} groups of the setting in measure, got {said.fields['groups']}"
            raise NonconformityError(text, "7.1")
