"""How many multiplications one image of the region takes, counted as [SUCA, Table I] does. Pure functions of sizes.

A multiplication is one of two complex numbers; additions, exponentials and squared moduli are free, as there. A fast
transform of length L, a power of two, takes ``L/2 log2 L`` of them.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSize:
    """What the count depends on; the angle grid is that of the elements unless said otherwise."""

    elements: int
    subcarriers: int
    ranges: int
    angles: int

    def __post_init__(self) -> None:
        if min(self.elements, self.subcarriers, self.ranges, self.angles) < 1:
            raise ValueError(f"all sizes must be at least 1, got {self}")


def direct_sum(size: ImageSize) -> int:
    """Return the multiplications of the double sum at every grid point [SUCA, eq. (4)]."""
    return size.ranges * size.angles * size.subcarriers * size.elements


def published_fft(size: ImageSize) -> int:
    """Return the multiplications of one convolution by FFT per range and subcarrier [SUCA, eq. (18)].

    Each takes two transforms, a product, and one inverse transform of the next power of two that holds the linear
    convolution of the elements with the lags of the angle grid.
    """
    lags = size.angles + size.elements - 1
    length = power_of_two_from(size.elements + lags - 1)
    return size.ranges * size.subcarriers * (3 * transform(length) + length)


def planned_image(size: ImageSize, band_terms: int) -> int:
    """Return the multiplications of `imaging.Imager.image`, whose kernels' spectra are planned.

    The subcarriers go onto `band_terms` functions once; each of those has one transform of the snapshot, each range one
    product per harmonic and term, and one inverse transform. The length is rounded up to a power of two to be counted
    alike, though the code takes shorter ones.
    """
    length = power_of_two_from(size.elements + size.angles - 1)
    projection = size.elements * size.subcarriers * band_terms
    products = size.ranges * length * band_terms
    return projection + band_terms * transform(length) + products + size.ranges * transform(length)


def music(size: ImageSize, paths: int) -> int:
    """Return the multiplications of MUSIC by eigenvectors and a two-dimensional grid search [SUCA, section VI].

    The covariance takes ``N^2 M``, its eigenvectors ``N^3`` (the order alone, hence a lower bound), and each grid point
    one scalar product with every one of the ``N - L`` noise eigenvectors.
    """
    n = size.elements
    return n**2 * size.subcarriers + n**3 + size.ranges * size.angles * n * _noise_dimension(size, paths)


def music_projector(size: ImageSize, paths: int) -> int:
    """Return the multiplications of MUSIC if each grid point forms ``a^H (U_n U_n^H) a`` with its matrix product anew.

    Nobody need do so, but only this grows with the fourth power of the elements, as the text of [SUCA] says of its
    Table I, when the angles grow with the elements.
    """
    n = size.elements
    point = n**2 * _noise_dimension(size, paths) + n**2 + n
    return n**2 * size.subcarriers + n**3 + size.ranges * size.angles * point


def transform(length: int) -> int:
    """Return the multiplications of a fast Fourier transform of a power of two."""
    return length // 2 * (length.bit_length() - 1)


def power_of_two_from(samples: int) -> int:
    """Return the least power of two that is not below `samples`."""
    return 1 << math.ceil(math.log2(samples))


def _noise_dimension(size: ImageSize, paths: int) -> int:
    if not 0 < paths < size.elements:
        raise ValueError(f"paths must be within 1..{size.elements - 1}, got {paths}")
    return size.elements - paths
