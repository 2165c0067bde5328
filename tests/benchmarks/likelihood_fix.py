"""One likelihood fix from its two sweeps, both plans: the scheme against the same estimate from dense sums in numpy.

The baseline is what one would write: the same starting point from a grid on the delay and direction axes is given to it for
free, and Newton's method sums over elements and subcarriers as often as ours evaluates its model.
"""

import time

import numpy as np
import numpy.typing as npt

from bs_controller.beams import setting_from_focus
from bs_controller.features import element_path_s
from bs_controller.schemes import LikelihoodOptions, scheme_from_options
from bs_controller.sweeps import ComplexFeedback, Fix, Scheme, Sweep, Trajectory
from deploy.simulation import SimulatedRadio, User
from emulator.config import SweepMean
from protocol.testbed import Setting, TestbedFacts, default_facts
from tests.benchmarks.harness import Row, median_ms

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

RATIO_TARGET = 50.0
RUNS = 200
USER = User(range_m=15.0, angle_rad=0.3)
# Start of the dense baseline: half a lobe and a quarter of a beam off, as a perfect search on a grid would leave it.
START_OFF_M, START_OFF_RAD = 0.005, 3e-4
DENSE_STEPS = 3


def rows() -> list[Row]:
    """Return one row per plan."""
    return [_row("angle_range"), _row("pair")]


def _row(plan: str) -> Row:
    facts = default_facts()
    scheme = scheme_from_options(LikelihoodOptions(plan="pair" if plan == "pair" else "angle_range"), facts)
    scheme.prepare()
    radio = SimulatedRadio(facts, rng=np.random.default_rng(1), downlink_noise=SweepMean(snr_db=10))
    settings, answers = _recorded(scheme, radio, facts)
    fix, dense = _fix(scheme, answers), _dense_fix(facts, settings, answers)
    ours_ms, baseline_ms = median_ms(
        lambda: _fix(scheme, answers), lambda: _dense_fix(facts, settings, answers), ours_runs=RUNS, baseline_runs=4
    )
    return Row(
        name=f"one likelihood fix, plan {plan}, one core",
        ours_ms=ours_ms,
        baseline_ms=baseline_ms,
        error=abs(fix.range_m - dense[0]),
        target=f">= {RATIO_TARGET:g} x",
        met=baseline_ms / ours_ms >= RATIO_TARGET,
        details={**_quantiles(scheme, answers), "error is": "range against dense, m", "runs": RUNS},
    )


def _recorded(
    scheme: Scheme, radio: SimulatedRadio, facts: TestbedFacts
) -> tuple[list[Setting], list[ComplexFeedback]]:
    """Return the settings that the scheme asks for and one user's answers."""
    settings, answers = list[Setting](), list[ComplexFeedback]()
    localization = scheme.locate()
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


def _fix(scheme: Scheme, answers: list[ComplexFeedback]) -> Fix:
    localization = scheme.locate()
    next(localization)
    try:
        for answer in answers:
            localization.send(answer)
    except StopIteration as end:
        fix: Fix = end.value
        return fix
    raise AssertionError("the scheme asked for another sweep")


def _quantiles(scheme: Scheme, answers: list[ComplexFeedback]) -> dict[str, float]:
    times_ms = []
    for _ in range(RUNS):
        start = time.perf_counter()
        _fix(scheme, answers)
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
