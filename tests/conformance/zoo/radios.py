"""Radios that apply, send and capture wrongly."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from emulator import impairments, process, server
from emulator.downlink import DownlinkEmulator
from emulator.process import EmulatorProcess
from emulator.server import RadioServer
from emulator.uplink import UplinkEmulator
from protocol.messages import Declined, Listen, Snapshot
from protocol.testbed import Setting
from tests.conformance.zoo.registry import around, broken, constant


def _capturing(change: Any) -> None:
    def capture(original: Any, self: RadioServer, message: Any, now_s: float) -> Any:
        answer = original(self, message, now_s)
        if not isinstance(answer, Snapshot):
            return answer
        return msgspec.structs.replace(answer, samples=np.ascontiguousarray(change(answer.samples)))

    around(RadioServer, "_capture", capture)


@broken("radio-swaps-axes", {"radio/schema/snapshot-shape": "6.4.1"})
def swaps_axes() -> None:
    """Sends snapshots subcarriers first."""
    _capturing(np.transpose)


@broken("radio-swaps-axes-in-secret", {"radio/numerics/uplink-phases": "6.4.1", "radio/numerics/uplink-delay": "6.4.1"})
def swaps_axes_in_secret() -> None:
    """Sends snapshots subcarriers first in the shape of elements first."""
    _capturing(lambda samples: samples.T.reshape(samples.shape))


@broken("radio-reverses-elements", {"radio/numerics/uplink-phases": "6.4.1", "radio/numerics/uplink-delay": "6.4.1"})
def reverses_elements() -> None:
    """Counts the elements of the uplink array from the other end."""
    _capturing(lambda samples: samples[::-1])


@broken("radio-conjugates-snapshots", {"radio/numerics/uplink-phases": "6.4.1", "radio/numerics/uplink-delay": "6.4.1"})
def conjugates_snapshots() -> None:
    """Sends the conjugates of its snapshots."""
    _capturing(np.conj)


@broken("radio-conjugates-grids", {"radio/numerics/random-setting": "6.2.1", "radio/numerics/delays-alone": "6.2.1"})
def conjugates_grids() -> None:
    """Applies the channel without conjugating it."""
    around(DownlinkEmulator, "received", lambda original, *given: np.conj(original(*given)))


def _setting(change: Any) -> None:
    """Let the air receive something else than the setting that was applied."""

    def received(original: Any, self: DownlinkEmulator, setting: Setting, *given: Any) -> Any:
        return original(self, change(self, setting), *given)

    around(DownlinkEmulator, "received", received)


@broken(
    "radio-turns-phases-backwards",
    {"radio/numerics/phases-alone": "6.2.1", "radio/numerics/focus-of-the-wrong-sign": "6.2.1"},
)
def turns_phases_backwards() -> None:
    """Turns phases the other way."""
    _setting(lambda self, setting: replace(setting, phase_cycles=-setting.phase_cycles))


@broken("radio-turns-delays-backwards", {"radio/numerics/delays-alone": "6.2.1"})
def turns_delays_backwards() -> None:
    """Turns delays the other way."""
    _setting(lambda self, setting: replace(setting, delay_s=-setting.delay_s))


@broken(
    "radio-takes-phases-in-radians", {"radio/numerics/phases-alone": "6.2.1", "radio/numerics/common-phase": "6.2.1"}
)
def takes_phases_in_radians() -> None:
    """Takes phases for radians."""
    _setting(lambda self, setting: replace(setting, phase_cycles=setting.phase_cycles / (2 * np.pi)))


@broken("radio-counts-subcarriers-in-each-group", {"radio/numerics/random-groups": "6.2.1"})
def counts_subcarriers_in_each_group() -> None:
    """Lets each group's delays turn from its own first subcarrier."""

    def change(self: DownlinkEmulator, setting: Setting) -> Setting:
        grid = self._downlink.grid
        start_hz = grid.spacing_hz * grid.count / setting.groups * np.arange(setting.groups)[:, np.newaxis]
        return replace(setting, phase_cycles=setting.phase_cycles - start_hz * setting.delay_s)

    _setting(change)


@broken(
    "radio-interleaves-groups",
    {"radio/numerics/random-groups": "6.2.1", "radio/numerics/groups-are-independent": "6.2.1"},
)
def interleaves_groups() -> None:
    """Gives neighbouring subcarriers to different groups."""

    def received(original: Any, self: DownlinkEmulator, setting: Setting, *given: Any) -> Any:
        found = np.empty(self._downlink.grid.count, dtype=np.complex128)
        for group in range(setting.groups):
            rows = slice(group, group + 1)
            one = replace(setting, phase_cycles=setting.phase_cycles[rows], delay_s=setting.delay_s[rows])
            found[group :: setting.groups] = original(self, one, *given)[group :: setting.groups]
        return found

    around(DownlinkEmulator, "received", received)


def _asked(before: Any) -> None:
    def hear(original: Any, self: RadioServer, message: Any, now_s: float) -> Any:
        before(self, message)
        return original(self, message, now_s)

    around(RadioServer, "hear", hear)


@broken(
    "radio-answers-stale-requests", {"radio/session/stale-configure": "5.3.1", "radio/session/stale-capture": "5.3.1"}
)
def answers_stale_requests() -> None:
    """Serves requests of any epoch."""
    _asked(lambda self, message: setattr(self, "_newest_epoch", 0))


@broken(
    "radio-measures-again", {"radio/session/capture-again": "5.2.1", "radio/session/air-after-same-request": "5.2.1"}
)
def measures_again() -> None:
    """Serves a repeated request as if it were a new one."""

    def forget(self: RadioServer, message: Any) -> None:
        if self._answers.pop(getattr(message, "epoch", 0), None) is not None:
            self._newest_epoch = min(self._newest_epoch, message.epoch - 1)

    _asked(forget)


@broken(
    "radio-remembers-fifteen-answers",
    {"radio/session/sixteen-answers": "5.2.2", "radio/session/sixteen-snapshots": "5.2.2"},
)
def remembers_fifteen_answers() -> None:
    """Remembers fifteen answers."""
    constant(server, "REMEMBERED_ANSWERS", 15)


@broken(
    "radio-remembers-across-sessions",
    {"radio/session/answers-are-forgotten": "5.1.3", "radio/session/epochs-count-anew": "5.1.3"},
)
def remembers_across_sessions() -> None:
    """Keeps epochs and answers when a new session opens."""
    around(RadioServer, "reset", lambda original, self: None)


@broken("radio-ready-at-once", {"radio/timing/settles-first": "6.2.2"})
def ready_at_once() -> None:
    """Says ready before its setting has settled."""
    around(EmulatorProcess, "_later", lambda original, self, answer, wait_s: original(self, answer, 0.0))


@broken("radio-forgets-a-pilot", {"radio/session/pilots-are-rounded-up": "6.2.2"})
def forgets_a_pilot() -> None:
    """Counts only pilots that are full."""

    def pilots(_: Any, self: Setting, limits: Any) -> int:
        return max(1, self.groups // int(min(self.groups_per_pilot, limits.groups)))

    around(Setting, "pilots", pilots)


@broken("radio-counts-groups-for-pilots", {"radio/session/pilots-of-the-front-end": "6.2.2"})
def counts_groups_for_pilots() -> None:
    """Takes a pilot for each group, however many a pilot may have."""
    around(Setting, "pilots", lambda original, self, limits: self.groups)


@broken("radio-rounds-down", {"radio/numerics/deviations": "6.2.3", "radio/numerics/random-setting": "6.2.1"})
def rounds_down() -> None:
    """Applies the next lower phase and delay instead of the nearest."""

    def phases(_: Any, phase_cycles: Any, bits: int) -> Any:
        return np.mod(np.floor(phase_cycles * 2**bits), 2**bits) / 2**bits

    def delays(_: Any, delay_s: Any, step_s: float, span_s: float) -> Any:
        return np.clip(np.floor(delay_s / step_s * (1 + 1e-12)), 0, np.floor(span_s / step_s)) * step_s

    around(impairments, "_quantised_phase_cycles", phases)
    around(impairments, "_quantised_delay_s", delays)


@broken(
    "radio-states-no-deviations", {"radio/numerics/deviations": "6.2.3", "radio/numerics/deviation-of-one": "6.2.3"}
)
def states_no_deviations() -> None:
    """States that it applies what was asked for, whatever it applies."""
    around(server, "quantised", lambda original, *given: (original(*given)[0], 0.0, 0.0))


@broken("radio-states-mean-deviations", {"radio/numerics/deviations": "6.2.3"})
def states_mean_deviations() -> None:
    """States half of its largest deviations."""

    def quantised(original: Any, *given: Any) -> Any:
        applied, phase_cycles, delay_s = original(*given)
        return applied, phase_cycles / 2, delay_s / 2

    around(server, "quantised", quantised)


@broken("radio-applies-what-it-declines", {"radio/session/air-after-declined": "6.3.2"})
def applies_what_it_declines() -> None:
    """Puts something else on the air when it declines a setting."""

    def configure(original: Any, self: RadioServer, message: Any) -> Any:
        answer = original(self, message)
        if isinstance(answer, Declined) and self._on_air is not None:
            self._on_air = replace(self._on_air, epoch=message.epoch)
            self._grids.clear()
        return answer

    around(RadioServer, "_configure", configure)


@broken("radio-falls-silent-when-it-declines", {"radio/session/air-after-declined": "6.3.2"})
def falls_silent_when_it_declines() -> None:
    """Takes everything off the air when it declines a setting."""

    def configure(original: Any, self: RadioServer, message: Any) -> Any:
        answer = original(self, message)
        if isinstance(answer, Declined):
            self._on_air = None
        return answer

    around(RadioServer, "_configure", configure)


@broken(
    "radio-clips-delays", {"radio/session/delay-above-the-span": "6.3.1", "radio/session/delay-below-zero": "6.3.1"}
)
def clips_delays() -> None:
    """Applies delays out of its span at the span's ends instead of declining them."""

    def check(original: Any, self: RadioServer, setting: Setting) -> None:
        original(self, replace(setting, delay_s=np.clip(setting.delay_s, 0.0, self.limits.delay_span_s)))

    around(RadioServer, "_check", check)


@broken(
    "radio-fills-elements-up", {"radio/session/too-few-elements": "6.3.1", "radio/session/too-many-elements": "6.3.1"}
)
def fills_elements_up() -> None:
    """Takes settings of any number of elements and makes them fit."""

    def configure(original: Any, self: RadioServer, message: Any) -> Any:
        elements = self.limits.elements

        def fitted(array: Any) -> Any:
            return np.pad(array, ((0, 0), (0, elements)))[:, :elements]

        change = {"phase_cycles": fitted(message.phase_cycles), "delay_s": fitted(message.delay_s)}
        return original(self, msgspec.structs.replace(message, **change))

    around(RadioServer, "_configure", configure)


@broken("radio-has-new-noise-for-each-listen", {"radio/session/same-samples": "8.2.2"})
def has_new_noise_for_each_listen() -> None:
    """Gives a UE other noise whenever it listens."""

    def listen(original: Any, self: RadioServer, *given: Any) -> Any:
        self._grids.clear()
        return original(self, *given)

    around(RadioServer, "listen", listen)


@broken("radio-stops-for-captures", {"radio/session/air-after-capture": "6.4.4"})
def stops_for_captures() -> None:
    """Takes the downlink off the air when it captures."""

    def capture(original: Any, self: RadioServer, *given: Any) -> Any:
        self._on_air = None
        return original(self, *given)

    around(RadioServer, "_capture", capture)


@broken("radio-captures-anybody", {"radio/session/unknown-ue": "6.4.3"})
def captures_anybody() -> None:
    """Sends a snapshot of somebody else for a UE that it does not know."""

    def where(original: Any, self: RadioServer, ue: str, now_s: float) -> Any:
        found = original(self, ue, now_s)
        return original(self, "ue-1", now_s) if isinstance(found, str) else found

    around(RadioServer, "_where", where)


@broken("radio-grids-of-hoped-for-epochs", {"radio/session/grid-of-the-setting": "8.2.1"})
def grids_of_hoped_for_epochs() -> None:
    """Says that the air carries the epoch that a UE hopes for."""

    def listen(original: Any, self: RadioServer, message: Listen, *given: Any) -> Any:
        return msgspec.structs.replace(original(self, message, *given), epoch=message.epoch)

    around(RadioServer, "listen", listen)


@broken("radio-ignores-listens-in-silence", {"radio/session/nothing-on-the-air": "8.2.1"})
def ignores_listens_in_silence() -> None:
    """Says nothing on the air link if nothing is on the air."""

    def on_air(original: Any, self: EmulatorProcess, *given: Any) -> None:
        if self._server._on_air is not None:
            original(self, *given)

    around(EmulatorProcess, "_on_air", on_air)


@broken("radio-answers-with-its-own-epoch", {"radio/session/epoch-of-the-request": "5.1.4"})
def answers_with_its_own_epoch() -> None:
    """Counts the epochs of its answers itself."""

    def later(original: Any, self: EmulatorProcess, answer: Any, wait_s: float) -> None:
        original(self, msgspec.structs.replace(answer, epoch=answer.epoch % 2**62 + 1), wait_s)

    around(EmulatorProcess, "_later", later)


@broken("radio-never-declines", {"radio/session/unknown-ue": "6.4.3"})
def never_declines() -> None:
    """Says nothing where it should decline."""

    def later(original: Any, self: EmulatorProcess, answer: Any, wait_s: float) -> None:
        if not isinstance(answer, Declined):
            original(self, answer, wait_s)

    around(EmulatorProcess, "_later", later)


@broken("radio-answers-in-the-next-session", {"radio/session/answer-of-a-slow-radio": "5.1.3"})
def answers_in_the_next_session() -> None:
    """Takes 0.7 s to answer a setting, and answers in whatever session is open then."""

    def later(original: Any, self: EmulatorProcess, answer: Any, wait_s: float) -> None:
        original(self, answer, wait_s and 0.7)

    around(EmulatorProcess, "_later", later)
    around(EmulatorProcess, "_send", lambda original, self, answer, session: self._control.send(answer))


@broken("radio-advertises-other-elements", {"radio/numerics/deviations": "6.2.3"})
def advertises_other_elements() -> None:
    """Advertises a front end of half as many elements."""

    def capabilities(original: Any, *, front_end: Any) -> Any:
        return original(front_end=msgspec.structs.replace(front_end, elements=front_end.elements // 2))

    around(process, "RadioCapabilities", capabilities)


@broken("radio-swaps-users", {"radio/numerics/uplink-phases": "6.4.1", "radio/numerics/uplink-delay": "6.4.1"})
def swaps_users() -> None:
    """Captures the pilot of the other user."""

    def received(original: Any, self: UplinkEmulator, position: Any, *given: Any) -> Any:
        return original(self, replace(position, angle_rad=-position.angle_rad), *given)

    around(UplinkEmulator, "received", received)
