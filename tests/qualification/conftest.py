"""Fixtures of the qualification: testbeds whose processes are ended whatever the test did."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.qualification.processes import Lab

LabFactory = Callable[..., Lab]


@pytest.fixture
def lab_of(tmp_path: Path) -> Iterator[LabFactory]:
    """Yield a function that sets up a testbed: number of UEs, kind of links, changed values of the file."""
    labs: list[Lab] = []

    def make(**options: object) -> Lab:
        folder = tmp_path / f"lab-{len(labs)}"
        folder.mkdir()
        labs.append(Lab(folder, **options))  # type: ignore[arg-type]
        return labs[-1]

    yield make
    for lab in labs:
        lab.end()


@pytest.fixture(scope="module")
def module_lab_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabFactory]:
    """Yield the same, for a run whose consequences several tests look at."""
    labs: list[Lab] = []

    def make(**options: Mapping[str, object]) -> Lab:
        labs.append(Lab(tmp_path_factory.mktemp("lab"), **options))  # type: ignore[arg-type]
        return labs[-1]

    yield make
    for lab in labs:
        lab.end()
