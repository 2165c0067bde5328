"""The front-end driver ``adar1000``: phase shifters of Analog Devices, four elements a chip, through pyadi-iio (shell).

A chip has 128 steps of phase and no delay lines: schemes that need delays are declined by the limits that it advertises. Phases
are written to the chips' buffers when they are loaded and take effect when they are latched, in all chips one after the other.
pyadi-iio is an optional dependency (``pip install nftestbed[adi]``), and libiio comes from the system (Debian: libiio0).
"""

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from protocol.testbed import FrontEndLimits, NonNegative
from sdr_backend.drivers import Options, checked_options
from sdr_backend.front_end import FrontEndContext, PilotSetting

Floats = npt.NDArray[np.float64]

NAME = "adar1000"
CHANNELS = 4
PHASE_BITS = 7
NO_DELAY_S = 1e-15  # the protocol has no front end without delays; over 6 GHz this one turns a phase by 6e-6 cycles


class Adar1000Options(Options, frozen=True):
    """Where the chips are: `uri` of their IIO context, and their labels there in the order of the array, divided by spaces.

    Element ``4 k + c`` of the array is channel ``c + 1`` of chip ``k``.
    """

    uri: Annotated[str, Meta(min_length=1)]
    chips: Annotated[str, Meta(min_length=1)]
    settle_s: NonNegative = 1e-3


def adar1000(context: FrontEndContext) -> "Adar1000":
    """Return the chips of a linear array as a front end."""
    options = checked_options(NAME, context.options, Adar1000Options)
    labels = options.chips.split()
    if CHANNELS * len(labels) != context.elements:
        raise ValueError(
            f"driver {NAME}: expected {context.elements} elements, {CHANNELS} a chip, got {len(labels)} chips: {labels}"
        )
    return Adar1000(opened_array(options.uri, labels), context, options.settle_s)


def opened_array(uri: str, labels: list[str]) -> Any:
    """Return pyadi-iio's array of these chips, whose elements are counted from 1.

    Raises
    ------
    ValueError
        If there is no pyadi-iio, no libiio, or no such array.
    """
    try:
        from adi import adar1000_array  # noqa: PLC0415 - optional, and only whoever has such an array needs it
    except (
        ImportError,
        OSError,
        AttributeError,
    ) as error:  # what its binding makes of a libiio that is absent or another
        raise ValueError(
            f"driver {NAME}: expected pyadi-iio and libiio (pip install 'nftestbed[adi]', apt-get install libiio0), "
            f"got: {error}"
        ) from error
    chips = range(1, len(labels) + 1)
    elements = {chip: [CHANNELS * (chip - 1) + channel for channel in range(1, CHANNELS + 1)] for chip in chips}
    try:
        return adar1000_array(
            uri=uri,
            chip_ids=labels,
            device_map=[list(chips)],
            element_map=[[element for chip in chips for element in elements[chip]]],
            device_element_map=elements,
        )
    except Exception as error:  # whatever the package and its binding raise: there is no array
        raise ValueError(f"driver {NAME}: cannot open {uri!r} with {labels}: {error}") from error


class Adar1000:
    """Phases of all elements, written and read back one by one."""

    def __init__(self, array: Any, context: FrontEndContext, settle_s: float) -> None:
        self._array, self._hook = array, context.hook
        self._loaded: PilotSetting | None = None
        self.limits = FrontEndLimits(
            elements=context.elements,
            groups=1,
            phase_bits=PHASE_BITS,
            delay_step_s=0.0,
            delay_span_s=NO_DELAY_S,
            settle_s=settle_s,
        )

    def load(self, pilot: PilotSetting) -> PilotSetting:
        """Write phases to the chips' buffers, and return those that the chips say they have."""
        groups, elements = pilot.phase_cycles.shape
        if elements != self.limits.elements or groups > 1:
            raise ValueError(
                f"expected {self.limits.elements} elements and 1 group, got {elements} elements and {groups} groups"
            )
        steps = np.rint(np.ldexp(pilot.phase_cycles[0], PHASE_BITS)) % (1 << PHASE_BITS)
        held = np.empty_like(pilot.phase_cycles)
        for index, element in enumerate(self._elements()):
            element.tx_phase = float(np.ldexp(360 * steps[index], -PHASE_BITS))
            held[0, index] = element.tx_phase / 360
        delay_s = np.clip(pilot.delay_s, 0.0, NO_DELAY_S)
        self._loaded = replace(pilot, phase_cycles=held, delay_s=delay_s)
        return self._loaded

    def latch(self, at: int) -> None:
        """Have all chips take over what was loaded."""
        if self._loaded is None:
            raise ValueError("expected something loaded before it is latched, got nothing")
        self._array.latch_tx_settings()
        if self._hook is not None:
            self._hook.latched(self._loaded, at)

    def close(self) -> None:
        """Leave the chips as they are: their phases harm nobody."""

    def _elements(self) -> list[Any]:
        return [element for _, element in sorted(self._array.elements.items())]
