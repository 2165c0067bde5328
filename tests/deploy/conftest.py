from pathlib import Path

import pytest

from tests.deploy.studies import TEXT, written


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path, TEXT)
