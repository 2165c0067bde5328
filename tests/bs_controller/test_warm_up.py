"""What is compiled when the schemes are prepared, so that no user waits for it."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher

from bs_controller.schemes import LikelihoodOptions, scheme_from_options
from deploy.simulation import SimulatedRadio, User, locate
from emulator.config import SweepMean
from tests.bs_controller.hearing import FACTS
from tests.bs_controller.trained import network

USERS = [User(range_m=6.0, angle_rad=-0.9), User(range_m=31.0, angle_rad=0.2)]


def compiled_kernels() -> set[tuple[str, object]]:
    """Every kernel of the controller with the types that it was compiled for."""
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("bs_controller.")]
    kernels = [one for module in modules for one in vars(module).values() if isinstance(one, CPUDispatcher)]
    return {(kernel.py_func.__qualname__, signature) for kernel in kernels for signature in kernel.signatures}


@pytest.mark.parametrize("plan", ["angle_range", "pair"])
@pytest.mark.parametrize("name", ["network", "likelihood"])
def test_first_fix_compiles_nothing_that_preparing_did_not(tmp_path: Path, plan: str, name: str) -> None:
    if name == "network":
        scheme = network(tmp_path, plan=plan, refine=True)
    else:
        scheme = scheme_from_options(LikelihoodOptions(plan="pair" if plan == "pair" else "angle_range"), FACTS)
    scheme.prepare()
    before = compiled_kernels()
    assert len(before) > 10
    radio = SimulatedRadio(FACTS, rng=np.random.default_rng(1), downlink_noise=SweepMean(snr_db=10))
    for user in USERS:
        assert locate(scheme, radio, user).range_m == pytest.approx(user.range_m, abs=0.1)
    assert compiled_kernels() == before
