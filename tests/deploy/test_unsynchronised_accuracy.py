"""The scheme `likelihood` with unknown delays against the Cramer-Rao bound, with the emulator's physics and clocks.

Users are uniform over the region, every fiftieth on its edge in angle; delays are uniform within the span. Where the bound on
the range is below a metre errors are compared with it; elsewhere the fix is a mean over what the prior leaves, which is
judged by its own covariance. Ratios' deviations are as in `test_likelihood_accuracy`; the prior's ends only lower them.
"""

import dataclasses
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.beams import setting_from_focus
from bs_controller.bounds import MeasuredSweep, Unknown, downlink_bound, sweep_mean_sigma2_w
from bs_controller.response import DownlinkResponse
from bs_controller.schemes import LikelihoodOptions, scheme_from_options
from bs_controller.sweeps import Covariance, Fix, Request, Sweep, Trajectory, Visibility
from deploy.simulation import SimulatedRadio, User
from emulator.config import SweepMean
from protocol.testbed import default_facts

Floats = npt.NDArray[np.float64]

FACTS = default_facts()
TOGETHER, APART = "unsynchronised_together", "unsynchronised"
SPAN_S = 10e-9
WELL_KNOWN_M = 1.0


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Errors of range, m, and angle, rad, ``(user, 2)``, their bounds and what fixes state, ``(user, 2, 2)``."""

    error: Floats
    bound: Floats
    stated: Floats
    wrong_masks: int

    def well_known(self) -> "Errors":
        return self._of(self.bound[:, 0, 0] < WELL_KNOWN_M**2)

    def badly_known(self) -> "Errors":
        return self._of(self.bound[:, 0, 0] >= WELL_KNOWN_M**2)

    def ratios(self) -> Floats:
        """Root-mean-square error over root-mean bound, ``(2,)``."""
        ratios: Floats = np.sqrt((self.error**2).mean(axis=0) / np.einsum("nii->ni", self.bound).mean(axis=0))
        return ratios

    def deviations(self) -> Floats:
        """Standard deviations of the ratios, ``(2,)``."""
        bound2 = np.einsum("nii->ni", self.bound)
        deviations: Floats = np.sqrt((bound2**2).sum(axis=0) / 2) / bound2.sum(axis=0)
        return deviations

    def outliers(self) -> int:
        """How many errors are more than five deviations of the bound."""
        return int((_squares(self.error, self.bound) > 25).sum())

    def normalised(self) -> Floats:
        """Squared errors by the covariance that fixes state, ``(user,)``."""
        return _squares(self.error, self.stated)

    def _of(self, chosen: npt.NDArray[np.bool_]) -> "Errors":
        return Errors(
            error=self.error[chosen],
            bound=self.bound[chosen],
            stated=self.stated[chosen],
            wrong_masks=self.wrong_masks,
        )


def _squares(error: Floats, covariance: Floats) -> Floats:
    squares: Floats = np.einsum("ni,nij,nj->n", error, np.linalg.inv(covariance), error)
    return squares


def drawn_user(rng: np.random.Generator, number: int, masks: str) -> User:
    subarrays = tuple(sorted(rng.permutation(4)[: rng.integers(1, 5)].tolist()))
    angle_rad = float(rng.uniform(-np.pi / 3, np.pi / 3))
    return User(
        range_m=float(rng.uniform(5, 50)),
        angle_rad=float(np.copysign(np.pi / 3, angle_rad)) if number % 50 == 0 else angle_rad,
        visible_subarrays=(0, 1, 2, 3) if masks == "full" else subarrays,
    )


def errors_of(plan: str, model: str, masks: str, snr_db: float, *, n_user: int, seed: int) -> Errors:
    rng = np.random.default_rng(seed)
    radio = SimulatedRadio(FACTS, rng=rng, downlink_noise=SweepMean(snr_db=snr_db))
    scheme = scheme_from_options(
        LikelihoodOptions(
            plan="pair" if plan == "pair" else "angle_range",
            model="unsynchronised_together" if model == TOGETHER else "unsynchronised",
            delay_span_s=SPAN_S,
        ),
        FACTS,
    )
    errors, bounds, stated, wrong = [], [], [], 0
    for number in range(n_user):
        user, offset_s = drawn_user(rng, number, masks), rng.uniform(-SPAN_S, SPAN_S, 2)
        if model == TOGETHER:
            offset_s[1] = offset_s[0]
        requests, localization = list[Request](), scheme.locate()
        request = next(localization)
        while True:
            late = dataclasses.replace(user, timing_offset_s=float(offset_s[len(requests)]))
            requests.append(request)
            try:
                request = localization.send(radio.answer(request, late))
            except StopIteration as end:
                fix: Fix = end.value
                break
        assert isinstance(fix.covariance, Covariance)
        c = fix.covariance
        errors.append((fix.range_m - user.range_m, fix.angle_rad - user.angle_rad))
        stated.append([[c.range_m2, c.range_angle_m_rad], [c.range_angle_m_rad, c.angle_rad2]])
        bounds.append(bound_of(requests, user, snr_db, Unknown(model)))
        wrong += fix.visibility != Visibility(subarrays=user.visible_subarrays)
    return Errors(error=np.array(errors), bound=np.array(bounds), stated=np.array(stated), wrong_masks=wrong)


@cache
def model_of_any_sweep() -> DownlinkResponse:
    nowhere = Trajectory(start_range_m=5.0, start_angle_rad=0.1, end_range_m=5.0, end_angle_rad=0.0)
    return DownlinkResponse(FACTS, setting_from_focus(nowhere, FACTS))


def bound_of(requests: list[Request], user: User, snr_db: float, unknown: Unknown) -> Floats:
    sweeps = []
    for request in requests:
        assert isinstance(request, Sweep)
        response = model_of_any_sweep().steered(setting_from_focus(request.focus, FACTS))
        sigma2_w = sweep_mean_sigma2_w(response, user.range_m, user.angle_rad, user.visible_subarrays, snr_db)
        sweeps.append(MeasuredSweep(response=response, sigma2_w=sigma2_w))
    return downlink_bound(sweeps, user.range_m, user.angle_rad, user.visible_subarrays, unknown).covariance


@pytest.mark.parametrize(
    ("plan", "model", "masks"),
    [("angle_range", TOGETHER, "random"), ("pair", TOGETHER, "full"), ("angle_range", APART, "full")],
)
def test_errors_at_10_db_are_on_the_bound_and_none_is_gross(plan: str, model: str, masks: str) -> None:
    errors = errors_of(plan, model, masks, 10, n_user=80 if masks == "random" else 50, seed=2026)
    known = errors.well_known()
    assert errors.wrong_masks == 0
    assert known.outliers() == 0
    assert (known.ratios() < 1.0 + 3 * known.deviations()).all()
    # of normalised squares, about exponential with a mean of 2, the mean of n deviates by 2 / sqrt(n)
    assert errors.normalised().mean() == pytest.approx(2, abs=4 * 2 / np.sqrt(len(errors.error)))


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("plan", "snr_db"), [("angle_range", 0), ("angle_range", 20), ("pair", 10)])
def test_errors_of_many_users_are_on_the_bound_and_as_stated(plan: str, snr_db: float) -> None:
    errors = errors_of(plan, TOGETHER, "random", snr_db, n_user=500, seed=int(snr_db) + 1)
    known, unknown = errors.well_known(), errors.badly_known()
    assert errors.wrong_masks <= 2  # none was seen in 1000
    # none is gross; at 0 dB the ridge of one sub-array is curved within its width, which bounds leave out
    assert known.outliers() <= 3
    assert (known.ratios() < 1.05 + 3 * known.deviations()).all()
    # some 40 to 200 users
    assert unknown.normalised().mean() == pytest.approx(2, abs=0.1 + 4 * 2 / np.sqrt(len(unknown.error)))
