"""What a burst says about itself, and the code in which it says so: two symbols of two signs for every subcarrier.

A rainbow beam lets a UE hear a few neighbouring subcarriers only, no two UEs the same ones, and half the power may lie on
a handful. Each byte of the tag is therefore a codeword of a cyclic code, of which every second subcarrier carries a chip:
any run of subcarriers holds an equal part of every codeword, and equally long runs are equally good codes.
"""

import binascii
import functools
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ComplexArray = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

TAG_SYMBOLS = 2
COUNTS = 1 << 16  # of epochs that a tag tells apart
_PILOT_BITS = 12
PILOTS = 1 << _PILOT_BITS  # of a setting at most, as many as groups
STRETCHES = 1 << 8
_FIELDS = struct.Struct(">HI")
_CHECK = struct.Struct(">H")
_CODEWORDS = _FIELDS.size + _CHECK.size
_CHIPS, _SHIFT_BITS = 127, 7  # period and length of the shift register


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """Which pilot of which setting a burst is.

    `epoch` is that of the setting modulo 2^16. Bursts of one `stretch` are whole frames apart; between two stretches the
    transmitter's counter has broken.
    """

    epoch: int
    pilot: int
    pilots: int
    stretch: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.epoch < COUNTS:
            raise ValueError(f"a tag's epoch must lie within 0 .. {COUNTS - 1}, got {self.epoch}")
        if not 0 <= self.pilot < self.pilots <= PILOTS:
            raise ValueError(f"a pilot below the setting's 1 .. {PILOTS} expected, got {self.pilot} of {self.pilots}")
        if not 0 <= self.stretch < STRETCHES:
            raise ValueError(f"a tag's stretch must lie within 0 .. {STRETCHES - 1}, got {self.stretch}")

    @classmethod
    def of(cls, epoch: int, pilot: int, pilots: int, stretch: int = 0) -> "Tag":
        """Return the tag of a pilot of the setting with this whole epoch."""
        return cls(epoch=epoch % COUNTS, pilot=pilot, pilots=pilots, stretch=stretch)

    def epoch_nearest(self, epoch: int) -> int:
        """Return the whole epoch nearest to this one that the tag may mean; below 1 there is none, hence the later."""
        ahead = (self.epoch - epoch + COUNTS // 2) % COUNTS - COUNTS // 2
        nearest = epoch + ahead
        return nearest if nearest >= 1 else nearest + COUNTS


def modulation_from_tag(tag: Tag, subcarriers: int) -> ComplexArray:
    """Return what the known symbol is turned by, of unit size, ``(symbol, subcarrier)``."""
    numbers = ((tag.stretch << _PILOT_BITS) + tag.pilot << _PILOT_BITS) + tag.pilots - 1
    fields = _FIELDS.pack(tag.epoch, numbers)
    message = np.frombuffer(fields + _check(fields), dtype=np.uint8)
    sign = np.where(message >> _SHIFT_BITS, -1.0, 1.0)
    codeword, chip = np.divmod(_place(subcarriers), _CHIPS)
    chips = sign[codeword] * _code()[chip, message[codeword] & (1 << _SHIFT_BITS) - 1]
    turned: ComplexArray = (chips[0] + 1j * chips[1]) / np.sqrt(2)
    return turned


def tag_from_likelihood(likelihood: ComplexArray) -> Tag | None:
    """Return the most likely tag, or none if its check sum is wrong.

    Parameters
    ----------
    likelihood
        ``(symbol, subcarrier)`` how much more likely real and imaginary part are plus than minus, on any common scale.
    """
    places = _place(likelihood.shape[1]).ravel()
    weights = np.stack([likelihood.real, likelihood.imag]).ravel()
    score = np.bincount(places, weights, minlength=_CODEWORDS * _CHIPS).reshape(_CODEWORDS, _CHIPS) @ _code()
    best = np.abs(score).argmax(axis=1)
    negative = score[np.arange(_CODEWORDS), best] < 0
    message = (best + (negative << _SHIFT_BITS)).astype(np.uint8).tobytes()
    fields, check = message[: _FIELDS.size], message[_FIELDS.size :]
    epoch, numbers = _FIELDS.unpack(fields)
    stretch, pilot, last = numbers >> 2 * _PILOT_BITS, numbers >> _PILOT_BITS & PILOTS - 1, numbers & PILOTS - 1
    if check != _check(fields) or pilot > last:
        return None
    return Tag(epoch=epoch, pilot=pilot, pilots=last + 1, stretch=stretch)


def _check(fields: bytes) -> bytes:
    return _CHECK.pack(binascii.crc_hqx(fields, COUNTS - 1))


@functools.lru_cache(maxsize=8)
def _place(subcarriers: int) -> Indices:
    """Return codeword times chips plus chip of every sign, ``(part, symbol, subcarrier)``, part by part of a subcarrier."""
    signs = np.arange(subcarriers * TAG_SYMBOLS * 2).reshape(subcarriers, TAG_SYMBOLS, 2)
    chip, codeword = np.divmod(signs.T, _CODEWORDS)
    place: Indices = codeword * _CHIPS + chip % _CHIPS
    return place


@functools.lru_cache(maxsize=1)
def _code() -> Floats:
    """Return the signs of a biorthogonal code's first half, ``(chip, message)``.

    Chip ``i`` is the parity of the message under the mask ``x^i mod (x^7 + x^5 + x^2 + x + 1)``, whose period is all 127
    masks. Any eight consecutive masks tell all 256 messages apart. Of all such polynomials this one and its mirror image
    keep the messages in runs of 13 to 24 chips furthest apart: 3 chips of 13, 4 of 16, 8 of 24.
    """
    masks = [1]
    while len(masks) < _CHIPS:
        shifted = masks[-1] << 1
        masks.append(shifted ^ 0b10100111 if shifted >> _SHIFT_BITS else shifted)
    return np.array([[1.0 - 2.0 * ((mask & message).bit_count() % 2) for message in range(128)] for mask in masks])
