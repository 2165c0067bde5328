"""SoapySDR's Python binding, wherever the system keeps it; an optional dependency that PyPI does not have (shell).

Distributions build it for their own interpreter, outside of any virtual environment. Putting their folder on the path would put
their numpy before ours, so that two files are loaded from there by name and nothing else.
"""

import importlib.util
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import Any

from sdr_backend.radio import RadioError

SYSTEM_FOLDERS = ("/usr/lib/python3/dist-packages", "/usr/local/lib/python3/dist-packages")
PARTS = ("_SoapySDR", "SoapySDR")  # the first one is imported by the second one


def soapy_binding(folders: tuple[str, ...] = SYSTEM_FOLDERS) -> Any:
    """Return the module ``SoapySDR``.

    Raises
    ------
    RadioError
        If there is none for this interpreter; the text says how to install it.
    """
    if "SoapySDR" in sys.modules:
        return sys.modules["SoapySDR"]
    try:
        import SoapySDR  # noqa: PLC0415 - optional, and only whoever opens such a radio needs it
    except ImportError:
        return _from_system(folders)
    return SoapySDR


def _from_system(folders: tuple[str, ...]) -> ModuleType:
    for folder in map(Path, folders):
        extension = next((path for end in EXTENSION_SUFFIXES if (path := folder / f"{PARTS[0]}{end}").exists()), None)
        if extension is not None and (folder / f"{PARTS[1]}.py").exists():
            _loaded(PARTS[0], extension)
            return _loaded(PARTS[1], folder / f"{PARTS[1]}.py")
    version = ".".join(map(str, sys.version_info[:2]))
    raise RadioError(
        f"soapy: expected SoapySDR's Python binding for Python {version}, got none in this environment nor in "
        f"{', '.join(folders)}; install it with: apt-get install python3-soapysdr (Debian 12: Python 3.11), and the module "
        "of your device, e.g. soapysdr-module-redpitaya"
    )


def _loaded(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RadioError(f"soapy: expected a Python module, got {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        del sys.modules[name]
        raise RadioError(f"soapy: cannot load {path}: {error}") from error
    return module
