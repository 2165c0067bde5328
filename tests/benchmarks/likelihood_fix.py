"""One likelihood fix, both plans, and users who move: the scheme against the same estimate from dense sums in numpy.

The baseline is what one would write: the same starting point from a grid on the delay and direction axes is given to it for
free, and Newton's method sums over elements and subcarriers as often as ours evaluates its model.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from bs_controller.beams import setting_from_focus
from bs_controller.features import element_path_s
from bs_controller.schemes import Likelihood, LikelihoodOptions
from bs_controller.schemes.follow import Follow
from bs_controller.sweeps import ComplexFeedback, Covariance, Fix, Localization, Prior, Sweep, Trajectory
from deploy.simulation import SimulatedRadio, User
from emulator.config import SweepMean
from protocol.testbed import Setting, TestbedFacts, default_facts
from tests.benchmarks.harness import Row, median_ms

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
Begin = Callable[[], Localization]

RATIO_TARGET = 50.0
RUNS = 200
USER = User(range_m=15.0, angle_rad=0.3)
# Start of the dense baseline: half a lobe and a quarter of a beam off, as a perfect search on a grid would leave it.
START_OFF_M, START_OFF_RAD = 0.005, 3e-4
DENSE_STEPS = 3
PRIOR_OFF_M = 0.03


def rows() -> list[Row]:
    """Return one row per plan, one of a user who moves, and one of a user who is followed."""
    facts = default_facts()
    whole, pair = (Likelihood(options=LikelihoodOptions(plan=plan), facts=facts) for plan in ("angle_range", "pair"))
    follow = Follow(facts=facts)
    prior = Prior(
        range_m=USER.range_m + PRIOR_OFF_M,
        angle_rad=USER.angle_rad,
        covariance=Covariance(range_m2=PRIOR_OFF_M**2, range_angle_m_rad=0.0, angle_rad2=1e-6),
    )
    return [
        _row("plan angle_range", whole.locate, facts, apart=False),
        _row("plan pair", pair.locate, facts, apart=False),
        _row("plan pair, of a user who moves", pair.locate_moving, facts, apart=True),
        _row("one sweep, of a user who is followed", partial(follow.locate_from, prior), facts, apart=True),
    ]


def _row(name: str, begin: Begin, facts: TestbedFacts, *, apart: bool) -> Row:
    radio = SimulatedRadio(facts, rng=np.random.default_rng(1), downlink_noise=SweepMean(snr_db=10))
    settings, answers = _recorded(begin, radio, facts)

    def dense() -> Floats:
        if not apart:
            return _dense_fix(facts, settings, answers)
        each = zip(settings, answers, strict=True)
        places = np.array([_dense_fix(facts, [setting], [answer]) for setting, answer in each])
        middle: Floats = places.mean(axis=0)
        return middle

    fix, expected = _fix(begin, answers), dense()
    ours_ms, baseline_ms = median_ms(lambda: _fix(begin, answers), dense, ours_runs=RUNS, baseline_runs=4)
    return Row(
        name=f"one likelihood fix, {name}, one core",
        ours_ms=ours_ms,
        baseline_ms=baseline_ms,
        error=abs(fix.range_m - expected[0]),
        target=f">= {RATIO_TARGET:g} x",
        met=baseline_ms / ours_ms >= RATIO_TARGET,
        details={**_quantiles(begin, answers), "error is": "range against dense, m", "runs": RUNS},
    )


def _recorded(begin: Begin, radio: SimulatedRadio, facts: TestbedFacts) -> tuple[list[Setting], list[ComplexFeedback]]:
    """Return the settings that the scheme asks for and one user's answers."""
    settings, answers = list[Setting](), list[ComplexFeedback]()
    localization = begin()
    request = next(localization)
    try:
        while True:
            assert isinstance(request, Sweep)
            assert isinstance(request.focus, Trajectory)
            answer = radio.answer(request, USER)
            assert isinstance(answer, ComplexFeedback)
            settings.append(setting_from_focus(request.focus, facts))
            answers.append(answer)
            request = localization.send(answer)
    except StopIteration:
        return settings, answers


def _fix(begin: Begin, answers: list[ComplexFeedback]) -> Fix:
    localization = begin()
    next(localization)
    try:
        for answer in answers:
            localization.send(answer)
    except StopIteration as end:
        fix: Fix = end.value
        return fix
    raise AssertionError("the scheme asked for another sweep")


def _quantiles(begin: Begin, answers: list[ComplexFeedback]) -> dict[str, float]:
    times_ms = []
    for _ in range(RUNS):
        start = time.perf_counter()
        _fix(begin, answers)
        times_ms.append(1e3 * (time.perf_counter() - start))
    p50, p99 = np.percentile(times_ms, (50, 99)).tolist()
    return {"p50 ms": round(p50, 3), "p99 ms": round(p99, 3)}


def _dense_fix(facts: TestbedFacts, settings: list[Setting], answers: list[ComplexFeedback]) -> Floats:
    """Gauss-Newton with dense sums from a start close by, all sub-arrays taken for visible, ``(2,)`` range and angle."""
    position = np.array([USER.range_m + START_OFF_M, USER.angle_rad + START_OFF_RAD])
    for _ in range(DENSE_STEPS):
        information, gradient = np.zeros((2, 2)), np.zeros(2)
        for setting, answer in zip(settings, answers, strict=True):
            curvature, slope = _dense_terms(facts, setting, answer.samples, position)
            information += curvature
            gradient += slope
        position = position + np.linalg.solve(information, gradient)
    return position


def _dense_terms(
    facts: TestbedFacts, setting: Setting, samples: ComplexArray, position: Floats
) -> tuple[Floats, Floats]:
    grid, c, (r, theta) = facts.downlink.grid, facts.speed_of_light_m_s, position
    x, f_hz = facts.downlink.array.element_x_m, grid.frequency_hz
    tau_s = element_path_s(facts, float(r), float(theta))
    cycles = np.outer(tau_s, f_hz) - np.outer(setting.delay_s[0], grid.offset_hz)
    tones = np.exp(2j * np.pi * (cycles - setting.phase_cycles[0][:, np.newaxis])) / f_hz
    slopes = np.stack([(r - x * np.sin(theta)), -r * x * np.cos(theta)]) / (c**2 * tau_s)
    value, jacobian = tones.sum(axis=0), 2j * np.pi * f_hz * (slopes @ tones)
    norm = np.vdot(value, value).real
    gain = np.vdot(value, samples) / norm
    residual = samples - gain * value
    along = jacobian.conj() @ value
    inner = jacobian.conj() @ jacobian.T - np.outer(along, along.conj()) / norm
    weight = 1 / np.vdot(residual, residual).real
    return weight * abs(gain) ** 2 * inner.real, weight * (np.conj(gain) * (jacobian.conj() @ residual)).real
