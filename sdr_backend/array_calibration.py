"""What the chains behind an array's antennas do to a sounding, as a calibration has found it, taken out again."""

import numpy as np
import numpy.typing as npt

from protocol.config import Section

ComplexArray = npt.NDArray[np.complex128]


class ArrayCalibration(Section, frozen=True, kw_only=True):
    """Gain, phase and delay of each antenna's chain, in the order of the elements; an empty list is of ideal ones."""

    gain_db: tuple[float, ...] = ()
    phase_deg: tuple[float, ...] = ()
    delay_samples: tuple[float, ...] = ()


def corrections(calibration: ArrayCalibration, antennas: int, subcarriers: int) -> ComplexArray:
    """Return what each sample is multiplied with, ``(antenna, subcarrier)``.

    Raises
    ------
    ValueError
        If there are values for another number of antennas.
    """
    gain_db, phase_deg, delay_samples = (
        _values(name, getattr(calibration, name), antennas) for name in ArrayCalibration.__struct_fields__
    )
    turns = phase_deg / 360 - np.arange(subcarriers) * delay_samples / subcarriers
    chains: ComplexArray = 10 ** (gain_db / 20) * np.exp(2j * np.pi * turns)
    return 1 / chains


def _values(name: str, values: tuple[float, ...], antennas: int) -> npt.NDArray[np.float64]:
    if len(values) not in {0, antennas}:
        raise ValueError(f"{name}: expected none or one of each of {antennas} antennas, got {len(values)}")
    return np.asarray(values or [0.0] * antennas, dtype=np.float64)[:, np.newaxis]
