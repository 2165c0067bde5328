"""The calls of a channel program, which filters samples in a process of its own (shell).

The program is reached by XML-RPC on the loopback interface, as those of GNU Radio are. A name that differs from the last one
says that it has begun anew and has no taps.
"""

from collections.abc import Mapping
from typing import Any
from xmlrpc.client import Binary, Fault, ProtocolError, ServerProxy

import numpy as np
import numpy.typing as npt
from scipy.signal import oaconvolve

from emulator.iq_air import UserAir
from emulator.iq_uplink import ArrayAir
from protocol.config import EchoSection, SdrSection

ComplexArray = npt.NDArray[np.complex128]
WIRE = np.dtype("<c8")


class AbsentError(Exception):
    """The program does not answer, or not as it should; it may be about to begin anew."""


class ChannelProgram:
    """A client; its calls block, and one thread at a time may make them."""

    def __init__(self, section: SdrSection, subcarriers: int, uplink_subcarriers: int) -> None:
        self._proxy = ServerProxy(f"http://127.0.0.1:{section.channel_port}")
        self._offset_cycles = section.carrier_offset_spacings / subcarriers
        self._uplink_offset_cycles = section.carrier_offset_spacings / uplink_subcarriers
        self._behind = taps_behind(section.delay_samples, section.echoes)

    def instance(self) -> str:
        """Return the name of the program's start."""
        return self._called("instance")

    def change(self, session: int, users: Mapping[str, UserAir]) -> str:
        """Have the samples of all users pass these channels from now on, and return the name of the program's start.

        Raises
        ------
        AbsentError
            If it did not happen.
        """
        taps = {ue: _binary(air.taps) for ue, air in users.items()}
        noise_rms = {ue: air.noise_rms for ue, air in users.items()}
        name = self._called("change", str(session), taps, noise_rms, self._offset_cycles, _binary(self._behind))
        if not name:
            raise AbsentError("the channel program begins anew")
        return name

    def change_uplink(self, air: ArrayAir) -> str:
        """Have what users send to the array pass these channels from now on, and return the name of the program's start.

        A user who is not in front of the array is not heard.

        Raises
        ------
        AbsentError
            If it did not happen.
        """
        taps = {ue: _binary(oaconvolve(taps, self._behind[np.newaxis], axes=1)) for ue, taps in air.taps.items()}
        return self._called("change_uplink", taps, air.noise_rms, self._uplink_offset_cycles)

    def _called(self, method: str, *arguments: Any) -> str:
        try:
            return str(getattr(self._proxy, method)(*arguments))
        except (OSError, Fault, ProtocolError, ValueError) as error:
            raise AbsentError(f"the channel program did not {method}: {error}") from error


def taps_behind(delay_samples: int, echoes: tuple[EchoSection, ...]) -> ComplexArray:
    """Return what all samples meet behind the beams, ``(tap,)``."""
    longest = max([0, *(echo.delay_samples for echo in echoes)])
    taps = np.zeros(delay_samples + longest + 1, dtype=np.complex128)
    taps[delay_samples] = 1.0
    for echo in echoes:
        taps[delay_samples + echo.delay_samples] += 10 ** (echo.gain_db / 20) * np.exp(1j * np.deg2rad(echo.phase_deg))
    return taps


def _binary(taps: ComplexArray) -> Binary:
    return Binary(taps.astype(WIRE).tobytes())
