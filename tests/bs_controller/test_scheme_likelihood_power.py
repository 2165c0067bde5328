"""The scheme `likelihood` with the model ``power``: which sweeps it asks for and what its fixes say."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from bs_controller.schemes import LikelihoodOptions, LikelihoodPower, SchemeOptions, scheme_from_options
from bs_controller.schemes.whole_sweeps import EmptyFeedbackError
from bs_controller.sweeps import (
    ComplexFeedback,
    Covariance,
    FeedbackMismatchError,
    Fix,
    GoodnessOfFit,
    Integrity,
    PowerFeedback,
    Request,
    Sweep,
    Trajectory,
    Visibility,
)
from protocol.messages import FeedbackKind
from tests.bs_controller.hearing import ALL, FACTS, FORWARD, heard, noise

Floats = npt.NDArray[np.float64]

SCHEME = scheme_from_options(LikelihoodOptions(model="power"), FACTS)


def located(
    range_m: float,
    angle_rad: float,
    visible: tuple[int, ...] = ALL,
    *,
    snr_db: float = 10,
    seed: int = 1,
    noisy: bool = True,
    echo: tuple[float, float, float] = (0.0, 30.0, -0.4),
    dtype: npt.DTypeLike = np.float64,
    keep: list[Floats] | None = None,
) -> tuple[Fix, list[Request]]:
    """A fix and the sweeps that it took; an echo has an amplitude, a range and an angle."""
    rng, requests = np.random.default_rng(seed), []
    localization = SCHEME.locate()
    request = next(localization)
    while True:
        requests.append(request)
        assert isinstance(request, Sweep)
        assert isinstance(request.focus, Trajectory)
        samples = heard(request.focus, range_m, angle_rad, visible)
        samples = samples + echo[0] * heard(request.focus, *echo[1:])
        if noisy:
            samples = samples + noise(samples, snr_db, rng)
        power_w = (np.abs(samples) ** 2).astype(dtype).astype(np.float64)
        if keep is not None:
            keep.append(power_w)
        try:
            request = localization.send(PowerFeedback(power_w=power_w))
        except StopIteration as end:
            fix: Fix = end.value
            return fix, requests


@pytest.mark.parametrize("visible", [ALL, (1, 2), (0, 3), (2,)])
@pytest.mark.parametrize(
    ("range_m", "angle_rad"), [(5.0, -np.pi / 3), (50.0, np.pi / 3), (17.0, 0.3), (22.7, 0.0), (9.0, -1.0)]
)
def test_user_without_noise_is_found(range_m: float, angle_rad: float, visible: tuple[int, ...]) -> None:
    fix, _ = located(range_m, angle_rad, visible, noisy=False)
    assert fix.visibility == Visibility(subarrays=visible)
    # the controller's model is good to 1e-9 of an amplitude, 150 dB below metres at 0 dB; at the region's end half the
    # posterior is cut off, and a mean is not where its maximum is
    assert fix.range_m == pytest.approx(range_m, abs=1e-2)
    assert fix.angle_rad == pytest.approx(angle_rad, abs=1e-6)
    assert fix.sweeps == 2


def test_sweeps_are_the_common_one_and_one_aimed_at_the_user_both_by_powers() -> None:
    _, requests = located(20.0, 0.3)
    assert requests[0] == Sweep(focus=FORWARD, kind=FeedbackKind.POWER)
    aimed = requests[1]
    assert isinstance(aimed, Sweep)
    assert isinstance(aimed.focus, Trajectory)
    assert aimed.kind is FeedbackKind.POWER
    assert (aimed.focus.start_range_m, aimed.focus.end_range_m) == (50.0, 5.0)
    # a quarter of the whole array's beam, 2 / 512 of the sine
    assert abs(np.sin(aimed.focus.start_angle_rad) - np.sin(0.3)) < 0.001


@pytest.mark.parametrize("visible", [(1, 2), (0, 3), (0, 1, 3), ALL])
def test_fix_names_the_visible_sub_arrays(visible: tuple[int, ...]) -> None:
    fix, _ = located(18.0, -0.5, visible, snr_db=5)
    assert fix.visibility == Visibility(subarrays=visible)


def test_clean_user_is_trusted_and_fits() -> None:
    fix, _ = located(14.0, 0.6)
    assert isinstance(fix.fit, GoodnessOfFit)
    assert abs(fix.fit.statistic - 1) < 4 / np.sqrt(fix.fit.degrees)
    assert fix.integrity is Integrity.TRUSTED


def test_user_beside_a_strong_second_path_is_suspect_and_does_not_fit() -> None:
    fix, _ = located(14.0, 0.6, snr_db=20, echo=(0.8, 30.0, -0.4))
    assert fix.integrity is Integrity.SUSPECT
    assert isinstance(fix.fit, GoodnessOfFit)
    assert fix.fit.statistic > 1 + 5 / np.sqrt(fix.fit.degrees)


def squared_distances(range_m: float, visible: tuple[int, ...], n_fix: int) -> Floats:
    """Of fixes to the user, in standard deviations of the covariance that each states."""
    squares = []
    for seed in range(n_fix):
        fix, _ = located(range_m, 0.6, visible, seed=seed)
        assert isinstance(fix.covariance, Covariance)
        c = fix.covariance
        matrix = np.array([[c.range_m2, c.range_angle_m_rad], [c.range_angle_m_rad, c.angle_rad2]])
        error = np.array([fix.range_m - range_m, fix.angle_rad - 0.6])
        squares.append(error @ np.linalg.solve(matrix, error))
    return np.array(squares)


def test_errors_follow_the_covariance_that_fixes_state() -> None:
    # chi-square with two degrees: a mean of 2 within four standard deviations of 2 / sqrt(20)
    assert squared_distances(14.0, ALL, 20).mean() == pytest.approx(2, abs=4 * 2 / np.sqrt(20))


@pytest.mark.long
def test_errors_with_one_sub_array_are_no_larger_than_the_covariance_says() -> None:
    # the prior makes them less for a user in the middle of the region; never more than four deviations of 2 / sqrt(100) above
    assert squared_distances(30.0, (2,), 100).mean() < 2 + 4 * 2 / np.sqrt(100)


def test_rounding_of_powers_to_single_precision_moves_a_fix_by_less_than_a_thousandth_of_its_error() -> None:
    exact, rounded = (located(14.0, 0.6, snr_db=30, dtype=dtype)[0] for dtype in (np.float64, np.float32))
    assert isinstance(exact.covariance, Covariance)
    # powers on the wire are float64, a billion times finer still
    assert abs(exact.range_m - rounded.range_m) < 1e-3 * np.sqrt(exact.covariance.range_m2)
    assert abs(exact.angle_rad - rounded.angle_rad) < 1e-3 * np.sqrt(exact.covariance.angle_rad2)


def test_localizations_of_several_threads_do_not_disturb_each_other() -> None:
    heard_w: list[list[Floats]] = [[] for _ in range(8)]
    angles = np.linspace(-1, 1, 8).tolist()
    alone = [located(12.0, angle, snr_db=20, keep=kept)[0] for angle, kept in zip(angles, heard_w, strict=True)]

    def again(powers_w: list[Floats]) -> Fix:
        localization = SCHEME.locate()
        next(localization)
        localization.send(PowerFeedback(power_w=powers_w[0]))
        with pytest.raises(StopIteration) as end:
            localization.send(PowerFeedback(power_w=powers_w[1]))
        fix: Fix = end.value.value
        return fix

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(again, heard_w))
    assert [fix.range_m for fix in together] == pytest.approx([fix.range_m for fix in alone], abs=1e-9)


def test_other_feedback_is_refused() -> None:
    localization = SCHEME.locate()
    next(localization)
    with pytest.raises(FeedbackMismatchError, match="powers were asked for, ComplexFeedback came"):
        localization.send(ComplexFeedback(samples=np.ones(2048, dtype=np.complex128)))


@pytest.mark.parametrize(("power_w", "match"), [(np.ones(7), "shape"), (-np.ones(2048), "negative")])
def test_powers_that_cannot_be_are_refused(power_w: Floats, match: str) -> None:
    localization = SCHEME.locate()
    next(localization)
    with pytest.raises(FeedbackMismatchError, match=match):
        localization.send(PowerFeedback(power_w=power_w))


def test_silence_is_refused() -> None:
    localization = SCHEME.locate()
    next(localization)
    with pytest.raises(EmptyFeedbackError):
        localization.send(PowerFeedback(power_w=np.zeros(2048)))


def test_plan_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="mirror image"):
        scheme_from_options(LikelihoodOptions(plan="pair", model="power"), FACTS)


def test_region_whose_users_light_too_wide_a_band_is_refused() -> None:
    near = msgspec.structs.replace(FACTS, region=msgspec.structs.replace(FACTS.region, range_min_m=2.0))
    with pytest.raises(ValueError, match="subcarriers of an angle sweep, profiles hold 256"):
        scheme_from_options(LikelihoodOptions(model="power"), near)


def test_model_is_named_in_files() -> None:
    assert msgspec.convert({"scheme": "likelihood", "model": "power"}, SchemeOptions) == LikelihoodOptions(
        model="power"
    )
    assert isinstance(SCHEME, LikelihoodPower)
    assert SCHEME.name == "likelihood"
