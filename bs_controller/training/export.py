"""Trained networks to ONNX files: one file each, any batch, its metadata inside, and proven equal to torch's network."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn

from bs_controller.inference import Runner
from bs_controller.model_metadata import ModelMetadata

OPSET = 20  # the first with a GELU of its own; pieced together it costs 15 % of a small network's time
PARITY = 1e-5  # of the largest output, or of one; float32 sums in another order were seen to differ by 1e-6
_PARITY_BATCHES = (1, 2, 8)


class ExportError(Exception):
    """A network was not exported; the text says what was expected and what came."""


def export(network: nn.Module, path: Path, *, shape: tuple[int, ...], metadata: ModelMetadata) -> None:
    """Write a network as an ONNX file, whole or not at all.

    Parameters
    ----------
    network
        ``(batch, *shape)`` to ``(batch, output)``, float32; itself it stays as it is, on its device.
    path
        The file; one that is there is replaced.
    shape
        The shape of one input.
    metadata
        What the file says of itself.

    Raises
    ------
    ExportError
        If the written network has not the outputs that metadata name, or does not compute what torch's does.
    ModelError
        If the metadata would be refused when they are read.
    """
    props = metadata.props()
    network = copy.deepcopy(network).cpu().eval()
    content = _onnx_content(network, shape, props)
    _require_parity(network, content, shape, len(metadata.outputs))
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _onnx_content(network: nn.Module, shape: tuple[int, ...], props: dict[str, str]) -> bytes:
    # traced at a batch of two: at one the exporter would take the batch for a constant
    example = torch.zeros(2, *shape)
    batch = torch.export.Dim("batch", min=1)
    with _quiet():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=({0: batch},),
            input_names=["features"],
            output_names=["outputs"],
            verbose=False,
        )
    proto = program.model_proto
    _strip(proto.graph)
    onnx.helper.set_model_props(proto, props)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _strip(graph: onnx.GraphProto) -> None:
    """Take off the exporter's notes: a stack trace at each node, with this machine's paths, an eighth of a small file."""
    del graph.value_info[:]  # shapes in between, which the runtime infers anew; quantisers stumble over them
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _require_parity(network: nn.Module, content: bytes, shape: tuple[int, ...], outputs: int) -> None:
    """Raise `ExportError` unless the exported network gives torch's outputs on noise, at batches of several sizes."""
    exported, rng = Runner(content), np.random.default_rng(0)
    if (exported.shape, exported.outputs) != (shape, outputs):
        found = f"{exported.shape} to {exported.outputs}"
        raise ExportError(f"expected a network from {shape} to {outputs} outputs, got one from {found}")
    for batch in _PARITY_BATCHES:
        features = rng.standard_normal((batch, *shape), dtype=np.float32)
        with torch.no_grad():
            expected: npt.NDArray[np.float32] = network(torch.from_numpy(features)).numpy()
        difference = float(np.abs(exported(features) - expected).max())
        allowed = PARITY * max(1.0, float(np.abs(expected).max()))
        if not difference <= allowed:  # written so that a not-a-number is refused
            raise ExportError(
                f"expected torch's outputs within {allowed:.1e} at batch {batch}, got {difference:.1e} off"
            )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress, advice and warnings to itself; its errors are raised."""
    silenced = io.StringIO()
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(silenced), contextlib.redirect_stderr(silenced):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
