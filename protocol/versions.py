"""Which software runs here: the versions that a run, a hello and a result document state."""

import platform
from importlib.metadata import PackageNotFoundError, version

from protocol.messages import PROTOCOL_VERSION
from protocol.transport import libzmq_version

_PACKAGES = ("nftestbed", "numpy", "scipy", "finufft", "pyzmq", "msgpack", "msgspec", "pyyaml")


def versions() -> dict[str, str]:
    """Return name and version of the protocol, the interpreter and the packages that matter to a result."""
    return {
        "protocol": str(PROTOCOL_VERSION),
        "python": platform.python_version(),
        "libzmq": libzmq_version(),
        **{package: package_version(package) for package in _PACKAGES},
    }


def package_version(package: str) -> str:
    """Return the version of an installed package; an uninstalled checkout has none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def software() -> str:
    """Return what a hello says of the software that speaks."""
    return f"nftestbed {package_version('nftestbed')}"
