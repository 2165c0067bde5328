"""The shipped networks on users that never change: the figures of their cards, and what was promised of them."""

import hashlib
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest

import deploy
from bs_controller.models import shipped_model
from bs_controller.schemes import LikelihoodOptions, NetworkOptions, SchemeOptions
from deploy.study_file import DrawSection, Setup, read_study
from deploy.study_users import Chunk, located_users
from emulator.config import Noise, PerSubcarrier, SweepMean

Plan = Literal["angle_range", "pair"]

STUDIES = Path(deploy.__file__).parent / "studies"
FROZEN_USERS, MANY_USERS = 500, 2000  # the first of a card's users, and all of them
SCENARIOS = {
    "all": DrawSection(),
    "some": DrawSection(masks="random"),
    "mixed": DrawSection(masks="random", paths="mixed"),
}
# RMSE of the frozen users at 10 dB, mm, where the cards were made
FROZEN_MM: dict[Plan, dict[str, float]] = {
    "angle_range": {"all": 0.4664, "some": 0.9175, "mixed": 1.2369},
    "pair": {"all": 1.8134, "some": 1.4059, "mixed": 48.9533},
}
# of the location, m, at 0, 10, 20 and 30 dB
PROMISED_M = {
    "all": (0.010, 0.002, 0.0015, 0.0015),
    "some": (0.015, 0.006, 0.004, 0.004),
    "mixed": (0.05, 0.02, 0.015, 0.015),
}
PUBLISHED_M = {  # the best values of [CBS, Table I]
    "all": (0.202, 0.088, 0.073, 0.066),
    "some": (0.178, 0.101, 0.091, 0.096),
    "mixed": (0.142, 0.081, 0.075, 0.075),
}
SNR_DB = (0.0, 10.0, 20.0, 30.0)


def setup_of(study: str, **changes: object) -> tuple[Setup, int]:
    """The first cell of a study with these changes, and the study's seed."""
    read = read_study(STUDIES / f"{study}.yaml")
    return msgspec.structs.replace(read.cells[0].setup, **changes), read.file.seed


def rmse_m(scheme: SchemeOptions, setup: tuple[Setup, int], users: int) -> float:
    """Root mean square error of a scheme on the first users; each has a fix."""
    changed, seed = msgspec.structs.replace(setup[0], schemes=(scheme,)), setup[1]
    rows = located_users(Chunk(cell=0, setup=changed, seed=seed, first_user=0, users=users))
    errors = np.array([row.error_m for row in rows], dtype=np.float64)
    return float(np.sqrt(np.mean(errors**2)))


@pytest.mark.parametrize(
    "scenario", ["some", *(pytest.param(name, marks=pytest.mark.long) for name in ("all", "mixed"))]
)
@pytest.mark.parametrize("plan", ["angle_range", "pair"])
def test_shipped_network_errs_on_frozen_users_as_its_card_says(plan: Plan, scenario: str) -> None:
    setup = setup_of("network", draw=SCENARIOS[scenario], downlink_noise=SweepMean(snr_db=10.0))
    # last digits of sines differ between processors: far below what one user in 500 could move
    assert 1e3 * rmse_m(NetworkOptions(plan=plan), setup, FROZEN_USERS) == pytest.approx(
        FROZEN_MM[plan][scenario], rel=0.01
    )


@pytest.mark.parametrize("name", ["element", "pair"])
def test_card_is_that_of_the_shipped_file(name: str) -> None:
    model = shipped_model(name)
    card = model.with_suffix(".md").read_text(encoding="utf-8")
    assert f"SHA-256 `{hashlib.sha256(model.read_bytes()).hexdigest()}`" in card
    assert model.stat().st_size <= 1_500_000


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_network_keeps_what_was_promised_of_it(scenario: str) -> None:
    for snr_db, promised_m in zip(SNR_DB, PROMISED_M[scenario], strict=True):
        setup = setup_of("network", draw=SCENARIOS[scenario], downlink_noise=SweepMean(snr_db=snr_db))
        assert rmse_m(NetworkOptions(), setup, MANY_USERS) <= promised_m


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_network_beats_published_ones_five_times_in_their_own_noise(scenario: str) -> None:
    for snr_db, published_m in zip(SNR_DB, PUBLISHED_M[scenario], strict=True):
        noise: Noise = PerSubcarrier(snr_db=snr_db)
        setup = setup_of("network", draw=SCENARIOS[scenario], downlink_noise=noise)
        assert rmse_m(NetworkOptions(angle_beams=4, range_beams=2), setup, MANY_USERS) <= published_m / 5


@pytest.mark.long
@pytest.mark.timeout(300)
def test_network_knows_late_clocks_nearly_as_well_as_their_posterior() -> None:
    setup = setup_of("network-clocks", draw=DrawSection(masks="random", timing_offset_rms_s=1e-9))
    # a uniform prior of the same rms
    posterior = LikelihoodOptions(model="unsynchronised_together", delay_span_s=1.732e-9)
    network = NetworkOptions(timing_rms_s=1e-9)
    assert rmse_m(network, setup, MANY_USERS) <= 1.2 * rmse_m(posterior, setup, MANY_USERS)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("snr_db", [10.0, 30.0])
def test_network_beats_the_likelihood_where_its_model_is_wrong(snr_db: float) -> None:
    setup = setup_of("network-wrong-model", downlink_noise=SweepMean(snr_db=snr_db))
    assert rmse_m(NetworkOptions(), setup, MANY_USERS) < rmse_m(LikelihoodOptions(), setup, MANY_USERS)
