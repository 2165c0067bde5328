import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from sdr_backend.radio import RadioError
from sdr_backend.soapy_binding import soapy_binding
from tests.sdr_backend.keeping import Keep


@pytest.fixture
def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a recording as another program may have made it, without suffix."""
    base = tmp_path / "other"
    rng = np.random.default_rng(1)
    rng.standard_normal((50_000, 2), dtype=np.float32).tofile(f"{base}.sigmf-data")
    facts = {"core:datatype": "cf32_le", "core:sample_rate": 2e6, "core:version": "1.0.0", "core:author": "somebody"}
    meta = {"global": facts, "captures": [], "annotations": []}
    Path(f"{base}.sigmf-meta").write_text(json.dumps(meta), encoding="utf-8")
    return base


@pytest.fixture
def red_pitaya_module() -> None:
    """Skip where the system has no SoapySDR with the module for Red Pitayas."""
    try:
        soapy = soapy_binding()
    except RadioError as error:
        pytest.skip(str(error))
    if not any("redpitaya" in path.lower() for path in soapy.listModules()):
        pytest.skip("SoapySDR has no module for Red Pitayas (apt-get install soapysdr-module-redpitaya)")


@pytest.fixture
def kept() -> Iterator[Keep]:
    with ExitStack() as stack:
        yield Keep(stack)
