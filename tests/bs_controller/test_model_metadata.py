"""What a model file says of itself: kept through the file's strings, and refused where it is damaged or of something else."""

import json

import msgspec
import pytest

from bs_controller.model_metadata import (
    PREFIX,
    ModelError,
    ModelMetadata,
    ModelMismatchError,
    Output,
    metadata_from_props,
    require_match,
)

METADATA = ModelMetadata(
    preset="element",
    features="element-3",
    outputs=(Output(name="range", unit="m", scale=0.02), Output(name="angle_sine", unit="1", scale=5e-4, offset=-0.1)),
    downlink_digest="a" * 64,
    training={"steps": 1000, "rate": 2e-3, "snr_db": [0, 30], "timing": {"sigma_s": 1e-10}},
    data_digest="0" * 64,
)
OUTPUTS = (("range", "m"), ("angle_sine", "1"))


def changed(field: str, text: str) -> dict[str, str]:
    return METADATA.props() | {PREFIX + field: text}


def test_metadata_come_back_from_strings_as_they_were() -> None:
    assert metadata_from_props(METADATA.props()) == METADATA


def test_every_entry_is_json_under_the_prefix() -> None:
    props = METADATA.props()
    assert all(key.startswith(PREFIX) for key in props)
    values = {key.removeprefix(PREFIX): json.loads(text) for key, text in props.items()}
    assert values == json.loads(msgspec.json.encode(METADATA))


def test_entries_of_others_are_left_alone() -> None:
    assert metadata_from_props(METADATA.props() | {"onnx.infer": "quantised"}) == METADATA


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("preset", "7", "a name of 1 to 64 characters"),
        ("preset", '""', "a name of 1 to 64 characters"),
        ("features", "3", "a name of 1 to 64 characters"),
        ("features", "three", "a name of 1 to 64 characters"),
        ("outputs", "[]", "a list of outputs"),
        ("outputs", '[{"name":"range","unit":"m","scale":-0.02}]', "scale above 0"),
        ("outputs", '[{"name":"range","unit":"m","scale":null}]', "scale above 0"),
        ("outputs", '[{"name":"range","unit":"mm","scale":20}]', r"unit \(m, rad, s or 1\)"),
        ("outputs", '[{"name":"range","unit":"m"}]', "a list of outputs with name, unit"),
        ("outputs", '[{"name":"range","unit":"m","scale":1,"bias":2}]', "a list of outputs with name, unit"),
        ("downlink_digest", f'"{"A" * 64}"', "64 lower-case hexadecimal digits"),
        ("downlink_digest", '"abc"', "64 lower-case hexadecimal digits"),
        ("data_digest", "null", "64 lower-case hexadecimal digits"),
        ("training", "[1]", "an object"),
        ("training", "{", "an object"),
    ],
)
def test_wrong_field_is_refused_with_name_value_and_expectation(field: str, text: str, expected: str) -> None:
    with pytest.raises(ModelError, match=rf"field {field}: expected .*{expected}") as error:
        metadata_from_props(changed(field, text))
    assert f"got {text} (" in str(error.value)


@pytest.mark.parametrize("field", [key.removeprefix(PREFIX) for key in METADATA.props() if "format" not in key])
def test_missing_field_is_named(field: str) -> None:
    props = METADATA.props()
    del props[PREFIX + field]
    with pytest.raises(ModelError, match=f"expected fields .*, got none named {field}$"):
        metadata_from_props(props)


def test_unknown_field_is_named_with_its_value() -> None:
    with pytest.raises(ModelError, match=r"expected fields .*, got also colour = '\"red\"'"):
        metadata_from_props(changed("colour", '"red"'))


def test_other_format_is_refused_before_its_unknown_fields_are() -> None:
    with pytest.raises(ModelError, match="format_version: expected 1, got 2"):
        metadata_from_props(changed("format_version", "2") | {PREFIX + "colour": "1"})


def test_missing_format_is_refused() -> None:
    props = METADATA.props()
    del props[PREFIX + "format_version"]
    with pytest.raises(ModelError, match="format_version: expected 1, got none"):
        metadata_from_props(props)


def test_file_of_others_is_refused_with_what_it_holds() -> None:
    with pytest.raises(ModelError, match=r"expected metadata named nftestbed\.\*, got author"):
        metadata_from_props({"author": "somebody"})


@pytest.mark.parametrize(
    ("field", "value"), [("preset", ""), ("features", ""), ("outputs", ()), ("downlink_digest", "abc")]
)
def test_what_would_be_refused_is_not_written(field: str, value: object) -> None:
    with pytest.raises(ModelError, match=f"field {field}: expected"):
        msgspec.structs.replace(METADATA, **{field: value}).props()


@pytest.mark.parametrize("scale", [0.0, float("nan"), float("inf")])
def test_scale_that_is_no_scale_is_not_written(scale: float) -> None:
    outputs = (Output(name="range", unit="m", scale=scale),)
    with pytest.raises(ModelError, match=r"field outputs: expected .*scale above 0"):
        msgspec.structs.replace(METADATA, outputs=outputs).props()


def test_model_for_this_testbed_these_features_and_outputs_is_taken() -> None:
    require_match(METADATA, digest="a" * 64, features="element-3", outputs=OUTPUTS)


def test_model_for_another_testbed_is_refused_with_both_digests() -> None:
    with pytest.raises(ModelMismatchError, match=f"downlink_digest: {'a' * 64} in the model, {'b' * 64} here"):
        require_match(METADATA, digest="b" * 64, features="element-3", outputs=OUTPUTS)


def test_model_for_other_features_is_refused_with_both_versions() -> None:
    with pytest.raises(ModelMismatchError, match=r"features: element-3 in the model, element-4 here$"):
        require_match(METADATA, digest="a" * 64, features="element-4", outputs=OUTPUTS)


@pytest.mark.parametrize("outputs", [OUTPUTS[:1], OUTPUTS[::-1], (("range", "s"), ("angle_sine", "1"))])
def test_model_with_other_outputs_is_refused_with_both_lists(outputs: tuple[tuple[str, str], ...]) -> None:
    asked = ", ".join(f"{name} [{unit}]" for name, unit in outputs)
    with pytest.raises(ModelMismatchError) as error:
        require_match(METADATA, digest="a" * 64, features="element-3", outputs=outputs)
    assert f"outputs: range [m], angle_sine [1] in the model, {asked} here" in str(error.value)


def test_all_differences_are_named_at_once() -> None:
    with pytest.raises(ModelMismatchError, match=r"downlink_digest: .* features: element-3 in the model, pair-9 here"):
        require_match(METADATA, digest="b" * 64, features="pair-9", outputs=OUTPUTS)
