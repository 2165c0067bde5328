"""What a console knows of a run before its first record: facts, whom it locates, and what the room has; pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bs_controller.bounds import Unknown
from bs_controller.config import ControllerSection
from bs_controller.console.bounds import Emulated
from bs_controller.jobs import FOLLOWED, labels
from bs_controller.places import point_m
from bs_controller.scheme_bounds import unknown_of
from protocol.config import LoadedTestbed, TestbedFile, facts
from protocol.names import each_name
from protocol.strict_yaml import converted, document_from_text
from protocol.testbed import TestbedFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A run's configuration as far as the page shows it."""

    name: str
    facts: TestbedFacts
    controller: ControllerSection
    unknowns: Mapping[str, Unknown]  # of each scheme's bound, by label
    emulated: Emulated
    scatterers: tuple[tuple[float, float], ...]  # x_m, y_m
    config_text: str
    started_utc: str = ""
    directory: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def deadline_s(self) -> float:
        """Return how long a request may take."""
        track = self.controller.track
        within_s = self.controller.request_deadline_s
        return within_s if track is None else min(within_s, track.answer_within_s)

    @property
    def endless(self) -> bool:
        """Return whether the run goes on until somebody stops it."""
        return self.controller.track is not None and self.controller.track.duration_s is None

    def shown(self) -> dict[str, object]:
        """Return what the page is told once."""
        downlink, uplink = self.facts.downlink, self.facts.uplink.array
        return {
            "name": self.name,
            "directory": self.directory,
            "started_utc": self.started_utc,
            "digest": self.facts.digest(),
            "versions": self.versions,
            "ues": self.controller.ues,
            "schemes": list(self.unknowns),
            "deadline_ms": 1e3 * self.deadline_s,
            "region": msgspec.to_builtins(self.facts.region),
            "array_m": downlink.array.elements * downlink.array.spacing_m,
            "elements": downlink.array.elements,
            "subarrays": downlink.array.subarrays,
            "first_hz": downlink.grid.first_hz,
            "spacing_hz": downlink.grid.spacing_hz,
            "subcarriers": downlink.grid.count,
            "sector_rad": uplink.half_sector_rad,
            "radius_m": uplink.radius_m,
            "scatterers": self.scatterers,
        }


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
    controller = loaded.section("controller", ControllerSection)
    names = labels([str(type(options).__struct_config__.tag) for options in controller.schemes])
    unknowns = dict(zip(names, map(unknown_of, controller.schemes), strict=True))
    if controller.track is not None:  # and users may be followed, by the model of `likelihood`
        unknowns[FOLLOWED] = Unknown.GAIN
    return About(
        name=loaded.file.name,
        facts=facts(loaded.file),
        controller=controller,
        unknowns=unknowns,
        # samples of an air have other noise than the emulator's grids
        emulated=_emulated(loaded.file.emulator) if loaded.file.sdr is None else Emulated(visible={}),
        scatterers=_scatterers(loaded.file.emulator),
        config_text=config_text,
        started_utc=str(start.get("started_utc", "")),
        directory=directory,
        versions={str(name): str(version) for name, version in dict(start.get("versions", {})).items()},
    )


def _emulated(emulator: Mapping[str, object]) -> Emulated:
    """Return what an emulator's section says of noise and visible sub-arrays; nothing is checked here, its process does."""
    users = emulator.get("users")
    seen = {
        name: tuple(user["visible_subarrays"])
        for names, user in (users.items() if isinstance(users, dict) else ())
        if isinstance(user, dict) and isinstance(user.get("visible_subarrays"), list)
        for name in _each(str(names))
    }
    return Emulated(
        downlink_snr_db=_snr_db(emulator.get("downlink_noise")),
        uplink_snr_db=_snr_db(emulator.get("uplink_noise")),
        visible=seen,
    )


def _each(names: str) -> tuple[str, ...]:
    try:
        return each_name(names)
    except ValueError:
        return ()


def _snr_db(noise: object) -> float | None:
    """Return the ratio to a sweep's mean power, if noise is set that way."""
    if not isinstance(noise, dict) or noise.get("mode") != "sweep_mean" or "snr_db" not in noise:
        return None
    return float(noise["snr_db"])


def _scatterers(emulator: Mapping[str, object]) -> tuple[tuple[float, float], ...]:
    """Return where an emulated room has scatterers; drawn ones, of which the file tells no place, are left out."""
    found = emulator.get("scatterers", [])
    places = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    return tuple(
        point_m(float(place["range_m"]), float(np.deg2rad(place["angle_deg"])))
        for place in places
        if isinstance(place.get("range_m"), int | float) and isinstance(place.get("angle_deg"), int | float)
    )
