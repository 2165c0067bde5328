"""The example drivers of the package's README do what every driver must."""

import re
from pathlib import Path

import pytest

from tests.sdr_backend.packages import installed
from tests.sdr_backend.test_driver_suite import suite

TEXT = (Path(__file__).parents[2] / "sdr_backend" / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the example is installed as its entry points say."""
    folder = tmp_path_factory.mktemp("example")
    (folder / "theirs.py").write_text(block("python"), encoding="utf-8")
    sections = re.sub(r'project\.entry-points\."(.*)"', r"\1", block("toml"))
    installed(folder, sections.replace('"', ""))
    return folder


@pytest.mark.parametrize(
    "words", re.findall(r"^    pytest --pyargs sdr_backend.driver_suite (.*)$", TEXT, re.MULTILINE)
)
def test_command_of_the_readme_passes_the_example(package: Path, words: str) -> None:
    status, text = suite(package, *words.split())
    assert status == 0, text
    assert "passed" in text
