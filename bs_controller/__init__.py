"""The base station's controller: it decides what to send, estimates where users are, records and shows it.

The names below are those for notebooks; each lives in the module that its import names. Imaging and the schemes are
imported on first use, because they bring SciPy.
"""

import importlib
from typing import TYPE_CHECKING

from bs_controller.beams import common_delay_s, fitted, focus_of_subcarrier, setting_from_focus
from bs_controller.sweeps import Fix, GroupFoci, Scheme, Snapshot, Sounding, Sweep, Target, Trajectory
from protocol.testbed import TestbedFacts, default_facts

if TYPE_CHECKING:
    from bs_controller.detection import Detection, detect
    from bs_controller.imaging import Imager
    from bs_controller.schemes import (
        BackprojectionOptions,
        CbsBtOptions,
        CbsOptions,
        LikelihoodOptions,
        MusicOptions,
        NetworkOptions,
        SchemeOptions,
        UplinkLikelihoodOptions,
        scheme_from_options,
    )

_LAZY_NAMES = {
    "bs_controller.detection": ("Detection", "detect"),
    "bs_controller.imaging": ("Imager",),
    "bs_controller.schemes": (
        "BackprojectionOptions",
        "CbsBtOptions",
        "CbsOptions",
        "LikelihoodOptions",
        "MusicOptions",
        "NetworkOptions",
        "SchemeOptions",
        "UplinkLikelihoodOptions",
        "scheme_from_options",
    ),
}

__all__ = [
    "BackprojectionOptions",
    "CbsBtOptions",
    "CbsOptions",
    "Detection",
    "Fix",
    "GroupFoci",
    "Imager",
    "LikelihoodOptions",
    "MusicOptions",
    "NetworkOptions",
    "Scheme",
    "SchemeOptions",
    "Snapshot",
    "Sounding",
    "Sweep",
    "Target",
    "TestbedFacts",
    "Trajectory",
    "UplinkLikelihoodOptions",
    "common_delay_s",
    "default_facts",
    "detect",
    "fitted",
    "focus_of_subcarrier",
    "scheme_from_options",
    "setting_from_focus",
]


def __getattr__(name: str) -> object:
    """Import a lazy name on first use."""
    for module, names in _LAZY_NAMES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
