"""The scene of a testbed file: where its users are, if nothing but line of sight and faint noise is there.

The kit reads the emulator's raw section itself; a radio that emulates its air puts the users at the same places.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from protocol.conformance.case import UnsupportedError

FAINT_DB = 60.0  # noise that far below the mean power moves no sample by 1 % of the rms
_PLAIN = {"users", "seed", "front_end", "downlink_noise", "uplink_noise"}


class _User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    range_m: float
    angle_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a user is, seen from the centre of the arrays (SPEC 1.3)."""

    range_m: float
    angle_rad: float

    @property
    def position_m(self) -> tuple[float, float]:
        """Return the coordinates along broadside and along the array."""
        return self.range_m * math.cos(self.angle_rad), self.range_m * math.sin(self.angle_rad)


def places(scene: Mapping[str, object]) -> dict[str, Place]:
    """Return the place of each user, at least one.

    Raises
    ------
    UnsupportedError
        If there is more in the scene than users at rest in line of sight, so that no reference maths is known.
    """
    strange = sorted(set(scene) - _PLAIN)
    strange += [link for link in ("downlink_noise", "uplink_noise") if not _is_faint(scene.get(link))]
    front_end = scene.get("front_end")
    if isinstance(front_end, Mapping) and "errors" in front_end:
        strange.append("front_end.errors")
    if strange:
        raise UnsupportedError(f"the testbed's scene has more than line of sight: {', '.join(strange)}")
    try:
        users = msgspec.convert(scene.get("users", {}), dict[str, _User])
    except msgspec.ValidationError as error:
        raise UnsupportedError(f"the testbed's scene has more than users at rest in line of sight: {error}") from error
    if not users:
        raise UnsupportedError("the testbed's scene has no users")
    return {name: Place(range_m=user.range_m, angle_rad=math.radians(user.angle_deg)) for name, user in users.items()}


def _is_faint(noise: object) -> bool:
    if not isinstance(noise, Mapping):
        return False
    return noise.get("mode") == "none" or float(noise.get("snr_db", 0.0)) >= FAINT_DB
