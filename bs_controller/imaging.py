"""Uplink backprojection on the sectored circular array: snapshot in, polar image out.

The image is ``s(r, theta) = sum_m sum_n y[n, m] exp(+j 2 pi f_m r_n(r, theta) / c)`` [SUCA, eq. (4)] with exact distances,
on any ranges and on the angles of the elements. For one range and subcarrier it is a correlation over angle, so a product
of spectra does it [SUCA, eqs. (16)-(18)]. Three facts make that cheap, none of them an approximation of the model:

- the sum over subcarriers commutes with the inverse transform, so one inverse transform per range is enough;
- the kernel is even in angle, so half of its harmonics say all of them;
- over all distances the band turns by a few cycles only (3.3 for 100 subcarriers of 480 kHz over 20 m), so the space of its
  phase ramps has a small rank: the subcarriers are projected once on an orthonormal basis of about a dozen terms.

Nothing is detected here; see `detection.py`.
"""

import math

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.special

from protocol.testbed import Uplink

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
AnyComplex = npt.NDArray[np.complex64 | np.complex128]
ComplexType = type[np.complex64] | type[np.complex128]

DEFAULT_LIMIT_BYTES = 2**30
_WORK_BYTES = 2**24  # of one block of ranges while the table is built
_SERIES_END = 1e-17  # a tenth of the rounding of one


class TableTooLargeError(ValueError):
    """The spectra planned for an image would take more memory than allowed."""


class Imager:
    """Backprojection of any number of snapshots, planned once.

    Parameters
    ----------
    uplink
        Subcarriers and array.
    range_m
        ``(range,)`` ranges of the image; all must lie outside the array's circle.
    c_m_s
        Speed of light.
    dtype
        ``complex64`` (relative error about 3e-7) or ``complex128`` (about 1e-12, the rounding of phases of 1e4 rad; twice the
        time and memory).
    limit_bytes
        Most memory to take for the table of spectra and while it is filled.

    Raises
    ------
    TableTooLargeError
        If that would be more than `limit_bytes`.
    ValueError
        If a range lies on or inside the array's circle.
    """

    def __init__(
        self,
        uplink: Uplink,
        range_m: Floats,
        c_m_s: float,
        dtype: ComplexType = np.complex64,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> None:
        if range_m.size == 0 or range_m.min() <= uplink.array.radius_m:
            raise ValueError(f"ranges must exceed the array's radius of {uplink.array.radius_m:g} m, got {range_m}")
        self.uplink, self.range_m, self.c_m_s = uplink, range_m, c_m_s
        self.angle_rad = uplink.array.element_angle_rad
        self._length = _circular_length(uplink.array.elements)
        distance_m = _lag_distance_m(uplink, range_m)
        self._basis, residual = _band_basis(uplink, distance_m, c_m_s, _band_tolerance(dtype))
        # real parts of all terms, then imaginary ones: real products are twice as fast as complex ones this thin
        shape = (self._length // 2 + 1, range_m.size, 2 * residual.shape[1])
        coefficients = _band_coefficients(uplink, distance_m, residual, c_m_s)
        work_bytes = max(_WORK_BYTES, _work_bytes_per_range(distance_m.shape[1], *coefficients.shape))
        self._refuse_above(limit_bytes, math.prod(shape) * np.dtype(dtype).itemsize // 2 + work_bytes)
        self._table = np.empty(shape, dtype=np.empty(0, dtype).real.dtype)
        self._dtype = dtype
        _fill_table(self._table, uplink, distance_m, coefficients, c_m_s)

    @property
    def table_bytes(self) -> int:
        """Return the memory that the planned spectra take."""
        return int(self._table.nbytes)

    @property
    def band_terms(self) -> int:
        """Return how many basis functions stand for the subcarriers."""
        return int(self._table.shape[2] // 2)

    def image(self, samples: AnyComplex) -> AnyComplex:
        """Return the backprojected image of one snapshot [SUCA, eq. (18)].

        Parameters
        ----------
        samples
            ``(element, subcarrier)``.

        Returns
        -------
        image
            ``(range, angle)`` in the imager's dtype; not normalised, a path of unit gain peaks at elements x subcarriers.

        Raises
        ------
        ValueError
            If the snapshot is not of the planned uplink's shape.
        """
        image: AnyComplex = self.excess_images(samples, np.zeros(1))[0]
        return image

    def excess_images(self, samples: AnyComplex, excess_m: Floats) -> AnyComplex:
        """Return the images for paths that are longer than their distances, in one pass over the planned spectra.

        Parameters
        ----------
        samples
            ``(element, subcarrier)``.
        excess_m
            ``(excess,)`` how much longer.

        Returns
        -------
        images
            ``(excess, range, angle)``, each like `image`.

        Raises
        ------
        ValueError
            If the snapshot is not of the planned uplink's shape.
        """
        expected = (self.uplink.array.elements, self.uplink.grid.count)
        if samples.shape != expected:
            raise ValueError(f"snapshot must be (element, subcarrier) = {expected}, got {samples.shape}")
        length, half, dtype = self._length, self._length // 2, self._dtype
        tones = np.exp(2j * np.pi / self.c_m_s * np.outer(self.uplink.grid.frequency_hz, excess_m))
        basis = (self._basis[:, :, np.newaxis] * tones[:, np.newaxis, :]).astype(dtype)  # (subcarrier, term, excess)
        terms = samples.astype(dtype) @ basis.reshape(expected[1], -1)
        harmonics = scipy.fft.fft(terms, length, axis=0).reshape(length, self.band_terms, excess_m.size)
        pairs = np.stack([harmonics[: half + 1], harmonics[-np.arange(half + 1)]], axis=-1)  # h and -h as two columns
        columns = pairs.reshape(half + 1, self.band_terms, -1)
        parts = np.concatenate([columns, 1j * columns], axis=1).view(self._table.dtype)
        product = (self._table @ parts).view(dtype).reshape(half + 1, self.range_m.size, excess_m.size, 2)
        spectrum = np.empty((length, self.range_m.size, excess_m.size), dtype=dtype)
        spectrum[: half + 1] = product[..., 0]
        spectrum[half + 1 :] = product[half - 1 : 0 : -1, ..., 1]
        # transforming along the slow axis lets the FFT do several ranges per instruction
        images = scipy.fft.ifft(spectrum, axis=0, overwrite_x=True)[: self.angle_rad.size]
        transposed: AnyComplex = images.transpose(2, 1, 0)
        return transposed

    def _refuse_above(self, limit_bytes: int, needed_bytes: int) -> None:
        if needed_bytes > limit_bytes:
            raise TableTooLargeError(
                f"an image of {self.range_m.size} ranges, {self.uplink.array.elements} elements and "
                f"{self.uplink.grid.count} subcarriers needs {needed_bytes / 1e6:.0f} MB, "
                f"the limit is {limit_bytes / 1e6:.0f} MB"
            )


def chebyshev_terms(half_turn_rad: float) -> int:
    """Return how many Chebyshev terms say ``exp(j half_turn_rad x)`` for ``|x| <= 1`` to double precision.

    The coefficients are ``2 j^k J_k(half_turn_rad)``, which fall faster than exponentially once k is above the argument.
    """
    order = np.arange(int(2 * half_turn_rad) + 64)
    return int(np.nonzero(np.abs(scipy.special.jv(order, half_turn_rad)) > _SERIES_END)[0][-1]) + 2


def _band_tolerance(dtype: ComplexType) -> float:
    """Return the share of the largest singular value below which a term of the band is dropped.

    Phases of 1e4 rad limit double precision to 1e-12, so terms below 1e-13 are rounding; single precision keeps a tenth
    of its unit.
    """
    return max(0.1 * float(np.finfo(dtype).eps), 1e-13)


def _circular_length(elements: int) -> int:
    """Return an even fast transform length that keeps the linear correlation free of wrap-around."""
    half = elements  # 2 N covers all 2 N - 1 lags
    while scipy.fft.next_fast_len(2 * half) != 2 * half:
        half += 1
    return 2 * half


def _lag_distance_m(uplink: Uplink, range_m: Floats) -> Floats:
    """Return the distance from each range to elements 0..N-1 steps aside [SUCA, eq. (3)], ``(range, lag)``."""
    array = uplink.array
    lag_rad = np.arange(array.elements) * (2 * array.half_sector_rad / (array.elements - 1))
    r, radius = range_m[:, np.newaxis], array.radius_m
    distance: Floats = np.sqrt(r**2 + radius**2 - 2 * r * radius * np.cos(lag_rad))
    return distance


def _band_basis(
    uplink: Uplink, distance_m: Floats, c_m_s: float, relative_error: float
) -> tuple[ComplexArray, ComplexArray]:
    """Return what to project subcarriers on, and the same basis for the ramps of centred distances, ``(subcarrier, term)``.

    The ramps ``exp(j 2 pi (f_m - f_mid) d / c)`` over an interval of distances are sampled at Gauss nodes, dense enough
    for a product of any two of them to be integrated exactly, so their singular vectors are those of the continuum.
    """
    offset_hz = _centred_offset_hz(uplink)
    middle_m, half_m = _middle_and_half(distance_m)
    half_turn_rad = 2 * np.pi * offset_hz[-1] * half_m / c_m_s
    node, weight = np.polynomial.legendre.leggauss(int(2 * half_turn_rad) + 48)
    ramps = np.exp(2j * np.pi / c_m_s * half_m * np.outer(offset_hz, node)) * np.sqrt(weight)
    # offsets and nodes are symmetric, so real and imaginary parts span the same space and the basis is real
    basis, singular, _ = np.linalg.svd(np.hstack([ramps.real, ramps.imag]), full_matrices=False)
    residual = basis[:, singular > relative_error * singular[0]].astype(np.complex128)
    return np.exp(2j * np.pi / c_m_s * middle_m * offset_hz)[:, np.newaxis] * residual, residual


def _fill_table(
    table: AnyComplex, uplink: Uplink, distance_m: Floats, coefficients: ComplexArray, c_m_s: float
) -> None:
    """Fill ``(harmonic, range, 2 term)`` with the spectra of the even kernels, a block of ranges at a time."""
    middle_m, half_m = _middle_and_half(distance_m)
    wavenumber = 2 * np.pi / c_m_s * (uplink.grid.first_hz + uplink.grid.last_hz) / 2
    block = max(1, _WORK_BYTES // _work_bytes_per_range(distance_m.shape[1], *coefficients.shape))
    for first in range(0, distance_m.shape[0], block):
        rows = slice(first, first + block)
        polynomials = np.polynomial.chebyshev.chebvander((distance_m[rows] - middle_m) / half_m, len(coefficients) - 1)
        # both parts of the coefficients side by side make one real product
        band = (polynomials @ coefficients.view(np.float64)).view(np.complex128)  # (range, lag, term)
        kernel = band * np.exp(1j * wavenumber * distance_m[rows, :, np.newaxis])
        # the cosine transform is the FFT of the even extension; lags that no element has stay zero
        spectra = scipy.fft.dct(kernel, type=1, n=table.shape[0], axis=1).transpose(1, 0, 2)
        table[:, rows, : table.shape[2] // 2], table[:, rows, table.shape[2] // 2 :] = spectra.real, spectra.imag


def _work_bytes_per_range(lags: int, degrees: int, terms: int) -> int:
    """Return the memory of one range while the table is filled: polynomials twice, and four arrays of kernels."""
    return 16 * lags * (degrees + 4 * terms)


def _band_coefficients(uplink: Uplink, distance_m: Floats, basis: ComplexArray, c_m_s: float) -> ComplexArray:
    """Return the Chebyshev series of the ramps' products with the basis over all distances, ``(degree, term)``."""
    half_m = _middle_and_half(distance_m)[1]
    offset_hz = _centred_offset_hz(uplink)
    half_turn_rad = 2 * np.pi / c_m_s * offset_hz[-1] * half_m
    count = chebyshev_terms(half_turn_rad)
    nodes = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    values = np.exp(2j * np.pi / c_m_s * half_m * np.outer(nodes, offset_hz)) @ basis
    coefficients: ComplexArray = scipy.fft.dct(values, axis=0) / count
    coefficients[0] /= 2
    return coefficients


def _centred_offset_hz(uplink: Uplink) -> Floats:
    offset_hz: Floats = uplink.grid.offset_hz - uplink.grid.offset_hz[-1] / 2
    return offset_hz


def _middle_and_half(distance_m: Floats) -> tuple[float, float]:
    """Return the middle and half of the interval of distances."""
    low, high = float(distance_m.min()), float(distance_m.max())
    return (high + low) / 2, (high - low) / 2
