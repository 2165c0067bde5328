"""Schemes `network` whose model is a handmade file that answers the same whatever it is shown."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from bs_controller.model_metadata import ModelMetadata, Output
from bs_controller.representations import OUTPUTS, REPRESENTATIONS
from bs_controller.schemes import NetworkOptions, scheme_from_options
from bs_controller.schemes.network import REPRESENTATION_OF_PLAN
from bs_controller.sweeps import Scheme
from tests.bs_controller.handmade_onnx import constant_model
from tests.bs_controller.hearing import FACTS

PLAN = NetworkOptions().plan
NOTHING = (0.0, 0.0, 0.0, 0.0)  # no correction, and deviations of one unit


def metadata_of(plan: str, **changes: object) -> ModelMetadata:
    """What a model of this testbed says of itself, but for some fields."""
    shown = REPRESENTATIONS[REPRESENTATION_OF_PLAN[plan]]
    metadata = ModelMetadata(
        preset="handmade",
        features=f"{shown.name}-{shown.version}",
        outputs=tuple(Output(name=name, unit=unit, scale=1.0) for name, unit in OUTPUTS),
        downlink_digest=FACTS.downlink_digest(),
        training={},
        data_digest="0" * 64,
    )
    return msgspec.structs.replace(metadata, **changes)


def model_file(folder: Path, metadata: ModelMetadata, answers: Sequence[float] = NOTHING, plan: str = PLAN) -> Path:
    """Write the file of a network for a plan that says this of itself and always answers so."""
    shape = REPRESENTATIONS[REPRESENTATION_OF_PLAN[plan]].shape
    path = folder / f"{plan}.onnx"
    path.write_bytes(constant_model(answers, shape, metadata.props()))
    return path


def network(folder: Path, answers: Sequence[float] = NOTHING, **options: object) -> Scheme:
    """Return the scheme with these options and a network that always answers so."""
    plan = str(options.get("plan", PLAN))
    values = {"scheme": "network", "model": str(model_file(folder, metadata_of(plan), answers, plan)), **options}
    return scheme_from_options(msgspec.convert(values, NetworkOptions), FACTS)
