"""What a model file says of itself: what it was trained for, and what its outputs mean. Rules; no file is opened here.

It travels in the file's ONNX metadata, a flat table of strings: one entry per field, named with `PREFIX`, its value as
JSON. Entries without the prefix are others' and are left alone; a field too many, too few or of another kind is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, get_type_hints

import msgspec
from msgspec import Meta

FORMAT_VERSION = 1
PREFIX = "nftestbed."

Name = Annotated[str, Meta(min_length=1, max_length=64, description="a name of 1 to 64 characters")]
Version = Annotated[int, Meta(ge=1, description="a whole number of at least 1")]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="64 lower-case hexadecimal digits")]


class ModelError(ValueError):
    """A model cannot be used; the text says what was expected and what came."""


class ModelMismatchError(ModelError):
    """A model is whole, but made for another testbed, other features or another purpose."""


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One output of a network: the quantity is ``offset + scale * output``, in `unit`."""

    name: Name
    unit: Annotated[str, Meta(pattern="^(m|rad|s|1)$")]
    scale: Annotated[float, Meta(gt=0)]
    offset: float = 0.0


class ModelMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fields of a model's metadata.

    `preset` names the network, `features` the computation of its input and its version, e.g. ``element-1``,
    `downlink_digest` is that of the facts for which it was trained, `training` its training's configuration, and
    `data_digest` the SHA-256 of whatever names its data (the simulation's configuration and seeds). `outputs` are in the
    network's order.
    """

    format_version: Version = FORMAT_VERSION
    preset: Name
    features: Name
    outputs: Annotated[
        tuple[Output, ...],
        Meta(min_length=1, description="a list of outputs with name, unit (m, rad, s or 1), scale above 0, and offset"),
    ]
    downlink_digest: Digest
    training: Annotated[Mapping[str, object], Meta(description="an object")]
    data_digest: Digest

    def props(self) -> dict[str, str]:
        """Return the metadata as ONNX stores them.

        Raises
        ------
        ModelError
            If a field has a value that would be refused when it is read.
        """
        fields: dict[str, object] = msgspec.to_builtins(self)
        props = {PREFIX + field: msgspec.json.encode(value).decode() for field, value in fields.items()}
        metadata_from_props(props)
        return props


_HINTS = get_type_hints(ModelMetadata, include_extras=True)


def metadata_from_props(props: Mapping[str, str]) -> ModelMetadata:
    """Return the metadata that an ONNX file holds.

    Raises
    ------
    ModelError
        If a field is unknown, missing or wrong, with its name, its value and what was expected.
    """
    texts = {key.removeprefix(PREFIX): text for key, text in props.items() if key.startswith(PREFIX)}
    if not texts:
        raise ModelError(f"expected metadata named {PREFIX}*, got {_listed(props)}: no model of this testbed")
    _require_version(texts)  # first: other versions have other fields
    missing, unknown = _HINTS.keys() - texts.keys(), texts.keys() - _HINTS.keys()
    if missing:
        raise ModelError(f"metadata: expected fields {_listed(_HINTS)}, got none named {_listed(missing)}")
    if unknown:
        values = ", ".join(f"{field} = {texts[field]!r}" for field in sorted(unknown))
        raise ModelError(f"metadata: expected fields {_listed(_HINTS)}, got also {values}")
    return msgspec.convert({field: _value(field, text) for field, text in texts.items()}, ModelMetadata)


def require_match(metadata: ModelMetadata, *, digest: str, features: str, outputs: Sequence[tuple[str, str]]) -> None:
    """Refuse a model that was made for something else.

    Parameters
    ----------
    metadata
        What the model says of itself.
    digest
        The digest of this testbed's facts but its uplink's.
    features
        Name and version of the computation of its input.
    outputs
        Name and unit of each output that the caller reads, in order.

    Raises
    ------
    ModelMismatchError
        If any of them differs, with both values of each that does.
    """
    found = tuple((output.name, output.unit) for output in metadata.outputs)
    pairs = {
        "downlink_digest": (metadata.downlink_digest, digest),
        "features": (metadata.features, features),
        "outputs": (_quantities(found), _quantities(outputs)),
    }
    differences = [
        f"{name}: {model} in the model, {here} here" for name, (model, here) in pairs.items() if model != here
    ]
    if differences:
        raise ModelMismatchError("model made for something else: " + "; ".join(differences))


def _require_version(texts: Mapping[str, str]) -> None:
    text = texts.get("format_version", "none")
    if text != str(FORMAT_VERSION):
        raise ModelError(f"metadata field format_version: expected {FORMAT_VERSION}, got {text}")


def _value(field: str, text: str) -> object:
    """Return the field's value in plain types, or raise `ModelError` if it would not do."""
    try:
        value: object = msgspec.json.decode(text)
        msgspec.convert(value, _HINTS[field])
    except (msgspec.DecodeError, ValueError) as error:  # a ValidationError is a DecodeError
        expected = _HINTS[field].__metadata__[0].description
        raise ModelError(f"metadata field {field}: expected {expected}, got {text} ({error})") from error
    return value


def _quantities(outputs: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} [{unit}]" for name, unit in outputs)


def _listed(names: Mapping[str, object] | set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
