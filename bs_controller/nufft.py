"""Nonuniform FFTs whose points change at every call: sums of tones at all bins, and correlations with tones.

finufft's Python interface takes 50 us to check and convert what it is given, as long as the transform itself at the sizes of
a sweep. So a transform here owns buffers that were checked once, and calls the library's C interface (finufft_setpts and
finufft_execute, documented and stable) on them. The controller's only importer of finufft. A transform must not be used by
two threads at once.
"""

import ctypes

import finufft
import finufft._finufft as _c_interface
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

# One thread: threads cost more than they bring at these sizes. Tones come nearly sorted. The smaller oversampling takes two
# thirds of the usual one's time.
_OPTIONS = {"nthreads": 1, "upsampfac": 1.25, "spread_sort": 0, "showwarn": 0}

_set_points = _c_interface.lib[
    "finufft_setpts"
]  # by item: a function object of our own, with argument types of our own
_set_points.argtypes = [
    ctypes.c_void_p,
    ctypes.c_longlong,
    *[ctypes.c_void_p] * 3,
    ctypes.c_longlong,
    *[ctypes.c_void_p] * 3,
]
_set_points.restype = ctypes.c_int
_execute = _c_interface.lib["finufft_execute"]
_execute.argtypes = [ctypes.c_void_p] * 3
_execute.restype = ctypes.c_int


class NufftError(RuntimeError):
    """The library refused a transform; the number is finufft's."""


class _Transform:
    """Buffers and a plan for up to so many points."""

    def __init__(self, *, kind: int, bins: int, points: int, transforms: int, sign: int, tolerance: float) -> None:
        if min(bins, points, transforms) < 1:
            raise ValueError(f"at least one bin, point and transform expected, got {bins}, {points}, {transforms}")
        self._plan = finufft.Plan(kind, (bins,), n_trans=transforms, eps=tolerance, isign=sign, **_OPTIONS)
        self._handle = self._plan._inner_plan
        self._points: Floats = np.empty(points)
        self._tones: ComplexArray = np.empty(transforms * points, dtype=np.complex128)
        self._bins: ComplexArray = np.empty((transforms, bins), dtype=np.complex128)
        self._addresses = (self._points.ctypes.data, self._tones.ctypes.data, self._bins.ctypes.data)
        self._transforms = transforms

    def _run(self, step_rad: Floats) -> None:
        count = step_rad.size
        if count > self._points.size:
            raise ValueError(f"at most {self._points.size} tones were planned, got {count}")
        self._points[:count] = step_rad
        points, tones, bins = self._addresses
        refused = _set_points(self._handle, count, points, None, None, 0, None, None, None)
        refused = refused or _execute(self._handle, tones, bins)
        if refused:
            raise NufftError(f"finufft ended with error {refused} for {count} points")


class ToneSums(_Transform):
    """Sums of tones, ``s_b = sum_n a_n exp(j b p_n)`` for bins ``b = -(bins // 2) ...`` (type 1)."""

    def __init__(self, bins: int, points: int, sums: int, tolerance: float) -> None:
        """Plan for sums of so many tones at most, several with the same steps at a time."""
        super().__init__(kind=1, bins=bins, points=points, transforms=sums, sign=1, tolerance=tolerance)

    def __call__(self, step_rad: Floats, strength: ComplexArray) -> ComplexArray:
        """Return the sums.

        Parameters
        ----------
        step_rad
            ``(tone,)`` phase from one bin to the next.
        strength
            ``(sum, tone)`` complex amplitudes at bin zero.

        Returns
        -------
        sums
            ``(sum, bin)``, overwritten by the next call.

        Raises
        ------
        ValueError
            If there are more tones than planned, or other sums.
        """
        if strength.shape != (self._transforms, step_rad.size):
            raise ValueError(f"strengths of shape {(self._transforms, step_rad.size)} expected, got {strength.shape}")
        if not step_rad.size:
            self._bins[:] = 0.0
            return self._bins
        # all sums in one piece, as the library expects them; too many tones are refused with the points
        self._tones[: strength.size] = strength.ravel()[: self._tones.size]
        self._run(step_rad)
        return self._bins


class ToneProducts(_Transform):
    """Correlations with tones, ``c_n = sum_b x_b exp(-j b p_n)`` for bins ``b = -(bins // 2) ...`` (type 2)."""

    def __init__(self, bins: int, points: int, tolerance: float) -> None:
        """Plan for correlations with so many tones at most."""
        super().__init__(kind=2, bins=bins, points=points, transforms=1, sign=-1, tolerance=tolerance)

    def __call__(self, step_rad: Floats, samples: ComplexArray) -> ComplexArray:
        """Return the correlations of samples ``(bin,)`` with tones of these steps ``(tone,)``: ``(tone,)``, overwritten."""
        self._bins[0] = samples
        self._run(step_rad)
        return self._tones[: step_rad.size]
