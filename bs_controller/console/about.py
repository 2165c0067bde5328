"""What a console knows of a run before its first record: facts, whom it locates, and what the room has; pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bs_controller.config import ControllerSection
from protocol.config import LoadedTestbed, TestbedFile, facts
from protocol.strict_yaml import converted, document_from_text
from protocol.testbed import TestbedFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A run's configuration as far as the page shows it."""

    name: str
    facts: TestbedFacts
    controller: ControllerSection
    scatterers: tuple[tuple[float, float], ...]  # x_m, y_m
    config_text: str
    started_utc: str = ""
    directory: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


def about_from_config(config_text: str, start: Mapping[str, Any], directory: str) -> About:
    """Return what a resolved testbed file and the start document of its run say.

    Raises
    ------
    ConfigError
        If the text describes no testbed.
    """
    path = Path("config.yaml")
    document = document_from_text(config_text, path)
    loaded = LoadedTestbed(path=path, file=converted(document, (), TestbedFile), document=document)
    return About(
        name=loaded.file.name,
        facts=facts(loaded.file),
        controller=loaded.section("controller", ControllerSection),
        scatterers=_scatterers(loaded.file.emulator),
        config_text=config_text,
        started_utc=str(start.get("started_utc", "")),
        directory=directory,
        versions={str(name): str(version) for name, version in dict(start.get("versions", {})).items()},
    )


def _scatterers(emulator: Mapping[str, object]) -> tuple[tuple[float, float], ...]:
    """Return where an emulated room has scatterers; drawn ones, of which the file tells no place, are left out."""
    found = emulator.get("scatterers", [])
    places = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    return tuple(
        point_m(float(place["range_m"]), float(np.deg2rad(place["angle_deg"])))
        for place in places
        if isinstance(place.get("range_m"), int | float) and isinstance(place.get("angle_deg"), int | float)
    )


def point_m(range_m: float, angle_rad: float) -> tuple[float, float]:
    """Return x and y of a polar position."""
    return range_m * float(np.cos(angle_rad)), range_m * float(np.sin(angle_rad))
