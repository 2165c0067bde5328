"""Facts that both ends of a link must share: subcarrier grids, array geometry, what a setting means, and a digest of it all.

Frame: the base station's array centre is the origin; ``theta`` is zero along broadside (linear array) or along the
sector's axis (circular array). SI units, radians. No propagation lives here: controller and emulator each have their
own, and a shared bug would be invisible.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
ComplexArray = npt.NDArray[np.complex128]

Positive = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
SubcarrierCount = Annotated[int, Meta(ge=2, le=65536)]
ElementCount = Annotated[int, Meta(ge=2, le=16384)]

SPEED_OF_LIGHT_M_S = 299_792_458.0
MAX_GROUPS = 4096


class Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A value on which both ends must agree before they talk."""


class SubcarrierGrid(Fact, frozen=True):
    """Equally spaced subcarriers: ``f_m = first_hz + m spacing_hz``, ``m = 0 .. count-1``."""

    first_hz: Positive
    spacing_hz: Positive
    count: SubcarrierCount

    @classmethod
    def edge(cls, carrier_hz: float, bandwidth_hz: float, count: int) -> "SubcarrierGrid":
        """Return the default grid, whose ends lie on the band's edges: ``fc - B/2 + m B/(M-1)``."""
        return cls(first_hz=carrier_hz - bandwidth_hz / 2, spacing_hz=bandwidth_hz / (count - 1), count=count)

    @classmethod
    def centred(cls, carrier_hz: float, bandwidth_hz: float, count: int) -> "SubcarrierGrid":
        """Return the grid as [CBS, section II-A] prints it: ``fc + (m - (M-1)/2) B/M``."""
        spacing_hz = bandwidth_hz / count
        return cls(first_hz=carrier_hz - (count - 1) / 2 * spacing_hz, spacing_hz=spacing_hz, count=count)

    @classmethod
    def authors(cls, carrier_hz: float, bandwidth_hz: float, count: int) -> "SubcarrierGrid":
        """Return the grid that reproduces the digits of [CBS, Figs. 3-4]: ``fc - B/2 + (m+1) B/(M-1)``."""
        spacing_hz = bandwidth_hz / (count - 1)
        return cls(first_hz=carrier_hz - bandwidth_hz / 2 + spacing_hz, spacing_hz=spacing_hz, count=count)

    @property
    def last_hz(self) -> float:
        """Return the frequency of the last subcarrier."""
        return self.first_hz + (self.count - 1) * self.spacing_hz

    @property
    def frequency_hz(self) -> Floats:
        """Return all frequencies, ``(subcarrier,)``."""
        return self.first_hz + self.offset_hz

    @property
    def offset_hz(self) -> Floats:
        """Return the frequencies relative to the first, ``f_m - f_0`` of [CBS, eq. (7)], ``(subcarrier,)``."""
        return self.spacing_hz * np.arange(self.count, dtype=np.float64)


class LinearArray(Fact, frozen=True):
    """Uniform linear array on the y axis, centred on the origin, cut into equal sub-arrays."""

    elements: ElementCount
    spacing_m: Positive
    subarrays: Annotated[int, Meta(ge=1, le=64)]

    def __post_init__(self) -> None:
        if self.elements % self.subarrays:
            raise ValueError(f"{self.elements} elements cannot be cut into {self.subarrays} equal sub-arrays")

    @property
    def element_x_m(self) -> Floats:
        """Return the coordinate of each element along the array, ``(n - (N-1)/2) d``, ``(element,)``."""
        return (np.arange(self.elements, dtype=np.float64) - (self.elements - 1) / 2) * self.spacing_m

    @property
    def element_subarray(self) -> Indices:
        """Return the index of the sub-array that each element belongs to [CBS, eq. (6)], ``(element,)``."""
        return np.arange(self.elements) // (self.elements // self.subarrays)


class SectorArray(Fact, frozen=True):
    """Sectored uniform circular array: elements at ``linspace(-alpha, alpha)`` on a circle around the origin."""

    elements: ElementCount
    radius_m: Positive
    half_sector_rad: Annotated[float, Meta(gt=0, lt=np.pi)]

    @property
    def element_angle_rad(self) -> Floats:
        """Return the angle ``psi_n`` of each element [SUCA, eq. (3)], ``(element,)``."""
        return np.linspace(-self.half_sector_rad, self.half_sector_rad, self.elements)


class Region(Fact, frozen=True):
    """Where users may be, seen from the linear array."""

    range_min_m: Positive
    range_max_m: Positive
    angle_min_rad: float
    angle_max_rad: float

    def __post_init__(self) -> None:
        if not self.range_min_m < self.range_max_m:
            raise ValueError(f"range must grow, got {self.range_min_m:g} to {self.range_max_m:g} m")
        if not -np.pi / 2 < self.angle_min_rad < self.angle_max_rad < np.pi / 2:
            raise ValueError(
                f"angle must grow within +-90 deg, got {self.angle_min_rad:g} to {self.angle_max_rad:g} rad"
            )


class Downlink(Fact, frozen=True):
    """The wideband downlink: phase shifters and true-time delays behind a linear array."""

    grid: SubcarrierGrid
    array: LinearArray


class Uplink(Fact, frozen=True):
    """The uplink: OFDM pilots received by a sectored circular array."""

    grid: SubcarrierGrid
    array: SectorArray


class TestbedFacts(Fact, frozen=True):
    """All that controller, radio and UE agents must agree upon; compared in ``Hello`` (SPEC 4.4)."""

    __test__ = False  # not a test class, whatever pytest makes of the name

    downlink: Downlink
    uplink: Uplink
    region: Region
    speed_of_light_m_s: Positive

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON of all facts, as 64 hexadecimal digits."""
        return _digest(self._canonical())

    def downlink_digest(self) -> str:
        """Return the same of all facts but the uplink: what downlink schemes depend on."""
        canonical = self._canonical()
        return _digest((canonical.downlink, canonical.region, canonical.speed_of_light_m_s))

    def _canonical(self) -> "TestbedFacts":
        return msgspec.convert(msgspec.to_builtins(self), TestbedFacts)  # 5 and 5.0 are the same fact

    def differences(self, other: "TestbedFacts") -> list[str]:
        """Return one line for each fact that differs, e.g. ``downlink.grid.count: 2048 here, 1024 there``."""
        ours, theirs = _flattened(msgspec.to_builtins(self)), _flattened(msgspec.to_builtins(other))
        return [f"{path}: {value} here, {theirs[path]} there" for path, value in ours.items() if theirs[path] != value]


def _digest(canonical: object) -> str:
    return hashlib.sha256(msgspec.json.encode(canonical, order="sorted")).hexdigest()


def _flattened(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in node.items():
        leaves |= _flattened(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves


def default_facts(*, subcarriers: int = 2048, elements: int = 512, uplink_subcarriers: int = 100) -> TestbedFacts:
    """Return the papers' full-size testbed: 100 GHz downlink of 6 GHz, 28 GHz uplink with 480 kHz spacing."""
    carrier_hz = 100e9
    return TestbedFacts(
        downlink=Downlink(
            grid=SubcarrierGrid.edge(carrier_hz, 6e9, subcarriers),
            array=LinearArray(elements=elements, spacing_m=SPEED_OF_LIGHT_M_S / (2 * carrier_hz), subarrays=4),
        ),
        uplink=Uplink(
            grid=SubcarrierGrid(first_hz=28e9, spacing_hz=480e3, count=uplink_subcarriers),
            array=SectorArray(elements=392, radius_m=1.0, half_sector_rad=np.pi / 3),
        ),
        region=Region(range_min_m=5.0, range_max_m=50.0, angle_min_rad=-np.pi / 3, angle_max_rad=np.pi / 3),
        speed_of_light_m_s=SPEED_OF_LIGHT_M_S,
    )


class FrontEndLimits(Fact, frozen=True):
    """What a downlink front end can do; the radio advertises it in ``Hello``.

    ``phase_bits`` of 0 and ``delay_step_s`` of 0 mean continuous. ``groups`` is the number of subcarrier groups, each
    with phases and delays of its own, that it can hold in one pilot; real front ends hold one.
    """

    elements: ElementCount
    groups: Annotated[int, Meta(ge=1, le=MAX_GROUPS)]
    phase_bits: Annotated[int, Meta(ge=0, le=16)]
    delay_step_s: NonNegative
    delay_span_s: Positive
    settle_s: NonNegative


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Phases and delays of the front end, one row per group of subcarriers.

    Element ``n`` sends subcarrier ``m`` of group ``l`` with the weight [CBS, eq. (7)]
    ``w[n, m] = exp(-j 2 pi phase_cycles[l, n]) exp(-j 2 pi (f_m - f_0) delay_s[l, n]) / sqrt(N)``.
    Group ``l`` of ``L`` holds subcarriers ``l M/L .. (l+1) M/L - 1``. A front end that holds fewer than ``L`` groups, or
    is asked for fewer by ``groups_per_pilot``, sends them in consecutive pilots, each with its own groups' subcarriers.
    """

    phase_cycles: Floats  # (group, element)
    delay_s: Floats  # (group, element)
    groups_per_pilot: int = 1

    def __post_init__(self) -> None:
        if self.phase_cycles.ndim != 2 or self.phase_cycles.shape != self.delay_s.shape:
            raise ValueError(
                f"phase and delay must share one (group, element) shape, got {self.phase_cycles.shape} and {self.delay_s.shape}"
            )
        if len(self.phase_cycles) > MAX_GROUPS:
            raise ValueError(f"a setting has at most {MAX_GROUPS} groups, got {len(self.phase_cycles)}")
        if self.groups_per_pilot < 1:
            raise ValueError(f"groups_per_pilot must be at least 1, got {self.groups_per_pilot}")

    @property
    def groups(self) -> int:
        """Return the number of groups."""
        return int(self.phase_cycles.shape[0])

    def pilots(self, limits: FrontEndLimits) -> int:
        """Return how many consecutive pilots the front end needs for all groups."""
        return -(-self.groups // min(self.groups_per_pilot, limits.groups))


def group_slices(subcarriers: int, groups: int) -> list[slice]:
    """Return the subcarriers of each group as slices.

    Raises
    ------
    ValueError
        If the subcarriers cannot be cut into that many equal groups.
    """
    if groups < 1 or subcarriers % groups:
        raise ValueError(f"{subcarriers} subcarriers cannot be cut into {groups} equal groups")
    size = subcarriers // groups
    return [slice(group * size, (group + 1) * size) for group in range(groups)]
