"""A table of power profiles of the angle sweep over curvature and mask, and its correlation with reported powers.

What a user hears of an angle sweep is a band of subcarriers whose shape depends on the visible sub-arrays and on the
wavefront's curvature ``cos^2(theta) / r``, and whose place is the sine of the angle: nearly a shift. So one FFT over the
shift scores each shape at all angles. A profile stretches with frequency and leans with the angle a little, therefore the
table has several sines to take the nearest of.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from bs_controller.estimation.masks import all_masks
from bs_controller.estimation.power.scoring import SEARCH_NOISE_SHARE
from bs_controller.features import focus_sine, lit_subcarrier, noise_level
from bs_controller.response import DownlinkResponse
from bs_controller.sweeps import Trajectory
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

# Shares of all subcarriers: of a profile, of what is looked at around the lit band, of the box that finds the lit band.
PROFILE_SHARE = 1 / 8
WINDOW_SHARE = 1 / 4
LIT_SHARE = 3 / 32
SINES = 13
STEPS_PER_LOBE = 8  # of the curvature; a lobe is what defocuses the ends of the array by half a wave, 4 lambda / L^2


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileScores:
    """How well each shape fits, at its best angle."""

    nats: Floats  # (curvature, mask) likelihood that it gains over noise alone, approximately
    sine: Floats  # (curvature, mask) of the best angle
    curvature_per_m: Floats  # (curvature,) ``cos^2(theta) / r``
    window: slice  # the subcarriers that were looked at
    sigma2_w: float  # noise power by the subcarriers outside


class ProfileTable:
    """Profiles of one angle sweep, as spectra over the shift; read-only once made."""

    def __init__(self, facts: TestbedFacts, trajectory: Trajectory, response: DownlinkResponse) -> None:
        region, array, self._focus_sine = facts.region, facts.downlink.array, focus_sine(trajectory, facts)
        self.masks = all_masks(array.subarrays)
        self._profile, self._window = profile_width(facts), round(WINDOW_SHARE * facts.downlink.grid.count)
        self.lit_box = round(LIT_SHARE * facts.downlink.grid.count)
        wavelength_m = facts.speed_of_light_m_s / float(facts.downlink.grid.frequency_hz.mean())
        step_per_m = 4 * wavelength_m / _length_m(facts) ** 2 / STEPS_PER_LOBE
        widest_rad = max(abs(region.angle_min_rad), abs(region.angle_max_rad))
        self.curvature_per_m = np.arange(
            np.cos(widest_rad) ** 2 / region.range_max_m, 1 / region.range_min_m + step_per_m, step_per_m
        )
        half = self._profile // 2
        middle = np.linspace(half, self._focus_sine.size - half, SINES).astype(np.intp)
        self._sine = self._focus_sine[middle]
        shape = (SINES, self.curvature_per_m.size, len(self.masks), self._window // 2 + 1)
        self._amplitude, self._power = np.empty(shape, np.complex64), np.empty(shape, np.complex64)
        for number, subcarrier in enumerate(middle.tolist()):
            for row, curvature_per_m in enumerate(self.curvature_per_m.tolist()):
                profile = self._powers(response, self._sine[number], curvature_per_m, subcarrier)
                self._amplitude[number, row] = np.conj(fft.rfft(np.sqrt(profile), self._window, axis=-1))
                self._power[number, row] = np.conj(fft.rfft(profile, self._window, axis=-1))

    @property
    def nbytes(self) -> int:
        """Return the table's size in bytes."""
        return self._amplitude.nbytes + self._power.nbytes

    def _powers(self, response: DownlinkResponse, sine: float, curvature_per_m: float, middle: int) -> Floats:
        """Return the powers around a subcarrier, the largest being one, ``(mask, subcarrier)``."""
        range_m, half = (1 - sine**2) / curvature_per_m, self._profile // 2
        heard = response.value(range_m, float(np.arcsin(sine)))[:, middle - half : middle - half + self._profile]
        seen = self.masks @ heard
        power = seen.real**2 + seen.imag**2
        profile: Floats = power / power.max(axis=1, keepdims=True)
        return profile

    def scores(self, power_w: Floats) -> ProfileScores:
        """Return how well each shape fits reported powers ``(subcarrier,)``, at its best angle.

        Amplitudes are fitted by least squares: their variance is the same where they are bright, and little less where dark.
        """
        lit = lit_subcarrier(np.sqrt(power_w).astype(np.complex128), self.lit_box)
        first = int(np.clip(round(lit), 0, power_w.size)) - self._window // 2
        window = slice(max(first, 0), min(first + self._window, power_w.size))
        outside = np.concatenate([power_w[: window.start], power_w[window.stop :]])
        sigma2_w = max(noise_level(outside), SEARCH_NOISE_SHARE * float(power_w[window].mean()))
        measured, amplitude = np.zeros((2, self._window), dtype=np.float32)
        inside = slice(window.start - first, window.stop - first)
        measured[inside] = 1
        amplitude[inside] = np.sqrt(np.maximum(power_w[window] / sigma2_w - 1, 0))
        sine = float(np.interp(lit, np.arange(power_w.size), self._focus_sine))
        nats, shift = self._correlated(measured, amplitude, int(np.abs(self._sine - sine).argmin()))
        return ProfileScores(
            nats=nats,
            sine=self._sine_of(first + shift + self._profile // 2),
            curvature_per_m=self.curvature_per_m,
            window=window,
            sigma2_w=sigma2_w,
        )

    def _sine_of(self, subcarrier: Floats) -> Floats:
        """Return the sine in focus at a fractional subcarrier, beyond the ends by the last step."""
        sine = self._focus_sine
        inside = np.interp(subcarrier, np.arange(sine.size), sine)
        before, after = np.minimum(subcarrier, 0.0), np.maximum(subcarrier - (sine.size - 1), 0.0)
        result: Floats = inside + before * (sine[1] - sine[0]) + after * (sine[-1] - sine[-2])
        return result

    def _correlated(self, measured: Singles, amplitude: Singles, sine: int) -> tuple[Floats, Floats]:
        """Return the best score over the shift and the shift, in steps of half a subcarrier and by a parabola between."""
        # profiles are bands below a quarter of the transform: twice the points interpolate exactly
        shifts, points = 2 * (self._window - self._profile) + 1, 2 * self._window
        along = 2 * fft.irfft(self._amplitude[sine] * fft.rfft(amplitude), points, axis=-1)[..., :shifts]
        norm = 2 * fft.irfft(self._power[sine] * fft.rfft(measured), points, axis=-1)[..., :shifts]
        # profiles that lie where nothing was measured have no norm
        floor = 1e-2 * norm.max(axis=-1, keepdims=True)
        scores = np.maximum(along, 0) ** 2 / np.maximum(norm, floor)
        best = np.clip(scores.argmax(axis=-1), 1, shifts - 2)[..., np.newaxis]
        before, at, after = (np.take_along_axis(scores, best + step, -1)[..., 0].astype(float) for step in (-1, 0, 1))
        bend = np.maximum(2 * at - before - after, np.finfo(float).tiny)
        offset = np.clip((after - before) / (2 * bend), -0.5, 0.5)
        return at + bend * offset**2 / 2, (best[..., 0] + offset) / 2


def profile_width(facts: TestbedFacts) -> int:
    """Return how many subcarriers a profile has."""
    return round(PROFILE_SHARE * facts.downlink.grid.count)


def require_profiles(facts: TestbedFacts, trajectory: Trajectory) -> None:
    """Check that the widest band that an angle sweep lights for a user of the region fits a profile.

    Raises
    ------
    ValueError
        If it does not: the array is too long, or a sub-array too short, for the region.
    """
    region, array, sine = facts.region, facts.downlink.array, focus_sine(trajectory, facts)
    focus_per_m = np.cos(trajectory.start_angle_rad) ** 2 / trajectory.start_range_m
    farthest_per_m = np.cos(max(abs(region.angle_min_rad), abs(region.angle_max_rad))) ** 2 / region.range_max_m
    defocus_per_m = max(1 / region.range_min_m - focus_per_m, focus_per_m - farthest_per_m)
    # defocus spreads the elements' directions over this, and each sub-array's beam is blurred by its own width
    band = _length_m(facts) * defocus_per_m + 4 * array.subarrays / array.elements
    subcarriers = round(band / abs(float(sine[-1] - sine[0])) * sine.size)
    if subcarriers > profile_width(facts):
        raise ValueError(
            f"a user of the region may light {subcarriers} subcarriers of an angle sweep, profiles hold {profile_width(facts)}"
        )


def _length_m(facts: TestbedFacts) -> float:
    return float(np.ptp(facts.downlink.array.element_x_m))
