"""The tables of an exported run: their columns, units and axes, the same in every format. Pure data.

A name ends in its unit, and what has none is a number, a name or an index. Rows are in the order in which things happened.
"""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a column holds in each row; lists differ in length from row to row, arrays do not."""

    INT = "integer"
    FLOAT = "number, missing where it is not known"
    TEXT = "text, empty where it is not known"
    INTS = "list of integers"
    FLOATS = "list of numbers"
    TEXTS = "list of texts"
    POWER = "array of float64"
    SAMPLES = "array of complex64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis of an array beside its rows, and where its values stand (`Axes`)."""

    name: str
    values: str


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `axes` are those of an array, slow to fast."""

    name: str
    kind: Kind
    axes: tuple[Axis, ...] = ()

    @property
    def unit(self) -> str:
        """Return the unit that the name ends in; empty if there is none."""
        return unit_of(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table; `row` is what a row is of, and `tells` what it says."""

    name: str
    row: str
    tells: str
    columns: tuple[Column, ...]


#: By how a name ends, the longest first.
_UNITS = {
    "_sqrt_w": "W^0.5",
    "_cycles": "cycle",
    "_m_rad": "m rad",
    "_rad2": "rad^2",
    "_rad": "rad",
    "_m_s": "m/s",
    "_m2": "m^2",
    "_ms": "ms",
    "_hz": "Hz",
    "_db": "dB",
    "_m": "m",
    "_s": "s",
    "_w": "W",
}


def unit_of(name: str) -> str:
    """Return the unit that a name ends in; empty if there is none."""
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")


_TIME = Column("time_s", Kind.FLOAT)
_WHO = (Column("ue", Kind.TEXT), Column("scheme", Kind.TEXT), Column("round", Kind.INT))
_ANSWER = (Column("epoch", Kind.INT), _TIME, *_WHO)
_REPORT = (*_ANSWER, Column("measure_ms", Kind.FLOAT))
_SUBCARRIER = Axis(name="subcarrier", values="downlink_frequency_hz")
_ELEMENT = Axis(name="element", values="downlink_element_x_m")
_UPLINK = (
    Axis(name="element", values="uplink_element_angle_rad"),
    Axis(name="subcarrier", values="uplink_frequency_hz"),
)

SWEEPS = Table(
    name="sweeps",
    row="sweep",
    tells="Settings on the air: the foci asked for (a trajectory's two ends, or one per group) and what the radio answered.",
    columns=(
        Column("epoch", Kind.INT),
        _TIME,
        Column("form", Kind.TEXT),
        Column("focus_range_m", Kind.FLOATS),
        Column("focus_angle_rad", Kind.FLOATS),
        Column("groups_per_pilot", Kind.INT),
        Column("pilots", Kind.INT),
        Column("phase_deviation_cycles", Kind.FLOAT),
        Column("delay_deviation_s", Kind.FLOAT),
        Column("configure_ms", Kind.FLOAT),
        Column("ues", Kind.TEXTS),
    ),
)
SETTINGS = Table(
    name="settings",
    row="setting",
    tells="What the front end was sent for each group of subcarriers of a sweep, rounded to its steps.",
    columns=(
        Column("epoch", Kind.INT),
        Column("group", Kind.INT),
        Column("phase_cycles", Kind.POWER, (_ELEMENT,)),
        Column("delay_s", Kind.POWER, (_ELEMENT,)),
    ),
)
PEAKS = Table(
    name="reports/peak",
    row="sweep",
    tells="Reports of the strongest subcarrier of a sweep.",
    columns=(*_REPORT, Column("subcarrier", Kind.INT)),
)
GROUPS = Table(
    name="reports/group",
    row="sweep",
    tells="Reports of the strongest group of subcarriers of a sweep.",
    columns=(*_REPORT, Column("group", Kind.INT)),
)
POWERS = Table(
    name="reports/power",
    row="sweep",
    tells="Reports of the power of every subcarrier of a sweep.",
    columns=(*_REPORT, Column("power_w", Kind.POWER, (_SUBCARRIER,))),
)
SAMPLES = Table(
    name="reports/complex",
    row="sweep",
    tells="Reports of the received sample of every subcarrier of a sweep.",
    columns=(*_REPORT, Column("samples_sqrt_w", Kind.SAMPLES, (_SUBCARRIER,))),
)
SNAPSHOTS = Table(
    name="snapshots",
    row="sounding",
    tells="What the uplink array received of a user's pilot.",
    columns=(*_ANSWER, Column("capture_ms", Kind.FLOAT), Column("samples_sqrt_w", Kind.SAMPLES, _UPLINK)),
)
FIXES = Table(
    name="fixes",
    row="fix",
    tells="Where users were found, and what the schemes knew of their own errors.",
    columns=(
        _TIME,
        *_WHO,
        Column("range_m", Kind.FLOAT),
        Column("angle_rad", Kind.FLOAT),
        Column("sweeps", Kind.INT),
        Column("epochs", Kind.INTS),
        Column("latency_ms", Kind.FLOAT),
        Column("sweep_latency_ms", Kind.FLOATS),
        Column("covariance_range_m2", Kind.FLOAT),
        Column("covariance_range_angle_m_rad", Kind.FLOAT),
        Column("covariance_angle_rad2", Kind.FLOAT),
        Column("integrity", Kind.TEXT),
        Column("visible_subarrays", Kind.INTS),
        Column("fit_statistic", Kind.FLOAT),
        Column("fit_degrees", Kind.FLOAT),
        Column("clock_delay_s", Kind.FLOATS),
        Column("target_range_m", Kind.FLOATS),
        Column("target_angle_rad", Kind.FLOATS),
        Column("target_power", Kind.FLOATS),
    ),
)
FAILURES = Table(
    name="failures",
    row="failure",
    tells="Localizations that ended without a fix.",
    columns=(_TIME, *_WHO, Column("reason", Kind.TEXT), Column("text", Kind.TEXT)),
)
PEERS = Table(
    name="peers",
    row="event",
    tells="Peers that came, went or broke a rule.",
    columns=(_TIME, Column("name", Kind.TEXT), Column("event", Kind.TEXT), Column("text", Kind.TEXT)),
)
TRUTH = Table(
    name="truth",
    row="pilot",
    tells="Where the emulator had each user when a pilot of its was sent, and by which paths; never known to the controller.",
    columns=(
        Column("epoch", Kind.INT),
        Column("ue", Kind.TEXT),
        Column("link", Kind.TEXT),
        Column("range_m", Kind.FLOAT),
        Column("angle_rad", Kind.FLOAT),
        Column("scene_s", Kind.FLOAT),
        Column("velocity_x_m_s", Kind.FLOAT),
        Column("velocity_y_m_s", Kind.FLOAT),
        Column("path_kind", Kind.TEXTS),
        Column("path_range_m", Kind.FLOATS),
        Column("path_angle_rad", Kind.FLOATS),
        Column("path_gain_db", Kind.FLOATS),
        Column("path_phase_rad", Kind.FLOATS),
        Column("path_weight_rms", Kind.FLOATS),
    ),
)
TABLES = {
    table.name: table
    for table in (SWEEPS, SETTINGS, PEAKS, GROUPS, POWERS, SAMPLES, SNAPSHOTS, FIXES, FAILURES, PEERS, TRUTH)
}
