"""Beams and sweeps of one user without noise: [CBS, Figs. 3-4].

The printed digits follow from the authors' grid, a speed of light of 3e8 m/s and, in Fig. 4, a gain that is flat over the
band; with the gain falling as 1/f the strongest subcarrier of the range sweep is another one.
"""

import numpy as np
import numpy.typing as npt

from bs_controller.beams import focus_of_subcarrier, squinted_focus_of_subcarrier
from bs_controller.sweeps import Sweep, Trajectory
from bs_controller.trajectories import angle_trajectory, range_trajectory
from deploy.reproduce.plates import LINE_WITH_POINTS, Curve, Mark, Panel, Plate, Value, value
from deploy.reproduce.systems import AUTHORS_C_M_S, authors_facts
from deploy.simulation import SimulatedRadio, User
from protocol.messages import FeedbackKind
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]


_Foci = tuple[Floats, Floats]  # range and angle of each subcarrier's focus
# trajectory, its subcarrier, range in m, angle in degrees
_PRINTED_FOCI = ((2, 5, 26.21, 42.45), (2, 16, 22.83, 10.01), (1, 20, 27.29, 65.48))


def trajectories(quick: bool) -> Plate:
    """Return [CBS, Fig. 3]: where 20 subcarriers focus; there is nothing to make quick."""
    del quick
    facts = authors_facts(20)
    cases = {
        "1: phase shifters alone, set to 10 m, 75°": squinted_focus_of_subcarrier(10.0, np.deg2rad(75), facts),
        "2: 20 m, 60° to 20 m, 0°": focus_of_subcarrier(_trajectory(20, 60, 20, 0), facts),
        "3: 5 m, 60° to 20 m, 60°": focus_of_subcarrier(_trajectory(5, 60, 20, 60), facts),
    }
    values = []
    for number, subcarrier, range_m, angle_deg in _PRINTED_FOCI:
        found_m, found_rad = list(cases.values())[number - 1]
        name = f"trajectory {number}, subcarrier {subcarrier} of 20"
        values += [
            value(f"{name}, range_m", found_m[subcarrier - 1], range_m),
            value(f"{name}, angle_deg", np.rad2deg(found_rad[subcarrier - 1]), angle_deg),
        ]
    return Plate(
        figure="cbs-fig3",
        title="near-field beam trajectories",
        panels=(_trajectory_panel(cases),),
        values=tuple(values),
        settings={"subcarriers": 20, "elements": 512, "grid": "authors", "speed_of_light_m_s": AUTHORS_C_M_S},
    )


def _trajectory_panel(cases: dict[str, _Foci]) -> Panel:
    return Panel(
        title="Focus of each of 20 subcarriers; the array is at the origin, along y",
        x_label="x, broadside (m)",
        y_label="y, along the array (m)",
        curves=tuple(
            Curve(
                label=label if style == "line" else "_" + label,
                x=range_m * np.cos(angle_rad),
                y=range_m * np.sin(angle_rad),
                style=style,
                colour=index,
            )
            for index, (label, (range_m, angle_rad)) in enumerate(cases.items())
            for style in LINE_WITH_POINTS
        ),
        marks=tuple(
            Mark(
                label=f"printed: trajectory {number}, subcarrier {subcarrier}: {range_m} m, {angle_deg}°",
                x=float(range_m * np.cos(np.deg2rad(angle_deg))),
                y=float(range_m * np.sin(np.deg2rad(angle_deg))),
            )
            for number, subcarrier, range_m, angle_deg in _PRINTED_FOCI
        ),
        equal_axes=True,
        x_limits=(-1, 30),
    )


def _trajectory(start_m: float, start_deg: float, end_m: float, end_deg: float) -> Trajectory:
    return Trajectory(
        start_range_m=start_m,
        start_angle_rad=np.deg2rad(start_deg),
        end_range_m=end_m,
        end_angle_rad=np.deg2rad(end_deg),
    )


def sweep_amplitudes(quick: bool) -> Plate:
    """Return [CBS, Fig. 4]: amplitudes of both sweeps for a user at 15 m, 0°; there is nothing to make quick."""
    del quick
    facts = authors_facts()
    swept = {name: _swept(facts, subarrays) for name, subarrays in _VISIBLE.items()}
    return Plate(
        figure="cbs-fig4",
        title="amplitude of both sweeps of CBS, user at 15 m, 0°, no noise",
        panels=(
            _amplitude_panel("Angle sweep, +60° to -60° at 5 m", swept, 0, "angle of the focus (deg)"),
            _amplitude_panel("Range sweep, 50 m to 5 m at the angle found", swept, 1, "range of the focus (m)"),
        ),
        values=_amplitude_values(swept),
        notes=(
            "The paper's 'power' is an amplitude: its counts above half of the peak are those of amplitudes.",
            "Printed for elements 1-128: 20.0899 m, 22 and 688 subcarriers, which are ours, but 0.0871 deg, which elements "
            "129-256 give; elements 1-128 give 0.2813 deg. The printed pair mixes two visibility regions.",
            "The gain is taken as flat over the band; falling as 1/f it moves 14.989 m to 15.030 m and 20.090 m to 20.201 m.",
        ),
        settings={"subcarriers": 2048, "elements": 512, "grid": "authors", "speed_of_light_m_s": AUTHORS_C_M_S},
    )


_VISIBLE: dict[str, tuple[int, ...]] = {"all elements": (), "elements 1-128": (0,), "elements 129-256": (1,)}
_Swept = tuple[tuple[Floats, Floats], tuple[Floats, Floats]]


def _swept(facts: TestbedFacts, subarrays: tuple[int, ...]) -> _Swept:
    """Return (focus angle in degrees, amplitude) and (focus range, amplitude), each ``(subcarrier,)``."""
    user = User(range_m=15.0, angle_rad=0.0, visible_subarrays=subarrays)
    angular = angle_trajectory(facts)
    angle_rad, amplitude = focus_of_subcarrier(angular, facts)[1], _flat_amplitude(facts, angular, user)
    radial = range_trajectory(facts, float(angle_rad[amplitude.argmax()]))
    return (np.rad2deg(angle_rad), amplitude), (
        focus_of_subcarrier(radial, facts)[0],
        _flat_amplitude(facts, radial, user),
    )


def _flat_amplitude(facts: TestbedFacts, focus: Trajectory, user: User) -> Floats:
    """Return amplitudes with the fall of the gain over the band taken out; the peak is 1."""
    radio = SimulatedRadio(facts, rng=np.random.default_rng(0))  # draws nothing: there is no noise
    samples, _ = radio.received(Sweep(focus=focus, kind=FeedbackKind.COMPLEX), user)
    amplitude: Floats = np.abs(samples) * facts.downlink.grid.frequency_hz
    normalised: Floats = amplitude / amplitude.max()
    return normalised


_PRINTED_MARKS = (
    (
        Mark(label="printed: all elements, 0.0099°", x=0.0099, y=1.0),
        Mark(label="printed: 1-128, 0.0871°", x=0.0871, y=1.0),
    ),
    (
        Mark(label="printed: all elements, 14.9889 m", x=14.9889, y=1.0),
        Mark(label="printed: 1-128, 20.0899 m", x=20.0899, y=1.0),
    ),
)


def _amplitude_panel(title: str, swept: dict[str, _Swept], stage: int, x_label: str) -> Panel:
    return Panel(
        title=title,
        x_label=x_label,
        y_label="received amplitude over its peak",
        curves=tuple(
            Curve(label=name, x=both[stage][0], y=both[stage][1], colour=index)
            for index, (name, both) in enumerate(swept.items())
        ),
        marks=_PRINTED_MARKS[stage],
        x_limits=((-2.0, 2.0), (5.0, 50.0))[stage],
        y_limits=(0.0, 1.08),
        legend=("upper right", "lower right")[stage],
    )


def _amplitude_values(swept: dict[str, _Swept]) -> tuple[Value, ...]:
    full, first, second = (swept[name] for name in _VISIBLE)
    return (
        value("all elements, absolute angle_deg", abs(_at_peak(full[0])), 0.0099),
        value("all elements, range_m", _at_peak(full[1]), 14.9889),
        value("elements 1-128, angle_deg", _at_peak(first[0]), 0.0871),
        value("elements 129-256, angle_deg", _at_peak(second[0])),
        value("elements 1-128, range_m", _at_peak(first[1]), 20.0899),
        value("elements 129-256, range_m", _at_peak(second[1])),
        value("elements 1-128, subcarriers above half, angle sweep", float((first[0][1] > 0.5).sum()), 22),
        value("elements 1-128, subcarriers above half, range sweep", float((first[1][1] > 0.5).sum()), 688),
    )


def _at_peak(curve: tuple[Floats, Floats]) -> float:
    where, amplitude = curve
    return float(where[amplitude.argmax()])
