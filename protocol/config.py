"""The testbed file: one strict YAML file that every process reads, and the sections that all of them share.

Angles are degrees in the file and radians in the process. A process converts only its own raw section; what
does not fit is a `ConfigError` that points into the file. Nothing here opens a socket or resolves a host name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from protocol.endpoints import host_and_port, is_loopback, is_port, is_private
from protocol.messages import PeerName
from protocol.strict_yaml import ConfigError, Document, converted, read_document, text_from_values
from protocol.testbed import (
    SPEED_OF_LIGHT_M_S,
    Downlink,
    ElementCount,
    LinearArray,
    Positive,
    Region,
    SectorArray,
    SubcarrierCount,
    SubcarrierGrid,
    TestbedFacts,
    Uplink,
)
from protocol.yaml_errors import Complaint, KeyPath

__all__ = [
    "ConfigError",
    "DownlinkSection",
    "LinksSection",
    "LoadedTestbed",
    "MetricsSection",
    "RegionSection",
    "SdrSection",
    "Section",
    "SoundingSection",
    "TestbedFile",
    "UplinkAirSection",
    "UplinkSection",
    "facts",
    "host_and_port",
    "is_private",
    "read_testbed",
    "resolved",
]

T = TypeVar("T")

TestbedName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?!\n)$")]
Angle = Annotated[float, Meta(gt=-90, lt=90)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the testbed file; its own checks raise ``ValueError("key: expected ..., got ...")``."""


class DownlinkSection(Section, frozen=True, kw_only=True):
    """The downlink's band and array; elements are half a wavelength of the carrier apart."""

    carrier_hz: Positive
    bandwidth_hz: Positive
    subcarriers: SubcarrierCount
    grid: Literal["edge", "centred", "authors"] = "edge"
    elements: ElementCount
    subarrays: Annotated[int, Meta(ge=1, le=64)] = 4

    def __post_init__(self) -> None:
        if not self.bandwidth_hz < 2 * self.carrier_hz:
            limit_hz = 2 * self.carrier_hz
            raise ValueError(
                f"bandwidth_hz: expected less than {limit_hz:g} Hz, twice the carrier, got {self.bandwidth_hz:g}"
            )
        if self.elements % self.subarrays:
            raise ValueError(f"subarrays: expected a divisor of {self.elements} elements, got {self.subarrays}")


class UplinkSection(Section, frozen=True):
    """The uplink's band and array; the carrier is the first subcarrier, the others follow above it."""

    carrier_hz: Positive
    spacing_hz: Positive
    subcarriers: SubcarrierCount
    elements: ElementCount
    radius_m: Positive
    half_sector_deg: Annotated[float, Meta(gt=0, lt=180)]


class RegionSection(Section, frozen=True):
    """Where users may be, seen from the linear array: smallest and largest value each."""

    range_m: tuple[Positive, Positive]
    angle_deg: tuple[Angle, Angle]

    def __post_init__(self) -> None:
        for key, (low, high) in (("range_m", self.range_m), ("angle_deg", self.angle_deg)):
            if not low < high:
                raise ValueError(f"{key}: expected two growing values, got [{low:g}, {high:g}]")


class LinksSection(Section, frozen=True):
    """Where the control link and the emulated air link are: ``tcp://host:port`` or ``ipc://path``.

    At `events` the controller tells consoles on its own machine what it records; without it, nobody. `keys` is a folder, seen
    from the testbed file; with it every TCP endpoint is encrypted and lets in enrolled keys only.
    """

    control: str
    air: str
    insecure: bool = False
    keys: Annotated[str, Meta(min_length=1)] | None = None
    events: str | None = None

    def __post_init__(self) -> None:
        self._require_private_events()
        if self.keys is not None and self.insecure:
            raise ValueError("insecure: expected false beside keys, which make it needless, got true")
        for key, endpoint in (("control", self.control), ("air", self.air)):
            if not is_private(key, endpoint) and not self.insecure and self.keys is None:
                raise ValueError(
                    f"{key}: expected a loopback address or ipc://, since anyone on the network could read and steer an "
                    "unencrypted link (name a folder of keys as keys, or write insecure: true to have it all the same), "
                    f'got "{endpoint}"'
                )
        if self.control == self.air:
            raise ValueError(f'air: expected an endpoint other than that of control, got "{self.air}" for both')

    def _require_private_events(self) -> None:
        if self.events is None:
            return
        if not is_private("events", self.events):
            raise ValueError(
                "events: expected a loopback address or ipc://, since events are not encrypted (a console shows its page "
                f'elsewhere with --host), got "{self.events}"'
            )
        if self.keys is not None and not self.events.startswith("ipc://"):
            raise ValueError(f'events: expected ipc:// beside keys, since events have none, got "{self.events}"')
        if self.events in {self.control, self.air}:
            raise ValueError(f'events: expected an endpoint of its own, got "{self.events}" twice')

    @property
    def exposed(self) -> tuple[str, ...]:
        """Return the endpoints that anyone on the network can read and steer."""
        if self.keys is not None:
            return ()
        return tuple(
            endpoint
            for key, endpoint in (("control", self.control), ("air", self.air))
            if not is_private(key, endpoint)
        )


class EchoSection(Section, frozen=True):
    """One more path behind the beams, as of a cable that reflects: this much later than the first, in samples."""

    delay_samples: Annotated[int, Meta(ge=1, le=4096)]
    gain_db: float
    phase_deg: float = 0.0


class SoundingSection(Section, frozen=True, kw_only=True):
    """Who sounds when: in every round of the uplink each of `slots` has one burst, in this order."""

    slots: Annotated[tuple[PeerName, ...], Meta(min_length=1, max_length=1024)]

    def __post_init__(self) -> None:
        if len(set(self.slots)) != len(self.slots):
            raise ValueError(f"slots: expected each name once, got {', '.join(self.slots)}")


class UplinkAirSection(Section, frozen=True, kw_only=True):
    """Samples from UEs to the uplink array: each UE binds `transmit`, in which `{ue}` stands for its name.

    The channel program binds `receive` and answers there with all antennas' samples, those of one time beside each other.
    """

    transmit: str
    receive: str

    def __post_init__(self) -> None:
        for key, endpoint in (("transmit", self.transmit), ("receive", self.receive)):
            if not is_private(key, endpoint):
                raise ValueError(f'{key}: expected a loopback address or ipc://, got "{endpoint}"')
        if "{ue}" not in self.transmit:
            raise ValueError(f'transmit: expected {{ue}} for the name of each UE, got "{self.transmit}"')


class SdrSection(Section, frozen=True, kw_only=True):
    """An air of samples, used instead of emulated grids: a channel program filters them, an air process sets its taps.

    The front end's hook tells the air process at `settings`, which commands the channel program on the loopback port
    `channel_port`. Each UE has a stream of its own: `{ue}` in `transmit`, which the transmitter binds, and in `receive`, which
    the channel program binds, stands for its name. With the program `red_pitaya` both are devices of software: that of the
    transmitter, and one for each UE. The rest is what the samples meet on their way beside the scene, in the `uplink` too, if
    there is one, which `red_pitaya` has not.
    """

    program: Literal["gnuradio", "numpy", "red_pitaya"] = "gnuradio"
    settings: str
    channel_port: Annotated[int, Meta(ge=1, le=65535)]
    transmit: str
    receive: str | dict[PeerName, str]
    sent_rms: Positive = 0.2  # of the samples of a burst, what noise is measured against
    carrier_offset_spacings: Annotated[float, Meta(ge=-0.4, le=0.4)] = 0.0
    delay_samples: Annotated[int, Meta(ge=0, le=4096)] = 0
    echoes: tuple[EchoSection, ...] = ()
    uplink: UplinkAirSection | None = None

    def __post_init__(self) -> None:
        receive = self.receive.values() if isinstance(self.receive, dict) else (self.receive,)
        given = [("settings", self.settings), ("transmit", self.transmit), *(("receive", one) for one in receive)]
        for key, endpoint in given:
            if not is_private(key, endpoint):
                raise ValueError(f'{key}: expected a loopback address or ipc://, got "{endpoint}"')
        if self.program == "red_pitaya":
            self._check_devices(given[1:])
            return
        for key, value in (("transmit", self.transmit), ("receive", self.receive)):
            if not isinstance(value, str) or "{ue}" not in value:
                raise ValueError(f'{key}: expected {{ue}} for the name of each UE, got "{value}"')

    def _check_devices(self, given: list[tuple[str, str]]) -> None:
        if self.uplink is not None:
            raise ValueError("uplink: expected none with the program red_pitaya, got one")
        if not isinstance(self.receive, dict):
            raise ValueError(f'receive: expected the address of each UE\'s device by its name, got "{self.receive}"')
        for key, endpoint in given:
            if not endpoint.startswith("tcp://127.0.0.1:"):
                raise ValueError(
                    f'{key}: expected tcp://127.0.0.1:port, where devices of software are, got "{endpoint}"'
                )

    def stream_of(self, ue: str) -> tuple[str, str]:
        """Return where a UE's samples are asked for, and where they are answered.

        Raises
        ------
        ValueError
            If the UE has no device.
        """
        if isinstance(self.receive, str):
            return self.transmit.replace("{ue}", ue), self.receive.replace("{ue}", ue)
        if ue not in self.receive:
            raise ValueError(f"receive: expected a device for each of the emulator's users, got none for {ue}")
        return self.transmit, self.receive[ue]


class MetricsSection(Section, frozen=True):
    """Who serves metrics, and where: `at` has ``host:port`` by name, which is ``controller``, ``radio`` or that of a UE.

    Port 0 is any that is free. Whoever is not named serves none.
    """

    at: dict[PeerName, str] = {}
    insecure: bool = False

    def __post_init__(self) -> None:
        for name, address in self.at.items():
            host, _, port = address.rpartition(":")
            if not host or not (port == "0" or is_port(port)):
                raise ValueError(f'at: expected host:port for {name}, got "{address}"')
            if not is_loopback(host) and not self.insecure:
                raise ValueError(
                    f"at: expected a loopback address for {name}, since anyone on the network could read metrics (write "
                    f'insecure: true to have it all the same), got "{address}"'
                )

    @property
    def exposed(self) -> tuple[str, ...]:
        """Return the addresses at which anyone on the network can read metrics."""
        return tuple(address for address in self.at.values() if not is_loopback(host_and_port(address)[0]))


class TestbedFile(Section, frozen=True, kw_only=True):
    """The whole file; the sections of single processes are raw, and each process converts its own."""

    __test__ = False  # not a test class, whatever pytest makes of the name

    name: TestbedName
    downlink: DownlinkSection
    uplink: UplinkSection
    region: RegionSection
    links: LinksSection
    metrics: MetricsSection = MetricsSection()
    speed_of_light_m_s: Positive = SPEED_OF_LIGHT_M_S
    controller: dict[str, object]
    emulator: dict[str, object]
    ue_agent: dict[str, object] = {}
    sdr_backend: dict[str, object] = {}
    sdr: SdrSection | None = None
    sounding: SoundingSection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTestbed:
    """A testbed file that was read, and still knows where each value stands."""

    path: Path
    file: TestbedFile
    document: Document

    def section(self, name: str, kind: type[T]) -> T:
        """Return a top-level section as its process's own type.

        Raises
        ------
        ConfigError
            If the section does not fit the type; it points at the node to blame.
        """
        if name not in TestbedFile.__struct_fields__:
            raise ValueError(f"expected one of {', '.join(TestbedFile.__struct_fields__)}, got section {name!r}")
        return converted(self.document, (name,), kind)

    def with_section(self, name: str, values: Mapping[str, object]) -> "LoadedTestbed":
        """Return the testbed with another section of one process; errors of it point at the one that the file has."""
        return replace(
            self,
            file=msgspec.structs.replace(self.file, **{name: values}),
            document=replace(self.document, value={**self.document.value, name: values}),
        )

    def error(self, path: KeyPath, text: str) -> ConfigError:
        """Return an error that points at a value of the file, for what only several sections together can tell."""
        return self.document.error(Complaint(path=path, node=path, text=text))


def read_testbed(path: Path) -> LoadedTestbed:
    """Return a testbed file, checked but for the sections of single processes.

    Raises
    ------
    ConfigError
        If the file cannot be read or does not describe a testbed.
    """
    document = read_document(Path(path))
    return LoadedTestbed(path=Path(path), file=converted(document, (), TestbedFile), document=document)


def facts(file: TestbedFile) -> TestbedFacts:
    """Return what controller, radio and UE agents must agree upon."""
    region = file.region
    angle_min_rad, angle_max_rad = (float(np.deg2rad(angle)) for angle in region.angle_deg)
    return TestbedFacts(
        downlink=_downlink(file.downlink, file.speed_of_light_m_s),
        uplink=_uplink(file.uplink),
        region=Region(
            range_min_m=region.range_m[0],
            range_max_m=region.range_m[1],
            angle_min_rad=angle_min_rad,
            angle_max_rad=angle_max_rad,
        ),
        speed_of_light_m_s=file.speed_of_light_m_s,
    )


_GRIDS = {"edge": SubcarrierGrid.edge, "centred": SubcarrierGrid.centred, "authors": SubcarrierGrid.authors}


def _downlink(section: DownlinkSection, speed_of_light_m_s: float) -> Downlink:
    spacing_m = speed_of_light_m_s / (2 * section.carrier_hz)
    return Downlink(
        grid=_GRIDS[section.grid](section.carrier_hz, section.bandwidth_hz, section.subcarriers),
        array=LinearArray(elements=section.elements, spacing_m=spacing_m, subarrays=section.subarrays),
    )


def _uplink(section: UplinkSection) -> Uplink:
    return Uplink(
        grid=SubcarrierGrid(first_hz=section.carrier_hz, spacing_hz=section.spacing_hz, count=section.subcarriers),
        array=SectorArray(
            elements=section.elements,
            radius_m=section.radius_m,
            half_sector_rad=float(np.deg2rad(section.half_sector_deg)),
        ),
    )


def resolved(loaded: LoadedTestbed) -> str:
    """Return the file as canonical YAML: shared defaults written out, raw sections in the order of their keys."""
    values: dict[str, object] = msgspec.to_builtins(loaded.file)
    written = {
        name: _in_order(value) if _is_raw(name) else value for name, value in values.items() if value is not None
    }
    return text_from_values(written)


def _is_raw(name: str) -> bool:
    return name in {"controller", "emulator", "ue_agent", "sdr_backend"}


def _in_order(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(entry) for entry in value] if isinstance(value, list) else value
