"""Settings that tell elements apart: a sign for each from an orthogonal code, and a place of its own on the delay axis.

Signs are what phase shifters of any resolution hold exactly. Rows of a Hadamard matrix separate elements of different
columns; elements that share a column lie far apart in delay. The delays also make each pilot its own reference: a phase or
a delay of the clock shifts all elements of a pilot alike, and no error of elements that lie apart in delay looks so.
Pure functions.
"""

import numpy as np
import numpy.typing as npt

from bs_controller.sweeps import Coded
from protocol.testbed import Setting, TestbedFacts

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

#: How much of the delay axis the elements may fill: the rest is for clocks that are late, on either side.
FILLED_SHARE = 0.5
SCRAMBLING_SEED = 1


def coded_sweeps(facts: TestbedFacts, codes: int, delay_span_s: float) -> list[Coded]:
    """Return all sweeps of a calibration: every row of the code in each arrangement of delays.

    Raises
    ------
    ValueError
        If there are more codes than elements need, or no power of two.
    """
    require_codes(facts, codes)
    return [
        Coded(row=row, codes=codes, arrangement=arrangement, delay_span_s=delay_span_s)
        for arrangement in range(Coded.ARRANGEMENTS)
        for row in range(codes)
    ]


def require_codes(facts: TestbedFacts, codes: int) -> None:
    """Check the number of codes.

    Raises
    ------
    ValueError
        If there are more codes than elements need, or no power of two.
    """
    most = 1 << (facts.downlink.array.elements - 1).bit_length()
    if codes < 1 or codes & (codes - 1) or codes > most:
        raise ValueError(f"codes: expected a power of two up to {most}, got {codes}")


def coded_setting(code: Coded, facts: TestbedFacts) -> Setting:
    """Return the setting of one group that a coded sweep asks for, before a front end rounds its delays."""
    elements = facts.downlink.array.elements
    signs = row_signs(code.row, code.codes)[element_column(elements, code.codes)] * scrambling(elements)
    return Setting(
        phase_cycles=np.where(signs < 0, 0.5, 0.0)[np.newaxis], delay_s=element_delay_s(code, facts)[np.newaxis]
    )


def row_signs(row: int, codes: int) -> Floats:
    """Return one row of the Hadamard matrix, ``(column,)``: -1 where row and column share an odd number of bits."""
    shared = np.arange(codes) & row
    odd = np.array([int(bits).bit_count() & 1 for bits in shared])
    return 1.0 - 2.0 * odd


def element_column(elements: int, codes: int) -> Indices:
    """Return the column of the code that each element follows, ``(element,)``; neighbours follow different ones."""
    return np.arange(elements) % codes


def scrambling(elements: int) -> Floats:
    """Return fixed signs, ``(element,)``, that keep every pilot's power near the mean; the row of ones would be a beam."""
    return np.random.default_rng(SCRAMBLING_SEED).choice([-1.0, 1.0], elements)


def element_delay_s(code: Coded, facts: TestbedFacts) -> Floats:
    """Return the delays of an arrangement, ``(element,)``: evenly spread, half a span on in the second arrangement."""
    elements, grid = facts.downlink.array.elements, facts.downlink.grid
    span_s = min(code.delay_span_s, FILLED_SHARE / grid.spacing_hz)
    place = (np.arange(elements) + code.arrangement * (elements // 2)) % elements
    return span_s * place / elements
