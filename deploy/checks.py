"""What must hold between the sections of a testbed file before any process is started."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from bs_controller.config import ControllerSection, TrackSection
from bs_controller.schemes import scheme_from_options
from emulator.config import EmulatorSection
from emulator.scene import Scene
from emulator.tracks import read_tracks
from protocol.config import LoadedTestbed, facts
from protocol.keys import CONTROLLER, RADIO
from protocol.names import each_name
from sdr_backend.config import SdrBackendSection, UplinkReceiverSection
from sdr_backend.drivers import OptionValue
from sdr_backend.ofdm import FrameLayout
from sdr_backend.sounding import Rounds
from ue_agent.config import UeAgentSection
from ue_agent.receiver import EMULATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a continuous run is asked for: how often each user is to be found, and how long if it is to end by itself."""

    rate_hz: dict[str, float]
    duration_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedTestbed:
    """A testbed file of which every section has been read and fits the others."""

    loaded: LoadedTestbed
    controller: ControllerSection
    emulator: EmulatorSection
    ue_agent: UeAgentSection

    @property
    def fixes_per_ue(self) -> int | None:
        """Return how many fixes of each user a run of this file is asked for; None of one that goes on until it is stopped."""
        track = self.controller.track
        if track is None:
            return len(self.controller.schemes) * self.controller.rounds
        return None if track.duration_s is None else round(track.duration_s * track.rate_hz)

    @property
    def expected_fixes(self) -> int:
        """Return how many fixes a run of this file is asked for, which tracks no users."""
        return len(self.controller.ues) * len(self.controller.schemes) * self.controller.rounds

    @property
    def wanted(self) -> Wanted:
        """Return what a run of this file is asked for, which tracks users."""
        track = self.controller.track or TrackSection()
        rates = {ue: track.rates_hz.get(ue, track.rate_hz) for ue in self.controller.ues}
        return Wanted(rate_hz=rates, duration_s=track.duration_s)


def tracking(loaded: LoadedTestbed, duration_s: float | None) -> LoadedTestbed:
    """Return a file whose users are tracked, as long as its own section `track` says or for a duration, and once only."""
    track = loaded.file.controller.get("track")
    section = dict(track) if isinstance(track, Mapping) else {}
    if duration_s is not None:
        section["duration_s"] = duration_s
    controller = {key: value for key, value in loaded.file.controller.items() if key != "rounds"}
    return loaded.with_section("controller", {**controller, "track": section})


def checked(loaded: LoadedTestbed) -> CheckedTestbed:
    """Return the file with all its sections.

    Raises
    ------
    ConfigError
        If a section does not fit its type, the testbed, or the other sections.
    """
    controller = loaded.section("controller", ControllerSection)
    emulator = loaded.section("emulator", EmulatorSection)
    shared = facts(loaded.file)
    _check_users(loaded, emulator)
    try:
        Scene.from_section(emulator, shared, read_tracks(emulator, loaded.path.parent, shared.region))
    except ValueError as error:
        raise loaded.error(("emulator", "users"), f"expected users that fit the testbed, got: {error}") from error
    for index, options in enumerate(controller.schemes):
        try:
            scheme_from_options(options, shared)
        except ValueError as error:
            text = f"expected a scheme that fits the testbed, got: {error}"
            raise loaded.error(("controller", "schemes", index), text) from error
    for name in loaded.file.metrics.at:
        processes = (CONTROLLER, RADIO, *controller.ues)
        if name not in processes:
            raise loaded.error(("metrics", "at", name), f"expected one of {', '.join(processes)}, got {name}")
    ue_agent = loaded.section("ue_agent", UeAgentSection)
    if loaded.file.sdr is not None:
        _check_samples(loaded, ue_agent)
    return CheckedTestbed(loaded=loaded, controller=controller, emulator=emulator, ue_agent=ue_agent)


def _check_users(loaded: LoadedTestbed, emulator: EmulatorSection) -> None:
    """Refuse UEs that the emulator does not know."""
    for index, names in enumerate(msgspec.convert(loaded.file.controller["ues"], tuple[str, ...])):
        for ue in each_name(names):
            if ue not in emulator.users:
                known = ", ".join(emulator.users) or "none"
                raise loaded.error(("controller", "ues", index), f"expected a user of the emulator ({known}), got {ue}")


def _check_samples(loaded: LoadedTestbed, ue_agent: UeAgentSection) -> None:
    """Refuse a receiver of grids beside an air of samples, and streams that skip anything but whole frames."""
    backend = loaded.section("sdr_backend", SdrBackendSection)
    if ue_agent.receiver == EMULATED:
        raise loaded.error(("ue_agent",), f"expected a receiver of samples beside sdr, got {EMULATED}")
    count = loaded.file.downlink.subcarriers
    frame = FrameLayout.of(count).frame_samples
    text = f"the samples of a frame of {count} subcarriers"
    _expect(loaded, ("sdr_backend", "radio", "options", "stride"), backend.radio.options, frame, text)
    _expect(loaded, ("ue_agent", "options", "counted"), ue_agent.options, frame, text)
    if loaded.file.sdr is not None and loaded.file.sdr.uplink is not None:
        _check_uplink(loaded, ue_agent, backend.uplink)


def _check_uplink(loaded: LoadedTestbed, ue_agent: UeAgentSection, receiver: UplinkReceiverSection | None) -> None:
    """Refuse an uplink of samples of which a part is missing, or whose ends do not count in rounds."""
    if loaded.file.sounding is None or receiver is None or ue_agent.sounder is None:
        parts = "sounding, sdr_backend.uplink and ue_agent.sounder"
        raise loaded.error(("sdr", "uplink"), f"expected {parts} beside it, got not all of them")
    uplink, slots = loaded.file.uplink, loaded.file.sounding.slots
    samples = Rounds.of(uplink.subcarriers, slots).samples
    text = f"the samples of a round of {len(slots)} slots of {uplink.subcarriers} subcarriers"
    options = ("sdr_backend", "uplink", "radio", "options")
    _expect(loaded, ("ue_agent", "sounder_options", "stride"), ue_agent.sounder_options, samples, text)
    _expect(loaded, (*options, "counted"), receiver.radio.options, samples, text)
    _expect(loaded, (*options, "width"), receiver.radio.options, uplink.elements, "the elements of the uplink array")


def _expect(
    loaded: LoadedTestbed, path: tuple[str, ...], options: Mapping[str, OptionValue], expected: int, text: str
) -> None:
    """Refuse an option that has another value than this, if it is there."""
    found = options.get(path[-1], expected)
    if found != expected:
        raise loaded.error(path, f"expected {expected}, {text}, got {found}")
