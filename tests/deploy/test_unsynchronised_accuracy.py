"""The scheme `likelihood` with unknown delays against the Cramer-Rao bound, with the emulator's clocks; see `accuracy`.

Delays are uniform within the span. Where the bound on the range is below a metre errors are compared with it; elsewhere the
fix is a mean over what the prior leaves, which is judged by its own covariance. The prior's ends only lower the ratios.
"""

from typing import Literal

import numpy as np
import pytest

from bs_controller.schemes import LikelihoodOptions
from tests.deploy.accuracy import Errors, Flags, Floats, errors_of

Plan = Literal["angle_range", "pair"]
Model = Literal["unsynchronised", "unsynchronised_together"]

SPAN_S = 10e-9
WELL_KNOWN_M = 1.0


def together(rng: np.random.Generator) -> Floats:
    return np.full(2, rng.uniform(-SPAN_S, SPAN_S))


def apart(rng: np.random.Generator) -> Floats:
    return rng.uniform(-SPAN_S, SPAN_S, 2)


def well_known(errors: Errors) -> Flags:
    known: Flags = errors.bound[:, 0, 0] < WELL_KNOWN_M**2
    return known


@pytest.mark.parametrize(
    ("plan", "model", "masks"),
    [
        ("angle_range", "unsynchronised_together", "random"),
        ("pair", "unsynchronised_together", "full"),
        ("angle_range", "unsynchronised", "full"),
    ],
)
def test_errors_at_10_db_are_on_the_bound_and_none_is_gross(plan: Plan, model: Model, masks: str) -> None:
    options = LikelihoodOptions(plan=plan, model=model, delay_span_s=SPAN_S)
    late = together if model == "unsynchronised_together" else apart
    errors = errors_of(options, masks, 10, n_user=80 if masks == "random" else 50, seed=2026, offsets=late)
    known = errors.of(well_known(errors))
    assert not errors.wrong_mask.any()
    assert known.by_bound().max() < 25
    assert (known.ratios() < 1.0 + 3 * known.deviations()).all()
    # of normalised squares, about exponential with a mean of 2, the mean of n deviates by 2 / sqrt(n)
    assert errors.by_stated().mean() == pytest.approx(2, abs=4 * 2 / np.sqrt(len(errors.error)))


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("plan", "snr_db"), [("angle_range", 0), ("angle_range", 20), ("pair", 10)])
def test_errors_of_many_users_are_on_the_bound_and_as_stated(plan: Plan, snr_db: float) -> None:
    options = LikelihoodOptions(plan=plan, model="unsynchronised_together", delay_span_s=SPAN_S)
    errors = errors_of(options, "random", snr_db, n_user=500, seed=int(snr_db) + 1, offsets=together)
    known, unknown = errors.of(well_known(errors)), errors.of(~well_known(errors))
    assert errors.wrong_mask.sum() <= 2  # none was seen in 1000
    # none is gross; at 0 dB the ridge of one sub-array is curved within its width, which bounds leave out
    assert (known.by_bound() > 25).sum() <= 3
    # one in five hundred is promised, none in 3000 was seen at 0 dB
    assert (errors.by_stated() > 25).sum() <= 1
    assert (known.ratios() < 1.05 + 3 * known.deviations()).all()
    # some 40 to 200 users
    assert unknown.by_stated().mean() == pytest.approx(2, abs=0.1 + 4 * 2 / np.sqrt(len(unknown.error)))
