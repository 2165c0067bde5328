"""Many users at once: every one gets every fix. How fast is a matter for the benchmarks."""

import pytest

from tests.benchmarks import many_users


@pytest.mark.long
@pytest.mark.timeout(500)
@pytest.mark.requirement("64 users on one machine")
def test_sixty_four_users_with_complex_feedback_get_every_fix() -> None:
    (row,) = many_users.rows()
    assert row.met, row.details
