"""From foci to phases and delays, from phases and delays to foci, and what a front end makes of a setting.

Distances are exact; [CBS, eqs. (8)-(9)] give the foci of a trajectory to second order in the aperture. Pure functions.

A delay common to all elements of a group turns every subcarrier by one phase and changes no received amplitude, so
settings hold delays from zero upwards; `common_delay_s` returns what was taken off, for those who measure delays.
"""

import numpy as np
import numpy.typing as npt

from bs_controller.calibration.codes import coded_setting
from bs_controller.sweeps import Coded, Focus, GroupFoci, Trajectory
from protocol.testbed import FrontEndLimits, Setting, TestbedFacts

Floats = npt.NDArray[np.float64]


class SettingDoesNotFitError(ValueError):
    """A front end cannot apply a setting."""

    def __init__(self, quantity: str, value: float, limit: float, unit: str) -> None:
        super().__init__(f"the setting needs {quantity} of {value:g} {unit}, the front end has {limit:g} {unit}")
        self.quantity = quantity
        self.value = value
        self.limit = limit
        self.unit = unit


def setting_from_focus(focus: Focus, facts: TestbedFacts) -> Setting:
    """Return the phases and delays that focus the subcarriers as asked [CBS, eq. (7)].

    Parameters
    ----------
    focus
        Either a trajectory, one group from its start at the first to its end at the last subcarrier, or one point per
        group of subcarriers, held without squint; or a code, which focuses nowhere.
    facts
        The testbed.

    Returns
    -------
    setting
        Phases within [0, 1) cycle and delays from zero upwards, both ``(group, element)``.

    Raises
    ------
    ValueError
        If the subcarriers cannot be cut into as many equal groups as there are foci, or a range is not positive.
    """
    if isinstance(focus, Coded):
        return coded_setting(focus, facts)
    phase_cycles, delay_s = _phase_and_delay(focus, facts)
    return Setting(
        phase_cycles=phase_cycles % 1.0,
        delay_s=delay_s - delay_s.min(axis=1, keepdims=True),
        groups_per_pilot=1 if isinstance(focus, Trajectory) else focus.groups_per_pilot,
    )


def common_delay_s(focus: Trajectory | GroupFoci, facts: TestbedFacts) -> Floats:
    """Return the delay that `setting_from_focus` takes off all elements of each group, ``(group,)``.

    A sample received with the setting is the one of the untouched delays times ``exp(j 2 pi (f_m - f_0) common_delay_s)``.
    """
    smallest: Floats = _phase_and_delay(focus, facts)[1].min(axis=1)
    return smallest


def focus_of_subcarrier(trajectory: Trajectory, facts: TestbedFacts) -> tuple[Floats, Floats]:
    """Return where each subcarrier of a trajectory focuses [CBS, eqs. (8)-(9)].

    Returns
    -------
    range_m, angle_rad
        Both ``(subcarrier,)``. The range is infinite where the beam does not converge.
    """
    grid = facts.downlink.grid
    f_m, share = grid.frequency_hz, np.linspace(0.0, 1.0, grid.count)
    from_start, from_end = (1 - share) * grid.first_hz / f_m, share * grid.last_hz / f_m
    return _focus_from_parts(
        (from_start, trajectory.start_range_m, trajectory.start_angle_rad),
        (from_end, trajectory.end_range_m, trajectory.end_angle_rad),
    )


def squinted_focus_of_subcarrier(range_m: float, angle_rad: float, facts: TestbedFacts) -> tuple[Floats, Floats]:
    """Return where each subcarrier focuses when phase shifters alone focus the first one on a point [CBS, Fig. 3].

    Returns
    -------
    range_m, angle_rad
        Both ``(subcarrier,)``.
    """
    grid = facts.downlink.grid
    return _focus_from_parts((grid.first_hz / grid.frequency_hz, range_m, angle_rad))


def fitted(setting: Setting, limits: FrontEndLimits) -> Setting:
    """Return the setting as a front end applies it: phases and delays rounded to its steps.

    Parameters
    ----------
    setting
        What is wanted.
    limits
        What the front end can do; zero phase bits and a zero delay step mean continuous.

    Returns
    -------
    applied
        The same shape; phases within [0, 1) cycle.

    Raises
    ------
    SettingDoesNotFitError
        If the number of elements differs or a delay is outside the front end's span.
    """
    elements = setting.phase_cycles.shape[1]
    if elements != limits.elements:
        raise SettingDoesNotFitError("an array", elements, limits.elements, "elements")
    if setting.delay_s.min() < 0:
        raise SettingDoesNotFitError("a smallest delay", float(setting.delay_s.min()), 0.0, "s")
    if setting.delay_s.max() > limits.delay_span_s:
        raise SettingDoesNotFitError("a delay span", float(setting.delay_s.max()), limits.delay_span_s, "s")
    phase_cycles, delay_s = setting.phase_cycles, setting.delay_s
    if limits.phase_bits:
        phase_cycles = np.round(phase_cycles * 2**limits.phase_bits) / 2**limits.phase_bits
    if limits.delay_step_s:
        # rounding up must not leave the span; the excess keeps 100 ns / 0.1 ns at 1000 steps in floating point
        last_step = np.floor(limits.delay_span_s / limits.delay_step_s * (1 + 1e-12))
        delay_s = np.minimum(np.round(delay_s / limits.delay_step_s), last_step) * limits.delay_step_s
    return Setting(phase_cycles=phase_cycles % 1.0, delay_s=delay_s, groups_per_pilot=setting.groups_per_pilot)


def _phase_and_delay(focus: Trajectory | GroupFoci, facts: TestbedFacts) -> tuple[Floats, Floats]:
    """Return phases in cycles and absolute delays in seconds, both ``(group, element)``."""
    grid, c = facts.downlink.grid, facts.speed_of_light_m_s
    if isinstance(focus, Trajectory):
        start_m = _distance_m([focus.start_range_m], [focus.start_angle_rad], facts)
        end_m = _distance_m([focus.end_range_m], [focus.end_angle_rad], facts)
        delay_s = (grid.last_hz * end_m - grid.first_hz * start_m) / (c * (grid.last_hz - grid.first_hz))
        return grid.first_hz * start_m / c, delay_s
    if grid.count % len(focus.range_m):
        raise ValueError(f"{grid.count} subcarriers cannot be cut into {len(focus.range_m)} equal groups")
    point_m = _distance_m(focus.range_m, focus.angle_rad, facts)
    # delays count from the grid's first subcarrier in every group, so one phase and one delay give r_c f_m / c throughout
    return grid.first_hz * point_m / c, point_m / c


def _distance_m(
    range_m: list[float] | tuple[float, ...], angle_rad: list[float] | tuple[float, ...], facts: TestbedFacts
) -> Floats:
    """Return exact distances from points to elements [CBS, eq. (2) before its expansion], ``(point, element)``."""
    r, theta = np.asarray(range_m)[:, np.newaxis], np.asarray(angle_rad)[:, np.newaxis]
    if not ((r > 0) & np.isfinite(r)).all():
        raise ValueError(f"foci must lie at positive finite ranges, got {r.min():g} to {r.max():g} m")
    x = facts.downlink.array.element_x_m
    distance: Floats = np.sqrt(r**2 + x**2 - 2 * r * x * np.sin(theta))
    return distance


def _focus_from_parts(*parts: tuple[Floats, float, float]) -> tuple[Floats, Floats]:
    """Return foci from the sines and curvatures that weighted points contribute, both ``(subcarrier,)``."""
    sine = sum((weight * np.sin(theta) for weight, _, theta in parts), start=np.float64(0))
    bend = sum((weight * np.cos(theta) ** 2 / r for weight, r, theta in parts), start=np.float64(0))
    sine = np.clip(sine, -1, 1)  # weights add up to one at most, so only rounding goes beyond
    with np.errstate(divide="ignore", invalid="ignore"):
        curvature = bend / (1 - sine**2)
        range_m = np.where(curvature > 0, 1 / curvature, np.inf)
    return range_m, np.arcsin(sine)
