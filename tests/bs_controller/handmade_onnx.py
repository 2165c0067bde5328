"""ONNX files written byte by byte, so that tests of inference need neither torch nor onnx: one linear layer each."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

FLOAT = 1  # TensorProto.DataType
DOUBLE = 11


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def chunk(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(data)) + data


def tensor(name: str, values: Floats) -> bytes:
    dims = b"".join(number(1, size) for size in values.shape)
    return dims + number(2, FLOAT) + chunk(8, name) + chunk(9, values.astype("<f4").tobytes())


def node(kind: str, inputs: list[str], output: str) -> bytes:
    return b"".join(chunk(1, name) for name in inputs) + chunk(2, output) + chunk(4, kind)


def end(name: str, shape: tuple[int | str, ...], kind: int = FLOAT) -> bytes:
    """An input or output; an axis of any size has a name."""
    axes = b"".join(chunk(1, chunk(2, size) if isinstance(size, str) else number(1, size)) for size in shape)
    return chunk(1, name) + chunk(2, chunk(1, number(1, kind) + chunk(2, axes)))


def model(graph: bytes, props: Mapping[str, str]) -> bytes:
    entries = b"".join(chunk(14, chunk(1, key) + chunk(2, value)) for key, value in props.items())
    return number(1, 8) + chunk(7, graph) + chunk(8, number(2, 13)) + entries


def linear_model(
    weight: Floats, bias: Floats, shape: tuple[int, ...], props: Mapping[str, str], batch: int | str = "batch"
) -> bytes:
    """The file of ``flattened features @ weight + bias``; weight is ``(feature, output)``."""
    graph = (
        chunk(1, node("Flatten", ["features"], "flat"))
        + chunk(1, node("Gemm", ["flat", "weight", "bias"], "outputs"))
        + chunk(2, "linear")
        + chunk(5, tensor("weight", weight))
        + chunk(5, tensor("bias", bias))
        + chunk(11, end("features", (batch, *shape)))
        + chunk(12, end("outputs", (batch, weight.shape[1])))
    )
    return model(graph, props)


def constant_model(values: Sequence[float], shape: tuple[int, ...], props: Mapping[str, str]) -> bytes:
    """The file of a network that answers the same whatever it is shown."""
    bias = np.array(values, dtype=np.float32)
    return linear_model(np.zeros((math.prod(shape), bias.size), dtype=np.float32), bias, shape, props)


def doubling_model(kind: int, shape: tuple[int | str, ...]) -> bytes:
    """The file of ``features + features`` in one type and shape."""
    graph = chunk(1, node("Add", ["features", "features"], "outputs")) + chunk(2, "doubling")
    return model(graph + chunk(11, end("features", shape, kind)) + chunk(12, end("outputs", shape, kind)), {})
