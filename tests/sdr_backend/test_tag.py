import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdr_backend.tag import COUNTS, PILOTS, STRETCHES, Tag, modulation_from_tag, tag_from_likelihood

TAGS = st.integers(1, PILOTS).flatmap(
    lambda pilots: st.builds(
        Tag,
        epoch=st.integers(0, COUNTS - 1),
        pilot=st.integers(0, pilots - 1),
        pilots=st.just(pilots),
        stretch=st.integers(0, STRETCHES - 1),
    )
)


@given(TAGS, st.sampled_from([16, 100, 255, 2048, 4099]))
def test_every_tag_is_read_from_its_own_chips_on_any_grid(tag: Tag, subcarriers: int) -> None:
    assert tag_from_likelihood(modulation_from_tag(tag, subcarriers)) == tag


@given(TAGS, st.integers(0, 2047), st.integers(16, 2048))
def test_any_run_of_16_subcarriers_or_more_is_enough(tag: Tag, first: int, run: int) -> None:
    heard = np.zeros((2, 2048), dtype=np.complex128)
    # the run may not pass the band's end: the code is not whole there
    first = min(first, 2048 - run)
    heard[:, first : first + run] = modulation_from_tag(tag, 2048)[:, first : first + run]
    assert tag_from_likelihood(heard) == tag


def test_a_hundredth_of_the_band_tells_tags_apart_by_six_signs_at_least() -> None:
    # 13 chips of each codeword, which differ in 3; a byte and at least one of the check sum's differ between these tags
    tags = [modulation_from_tag(Tag(epoch=0, pilot=0, pilots=1 + byte), 2048) for byte in range(256)]
    signs = np.sign(np.array([[tag.real, tag.imag] for tag in tags]))
    for first in range(0, 2048 - 26, 97):
        run = signs[..., first : first + 26].reshape(256, -1)
        distance = (run.shape[1] - run @ run.T) / 2
        assert distance[~np.eye(256, dtype=bool)].min() >= 6


def test_noise_passes_the_check_sum_about_once_in_2_to_the_17() -> None:
    rng = np.random.default_rng(5)
    draws = 20_000
    noise = rng.standard_normal((draws, 2, 16, 2)).view(np.complex128)[..., 0]
    read = sum(tag_from_likelihood(likelihood) is not None for likelihood in noise)
    # of the right check sums half have a pilot below their count; 0.15 are expected, and five come once in 1e6 times
    assert read < 5


@pytest.mark.parametrize(
    ("epoch", "pilot", "pilots"), [(-1, 0, 1), (COUNTS, 0, 1), (0, 1, 1), (0, -1, 1), (0, 0, PILOTS + 1), (0, 0, 0)]
)
def test_a_tag_out_of_range_is_refused(epoch: int, pilot: int, pilots: int) -> None:
    with pytest.raises(ValueError, match="got"):
        Tag(epoch=epoch, pilot=pilot, pilots=pilots)


@given(st.integers(1, 2**63 - 1), st.integers(-COUNTS // 2 + 1, COUNTS // 2 - 1))
def test_an_epoch_is_known_again_from_any_other_less_than_half_the_tags_away(epoch: int, apart: int) -> None:
    other = max(1, epoch + apart)
    assert Tag.of(epoch, 0, 1).epoch_nearest(other) == epoch


def test_no_epoch_is_below_one() -> None:
    assert Tag.of(COUNTS - 1, 0, 1).epoch_nearest(2) == COUNTS - 1
