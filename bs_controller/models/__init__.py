"""Trained networks that are shipped, one ONNX file for each representation that has one: ``element.onnx``, ``pair.onnx``."""

from pathlib import Path

from bs_controller.model_metadata import ModelError

_FOLDER = Path(__file__).parent


def shipped_model(representation: str) -> Path:
    """Return the path of the model that is shipped for the representation of this name.

    Raises
    ------
    ModelError
        If none is.
    """
    path = _FOLDER / f"{representation}.onnx"
    if not path.is_file():
        found = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.onnx"))) or "none"
        raise ModelError(
            f"{path}: expected the model shipped for {representation!r}, got no such file "
            f"(shipped: {found}); name a model file of your own"
        )
    return path
