"""The study file: which schemes, on which users, over which axes; strict, and resolved to one setup per cell.

A study names a testbed file, of which it takes the bands, arrays, region, front end, noise and scatterers, and changes
them along its axes: each axis is a dotted parameter with its values, and each combination of values is a cell. A resolved
study holds the testbed's values itself, so that a folder of results needs no other file. Users of the testbed file are
ignored: a study draws its own.
"""

import copy
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from bs_controller.schemes import SchemeOptions, scheme_from_options
from emulator.config import (
    ClocksSection,
    ElementErrorsSection,
    EmulatorSection,
    FrontAngleDeg,
    FrontEndSection,
    Noise,
    PathSection,
    Probability,
    ScattererSection,
    Seed,
)
from emulator.scene import drawn_paths
from protocol import config
from protocol.config import (
    DownlinkSection,
    LinksSection,
    RegionSection,
    Section,
    TestbedFile,
    TestbedName,
    UplinkSection,
)
from protocol.strict_yaml import Document, converted, read_document, text_from_values
from protocol.testbed import NonNegative, Positive, TestbedFacts
from protocol.yaml_errors import Complaint, KeyPath, converted_or_complaint, dotted

MAX_CELLS = 100_000

UserCount = Annotated[int, Meta(ge=1, le=10_000_000)]
Schemes = Annotated[tuple[SchemeOptions, ...], Meta(min_length=1, max_length=64)]
Bounds = Literal["own", "all"]
Masks = Literal["all", "random"] | Annotated[int, Meta(ge=1, le=64)]
AxisValues = Annotated[tuple[object, ...], Meta(min_length=1, max_length=10_000)]

# a study has no links, a testbed file cannot be without
_NO_LINKS = LinksSection(control="ipc://none", air="ipc://nowhere")


class DrawSection(Section, frozen=True):
    """How users are drawn: all uniform in range and angle over the region, if not said otherwise.

    With ``uniform_in: area`` each square metre is alike. A share ``edge_share`` of them is exactly at one or the other end
    of the angles, where sweeps end. ``masks`` says which sub-arrays of the downlink see a user: all,
    a random non-empty subset of its own (each subset alike), or that many at random. ``paths`` are downlink paths beside
    the line of sight, drawn for each user. Offsets of the users' clocks are normal with these rms values.
    """

    range_m: tuple[Positive, Positive] | None = None
    angle_deg: tuple[FrontAngleDeg, FrontAngleDeg] | None = None
    uniform_in: Literal["range", "area"] = "range"
    edge_share: Probability = 0.0
    masks: Masks = "all"
    paths: tuple[PathSection, ...] | Literal["mixed"] = ()
    timing_offset_rms_s: NonNegative = 0.0
    carrier_offset_rms_hz: NonNegative = 0.0

    def __post_init__(self) -> None:
        for key, limits in (("range_m", self.range_m), ("angle_deg", self.angle_deg)):
            if limits is not None and not limits[0] < limits[1]:
                raise ValueError(f"{key}: expected two growing values, got [{limits[0]:g}, {limits[1]:g}]")


class Physics(Section, frozen=True):
    """What a study takes of a testbed file, each section as it stands there."""

    downlink: DownlinkSection
    uplink: UplinkSection
    region: RegionSection
    speed_of_light_m_s: Positive
    front_end: FrontEndSection
    downlink_noise: Noise
    uplink_noise: Noise
    uplink_errors: ElementErrorsSection
    clocks: ClocksSection
    scatterers: tuple[ScattererSection, ...]


class Setup(Physics, frozen=True):
    """All that a cell's numbers depend upon; each name, and what is below it, may be an axis."""

    schemes: Schemes
    users: UserCount
    draw: DrawSection = DrawSection()

    def facts(self) -> TestbedFacts:
        """Return the facts of the testbed."""
        shared = {name: getattr(self, name) for name in ("downlink", "uplink", "region", "speed_of_light_m_s")}
        return config.facts(TestbedFile(name="study", links=_NO_LINKS, controller={}, emulator={}, **shared))

    def digest(self) -> int:
        """Return 64 bits of what decides who the users are and what they hear: neither their number nor the schemes.

        More users thus begin with the same ones, and schemes are compared on equal users, in whatever cell they stand.
        """
        values = msgspec.to_builtins(self)
        del values["users"], values["schemes"]
        return _digest(msgspec.json.encode(values, order="sorted"))


class StudyFile(Section, frozen=True):
    """The whole file; `chunk` users of a cell are one task and one step of progress, and change no number.

    With ``bounds: own`` only fixes that state a covariance, and so claim to know their errors, are set beside their
    Cramer-Rao bound; with ``all`` every fix is, which takes two thirds as long again as locating by groups of subcarriers.
    """

    name: TestbedName
    testbed: str | Physics
    schemes: Schemes
    users: UserCount
    chunk: UserCount = 50
    seed: Seed = 1
    bounds: Bounds = "own"
    draw: DrawSection = DrawSection()
    axes: dict[str, AxisValues] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination of the axes' values, and the setup that it means."""

    index: int
    values: Mapping[str, object]
    setup: Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study file that was read, with its cells."""

    file: StudyFile
    cells: tuple[Cell, ...]

    def resolved(self) -> str:
        """Return the file as YAML with all defaults and the testbed's values written out; it can be run again."""
        return text_from_values(msgspec.to_builtins(self.file))

    def digest(self) -> str:
        """Return eight hexadecimal digits that tell this study from others of its name."""
        return hashlib.sha256(self.resolved().encode()).hexdigest()[:8]


def scheme_label(options: SchemeOptions) -> str:
    """Return a scheme's name with the options that are not its defaults, e.g. ``cbs_bt(rounds=3)``."""
    changed = {
        field.name: getattr(options, field.name)
        for field in msgspec.structs.fields(options)
        if getattr(options, field.name) != field.default
    }
    text = ", ".join(f"{name}={value}" for name, value in changed.items())
    return f"{options.__struct_config__.tag}({text})" if text else f"{options.__struct_config__.tag}"


def label_digest(label: str) -> int:
    """Return 64 bits of a scheme's label, for a seed."""
    return _digest(label.encode())


def _digest(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:8])


def read_study(path: Path) -> Study:
    """Return a study file and the testbed file that it names, checked down to each cell.

    Raises
    ------
    ConfigError
        If a file cannot be read, or a cell is no testbed on which the schemes can work.
    """
    document = read_document(path)
    file = converted(document, (), StudyFile)
    if isinstance(file.testbed, str):
        file = msgspec.structs.replace(file, testbed=_physics(document, path.parent / file.testbed))
    return Study(file=file, cells=tuple(_cells(document, file)))


def _physics(document: Document, path: Path) -> Physics:
    if not path.is_file():
        text = f'expected a testbed file, as seen from the folder of this file, got "{path}"'
        raise document.error(Complaint(path=("testbed",), node=("testbed",), text=text))
    testbed = config.read_testbed(path)
    emulator = testbed.section("emulator", EmulatorSection)
    names = Physics.__struct_fields__
    return Physics(**{name: getattr(emulator if hasattr(emulator, name) else testbed.file, name) for name in names})


def _cells(document: Document, file: StudyFile) -> Iterator[Cell]:
    count = 1
    for parameter, values in file.axes.items():
        count *= len(values)
        repeated = next((index for index, value in enumerate(values) if value in values[:index]), None)
        if repeated is not None:
            raise _axis_error(
                document, (parameter, repeated), f"expected distinct values, got {values[repeated]} twice"
            )
    if count > MAX_CELLS:
        text = f"expected at most {MAX_CELLS} combinations, got {count}"
        raise document.error(Complaint(path=("axes",), node=("axes",), text=text))
    base = msgspec.to_builtins(file)
    base = {name: base[name] for name in ("schemes", "users", "draw")} | base["testbed"]
    places = itertools.product(*(range(len(values)) for values in file.axes.values()))
    for index, place in enumerate(places):
        chosen = dict(zip(file.axes, place, strict=True))
        values_of_cell = {parameter: file.axes[parameter][at] for parameter, at in chosen.items()}
        yield Cell(index=index, values=values_of_cell, setup=_setup(document, base, values_of_cell, chosen))


def _setup(
    document: Document, base: Mapping[str, object], values: Mapping[str, object], chosen: Mapping[str, int]
) -> Setup:
    found = _setup_or_complaint(base, values)
    if isinstance(found, Setup):
        return found
    for parameter in reversed(list(values)):
        # the axis to blame is the last without which there is nothing, or something else, to complain about
        if _setup_or_complaint(base, {name: values[name] for name in values if name != parameter}) != found:
            text = f"{dotted(found.path)}: {found.text}"
            raise _axis_error(document, (parameter, chosen[parameter]), text)
    raise document.error(found)


def _setup_or_complaint(base: Mapping[str, object], values: Mapping[str, object]) -> Setup | Complaint:
    tree = copy.deepcopy(dict(base))
    for parameter, value in values.items():
        _put(tree, parameter.split("."), value)
    setup = converted_or_complaint(tree, Setup)
    return setup if isinstance(setup, Complaint) else _misfit(setup) or setup


def _put(tree: dict[str, object], names: list[str], value: object) -> None:
    """Set a value below a mapping; what does not exist is made, for the conversion to refuse by its name."""
    *above, last = names
    for name in above:
        below = tree.get(name)
        tree[name] = tree = dict(below) if isinstance(below, Mapping) else {}
    tree[last] = value


def _misfit(setup: Setup) -> Complaint | None:
    """Return what only the parts of a setup together can tell."""
    facts = setup.facts()
    subarrays = facts.downlink.array.subarrays
    if isinstance(setup.draw.masks, int) and setup.draw.masks > subarrays:
        text = f"expected at most the {subarrays} sub-arrays there are, got {setup.draw.masks}"
        return Complaint(path=("draw", "masks"), node=("draw", "masks"), text=text)
    try:
        drawn_paths(setup.draw.paths, facts, np.random.default_rng(0))
    except ValueError as error:
        return Complaint(path=("draw", "paths"), node=("draw", "paths"), text=f"expected paths that fit, got: {error}")
    labels = [scheme_label(options) for options in setup.schemes]
    for index, options in enumerate(setup.schemes):
        path: KeyPath = ("schemes", index)
        if labels[index] in labels[:index]:
            return Complaint(path=path, node=path, text=f"expected distinct schemes, got {labels[index]} twice")
        try:
            scheme_from_options(options, facts)
        except ValueError as error:
            return Complaint(path=path, node=path, text=f"expected a scheme that fits the testbed, got: {error}")
    return None


def _axis_error(document: Document, place: KeyPath, text: str) -> config.ConfigError:
    path = ("axes", *place)
    return document.error(Complaint(path=path, node=path, text=text))
