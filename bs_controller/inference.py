"""Trained networks at run time: a model file in, physical quantities out. The only importer of onnxruntime.

A model is refused unless its metadata fit this testbed. It runs on the thread that calls it: the network of the loop takes
less than a millisecond, and workers that spin for it would take the processor from everybody else.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as raised

from bs_controller.model_metadata import ModelError, ModelMetadata, metadata_from_props, require_match
from protocol.testbed import TestbedFacts

Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]

# What onnxruntime raises for content that it cannot run; its exceptions have no base of their own.
_RUNTIME_ERRORS = (
    *(raised.Fail, raised.InvalidArgument, raised.InvalidGraph, raised.InvalidProtobuf, raised.NoModel),
    *(raised.NotImplemented, raised.RuntimeException),
)
_ERRORS_ONLY = 3  # onnxruntime's scale of severities


class Runner:
    """A network of one input and one output, as its file has it: float32 ``(batch, ...)`` to float32 ``(batch, output)``.

    It holds no state between runs, so several threads may run it at the same time.
    """

    def __init__(self, content: bytes) -> None:
        """Take the content of an ONNX file; raise `ModelError` if it is none, or has other inputs and outputs."""
        try:
            self._session = ort.InferenceSession(content, _options(), providers=["CPUExecutionProvider"])
        except _RUNTIME_ERRORS as error:
            raise ModelError(f"expected an ONNX model, got {len(content)} bytes that are none: {error}") from error
        self._input, self._output = _only_pair(self._session)
        self.props: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.shape: tuple[int, ...] = tuple(self._input.shape[1:])
        self.outputs = int(self._output.shape[1])

    def __call__(self, features: Features) -> Features:
        """Return outputs, ``(batch, output)``, of features, ``(batch, *shape)``, of any batch.

        Raises
        ------
        ValueError
            If the features have another shape or another type.
        """
        if features.dtype != np.float32 or features.ndim == 0 or features.shape[1:] != self.shape:
            expected = f"float32 of shape {_shape_text(self.shape)}"
            raise ValueError(f"features: expected {expected}, got {features.dtype} of shape {features.shape}")
        if not len(features):
            return np.empty((0, self.outputs), dtype=np.float32)
        feed = {self._input.name: np.ascontiguousarray(features)}
        outputs: Features = self._session.run([self._output.name], feed)[0]
        return outputs


class Model:
    """A trained network with what is known of it; ready to run once it is made. Several threads may share one."""

    def __init__(self, runner: Runner, metadata: ModelMetadata, sha256: str) -> None:
        """Take a network, its metadata and the SHA-256 of its file; raise `ModelError` if they do not belong together."""
        if runner.outputs != len(metadata.outputs):
            raise ModelError(f"expected a network of {len(metadata.outputs)} outputs, got one of {runner.outputs}")
        self.metadata, self.sha256 = metadata, sha256
        self._runner = runner
        self._scale = np.array([output.scale for output in metadata.outputs])
        self._offset = np.array([output.offset for output in metadata.outputs])
        self.predict(np.zeros((1, *runner.shape), dtype=np.float32))  # the first run takes half as long again

    @classmethod
    def load(cls, path: Path, facts: TestbedFacts, *, features: str, outputs: Sequence[tuple[str, str]]) -> "Model":
        """Return the model of a file.

        Parameters
        ----------
        path
            The ONNX file.
        facts
            This testbed's; the model must have been trained for the same.
        features
            Name and version of the computation of its input.
        outputs
            Name and unit of each output that the caller reads, in order.

        Raises
        ------
        ModelError
            If this is no model, if its metadata are damaged, or if it was made for something else.
        """
        try:
            content = Path(path).read_bytes()
            runner = Runner(content)
            metadata = metadata_from_props(runner.props)
            require_match(metadata, digest=facts.downlink_digest(), features=features, outputs=outputs)
            return cls(runner, metadata, hashlib.sha256(content).hexdigest())
        except ModelError as error:
            raise type(error)(f"{path}: {error}") from error
        except OSError as error:
            raise ModelError(f"{path}: expected a model file, got: {error.strerror}") from error

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one input, ``(channel, place)`` or ``(channel, row, column)``."""
        return self._runner.shape

    def predict(self, features: Features) -> Floats:
        """Return the quantities that the metadata name, in their units.

        Parameters
        ----------
        features
            ``(batch, *shape)``, float32. A row with a not-a-number gives not-a-numbers, in that row alone.

        Returns
        -------
        quantities
            ``(batch, output)``.

        Raises
        ------
        ValueError
            If the features have another shape or another type.
        """
        return self._offset + self._scale * self._runner(features)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, as model cards state it, 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY
    return options


def _only_pair(session: ort.InferenceSession) -> tuple[ort.NodeArg, ort.NodeArg]:
    """Return the input and the output of a session, or raise `ModelError` if they are not as a `Runner` needs them."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    fits = len(inputs) == len(outputs) == 1 and inputs[0].type == outputs[0].type == "tensor(float)"
    # a free axis has a name where others have a number
    if not fits or not _free_batch(inputs[0].shape) or not _free_batch(outputs[0].shape) or len(outputs[0].shape) != 2:
        found = ", ".join(f"{end.name} {end.type} {end.shape}" for end in (*inputs, *outputs))
        raise ModelError(f"expected one float32 input (batch, ...) and one output (batch, output), got {found}")
    return inputs[0], outputs[0]


def _free_batch(shape: list[object]) -> bool:
    return len(shape) > 1 and not isinstance(shape[0], int) and all(isinstance(size, int) for size in shape[1:])


def _shape_text(shape: tuple[int, ...]) -> str:
    return f"(batch, {', '.join(map(str, shape))})"
