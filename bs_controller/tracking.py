"""Fixes of one user to a track: a Kalman filter of constant velocity that is told how uncertain each fix is.

State is position and velocity on the axes of the array, broadside first: ``(x_m, y_m, vx_m_s, vy_m_s)``. Between fixes the
velocity wanders as white acceleration of the spectral density ``q`` [Bar-Shalom, Li, Kirubarajan, section 6.2.2]. A fix that
the filter cannot believe is left out; too many of them in a row, and the track begins anew where they are.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from filterpy.common import Q_continuous_white_noise
from filterpy.kalman import predict, update

from bs_controller.sweeps import Covariance, Fix, Integrity, Prior

Floats = npt.NDArray[np.float64]

_POSITION: Floats = np.eye(2, 4)  # what of a state a fix measures
# Two coordinates of an honest fix are further off than this once in 10^5: -2 ln 10^-5. A fix beyond it is none of this motion.
GATE_NIS = 23.0
# Fixes in a row that a track may leave out before it is the track that is wrong.
MOST_REFUSED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionModel:
    """How users move, and how well a fix is known that does not say so.

    ``acceleration_m2_s3`` is the spectral density ``q``: after ``t`` s the velocity has wandered by ``sqrt(q t)``.
    ``speed_rms_m_s`` is what a user's speed may be along each axis before anything is known of it.
    """

    acceleration_m2_s3: float
    speed_rms_m_s: float
    fix_rms_m: float

    def process_noise(self, elapsed_s: float) -> Floats:
        """Return the covariance that a state gains in this time, ``(4, 4)``."""
        noise: Floats = Q_continuous_white_noise(2, elapsed_s, self.acceleration_m2_s3, 2, order_by_dim=False)
        return noise

    def fix_covariance(self, fix: Fix, smear_m: float) -> Floats:
        """Return how uncertain a fix is, m^2, ``(2, 2)``, of a user that moved by `smear_m` (rms) while it was made."""
        smear = smear_m**2 * np.eye(2)
        if not isinstance(fix.covariance, Covariance):
            return self.fix_rms_m**2 * np.eye(2) + smear
        own = fix.covariance
        polar = np.array([[own.range_m2, own.range_angle_m_rad], [own.range_angle_m_rad, own.angle_rad2]])
        turned = jacobian(fix.range_m, fix.angle_rad)
        cartesian: Floats = turned @ polar @ turned.T
        return cartesian + smear


def jacobian(range_m: float, angle_rad: float) -> Floats:
    """Return how position on the axes changes with range and angle, ``(axis, polar)``."""
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[cosine, -range_m * sine], [sine, range_m * cosine]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What is known of one user at one time; ``state`` is ``(4,)``, ``covariance`` ``(4, 4)``.

    ``nis`` is the last fix's squared distance from what was predicted in units of both their uncertainties, None of the first.
    ``refused`` counts the fixes in a row that were left out, ``fixes`` those that were taken in all.
    """

    time_s: float
    state: Floats
    covariance: Floats
    nis: float | None = None
    refused: int = 0
    fixes: int = 1

    @property
    def speed_m_s(self) -> float:
        """Return how fast the user is thought to move."""
        return math.hypot(*self.state[2:])

    @property
    def position_rms_m(self) -> float:
        """Return how far off the position may be, along the worse axis, rms."""
        return math.sqrt(float(np.linalg.eigvalsh(self.covariance[:2, :2])[-1]))

    def at(self, time_s: float, model: MotionModel) -> "Track":
        """Return the track as it is predicted for another, later time."""
        elapsed_s = max(time_s - self.time_s, 0.0)
        transition = np.eye(4) + elapsed_s * np.eye(4, k=2)
        state, covariance = predict(self.state, self.covariance, transition, model.process_noise(elapsed_s))
        return replace(self, time_s=self.time_s + elapsed_s, state=state, covariance=covariance)

    def prior(self) -> Prior:
        """Return where the user is, as a scheme takes it."""
        x_m, y_m = float(self.state[0]), float(self.state[1])
        range_m, angle_rad = math.hypot(x_m, y_m), math.atan2(y_m, x_m)
        back = np.linalg.inv(jacobian(range_m, angle_rad))
        polar = back @ self.covariance[:2, :2] @ back.T
        return Prior(
            range_m=range_m,
            angle_rad=angle_rad,
            covariance=Covariance(
                range_m2=float(polar[0, 0]), range_angle_m_rad=float(polar[0, 1]), angle_rad2=float(polar[1, 1])
            ),
        )


def begun(fix: Fix, time_s: float, model: MotionModel) -> Track:
    """Return a track that knows one fix, of a time."""
    place = _axes(fix)
    covariance = np.diag([0.0, 0.0, model.speed_rms_m_s**2, model.speed_rms_m_s**2])
    covariance[:2, :2] = model.fix_covariance(fix, 0.0)
    return Track(time_s=time_s, state=np.concatenate([place, np.zeros(2)]), covariance=covariance)


def continued(track: Track, fix: Fix, time_s: float, spread_s: float, model: MotionModel) -> Track:
    """Return a track with one more fix.

    Parameters
    ----------
    track
        What was known before.
    fix
        One that its scheme doubts is left out, as is one beyond the gate.
    time_s
        Of the middle of its sweeps; not before the fix that came last, or it is taken to be of that time.
    spread_s
        Rms time by which the fix may be of another moment: a user who moves is somewhere else then.

    Returns
    -------
    track
        Predicted for that time, and corrected unless the fix was left out; a new one if too many were.
    """
    predicted = track.at(time_s, model)
    noise = model.fix_covariance(fix, spread_s * predicted.speed_m_s)
    away = _axes(fix) - predicted.state[:2]
    nis = float(away @ np.linalg.solve(predicted.covariance[:2, :2] + noise, away))
    if fix.integrity is Integrity.SUSPECT or nis > GATE_NIS:
        if track.refused + 1 >= MOST_REFUSED and fix.integrity is not Integrity.SUSPECT:
            return begun(fix, predicted.time_s, model)
        return replace(predicted, nis=nis, refused=track.refused + 1)
    state, covariance = update(predicted.state, predicted.covariance, _axes(fix), noise, _POSITION)
    return replace(predicted, state=state, covariance=covariance, nis=nis, refused=0, fixes=track.fixes + 1)


def _axes(fix: Fix) -> Floats:
    return fix.range_m * np.array([math.cos(fix.angle_rad), math.sin(fix.angle_rad)])
