"""The processes of a testbed as commands: those of our own, and the channel program of an air of samples."""

import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from protocol.config import SdrSection, TestbedFile, UplinkAirSection
from sdr_backend.peers import gnuradio_channel

#: Distributions build GNU Radio for their own interpreter; its bindings do not load in another one's environment.
SYSTEM_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A process and how it is started."""

    name: str
    command: tuple[str, ...]

    @classmethod
    def of_module(cls, name: str, module: str, *words: str) -> "Child":
        """Return a process of our own."""
        return cls(name=name, command=(sys.executable, "-P", "-m", module, *words))


def channel_command(
    section: SdrSection, subcarriers: int, ues: tuple[str, ...], uplink: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return how the channel program is started, with a stream for each of these UEs, and what `uplink_words` says."""
    streams = [
        word
        for ue in ues
        for word in ("--stream", ue, section.transmit.replace("{ue}", ue), section.receive.replace("{ue}", ue))
    ]
    behind = 1 + section.delay_samples + max([0, *(echo.delay_samples for echo in section.echoes)])
    numbers = ("--port", str(section.channel_port), "--taps", str(subcarriers), "--behind", str(behind))
    options = (*numbers, *streams, *uplink)
    if section.program == "numpy":
        return (sys.executable, "-P", "-m", "sdr_backend.peers.numpy_channel", *options)
    return (SYSTEM_PYTHON, "-I", str(Path(gnuradio_channel.__file__)), *options)


def uplink_words(file: TestbedFile, ues: tuple[str, ...]) -> tuple[str, ...]:
    """Return what the channel program is told of the way from these UEs to the uplink array; nothing if there is none.

    A slot of somebody else stays empty: the program would wait for ever for samples of a UE that is not started.
    """
    if file.sdr is None or file.sdr.uplink is None or file.sounding is None:
        return ()
    section, echoes = file.sdr.uplink, file.sdr.echoes
    behind = file.sdr.delay_samples + max([0, *(echo.delay_samples for echo in echoes)])
    slots = [ue for ue in file.sounding.slots if ue in ues]
    sounders = [word for ue in slots for word in ("--sounder", ue, section.transmit.replace("{ue}", ue))]
    antennas, taps = str(file.uplink.elements), str(file.uplink.subcarriers + behind)
    return ("--array", section.receive, "--antennas", antennas, "--uplink-taps", taps, *sounders)


def absence(section: SdrSection) -> str | None:
    """Return what to do about a channel program that this machine lacks, or none if it is there."""
    if section.program == "numpy":
        return None
    command = (SYSTEM_PYTHON, "-I", "-c", "import gnuradio.gr, gnuradio.zeromq, gnuradio.channels")
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - no shell
    except OSError as error:
        return f"expected {SYSTEM_PYTHON} with GNU Radio, got: {error}"
    if found.returncode == 0:
        return None
    reason = (found.stderr.strip().splitlines() or ["nothing"])[-1]
    return f"expected GNU Radio (apt-get install --no-install-recommends gnuradio) or numpy, got: {reason}"


def sdr_children(
    file: TestbedFile, section: SdrSection, users: tuple[str, ...], ues: tuple[str, ...], common: tuple[str, ...]
) -> list[Child]:
    """Return what takes the emulator's place: radio, air and channel program, with a stream to each user, and from each UE."""
    return [
        Child(
            name="channel", command=channel_command(section, file.downlink.subcarriers, users, uplink_words(file, ues))
        ),
        Child.of_module("air", "emulator.air", *common),
        Child.of_module("sdr", "sdr_backend", *common),
    ]


def with_private_streams(file: TestbedFile, private: Path) -> TestbedFile:
    """Return a testbed file whose samples and settings travel through a private folder."""
    if file.sdr is None:
        return file
    sdr = msgspec.structs.replace(
        file.sdr,
        settings=f"ipc://{private}/settings",
        channel_port=_free_port(),
        transmit=f"ipc://{private}/{{ue}}.sent",
        receive=f"ipc://{private}/{{ue}}.heard",
        uplink=file.sdr.uplink
        and UplinkAirSection(transmit=f"ipc://{private}/{{ue}}.sounded", receive=f"ipc://{private}/array"),
    )
    users = file.emulator.get("users")
    names = [str(name) for name in users] if isinstance(users, Mapping) else []
    transmit = " ".join(sdr.transmit.replace("{ue}", name) for name in names)
    radio = _with_option(file.sdr_backend, ("radio", "options", "transmit"), transmit)
    receiver = _with_option(file.ue_agent, ("options", "receive"), sdr.receive)
    if sdr.uplink is not None:
        radio = _with_option(radio, ("uplink", "radio", "options", "receive"), sdr.uplink.receive)
        receiver = _with_option(receiver, ("sounder_options", "transmit"), sdr.uplink.transmit)
    return msgspec.structs.replace(file, sdr=sdr, sdr_backend=radio, ue_agent=receiver)


def _with_option(values: Mapping[str, object], path: tuple[str, ...], value: str) -> dict[str, object]:
    key, *rest = path
    inner = values.get(key)
    if rest:
        return {**values, key: _with_option(inner if isinstance(inner, Mapping) else {}, tuple(rest), value)}
    return {**values, key: value}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
