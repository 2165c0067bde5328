import re
from pathlib import Path

from bs_controller import Fix

TEXT = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_first_two_commands_install_and_run_and_install_and_test() -> None:
    run, test = (block.strip() for block in _blocks("sh")[:2])
    install, start = run.rsplit(" && ", 1)
    assert install == "python3 -m venv .venv && .venv/bin/pip install '.[console]'"
    assert start == ".venv/bin/nftestbed run deploy/testbeds/demo.yaml"
    assert test == ".venv/bin/pip install '.[test]' && .venv/bin/pytest"


def test_notebook_example_runs_and_finds_the_user() -> None:
    names: dict[str, object] = {}
    exec(compile(_blocks("python")[0], "README.md", "exec"), names)
    fix = names["fix"]
    assert isinstance(fix, Fix)
    assert abs(fix.range_m - 15.0) < 0.1  # noise-free CBS at a small angle: a few subcarriers of 2 cm


def test_files_and_folders_that_the_readme_links_to_exist() -> None:
    root = Path(__file__).parents[2]
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (root / target).exists(), target


def test_tests_that_the_security_text_names_exist() -> None:
    root = Path(__file__).parents[2]
    text = (root / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:tests/[\w/]*/)?(test_\w+\.py)`", text))
    assert len(named) > 5
    assert named <= {path.name for path in (root / "tests").rglob("test_*.py")}
    for target in re.findall(r"`(tests/[\w/.]+)`|\]\(([^)#:]+)\)", text):
        assert (root / (target[0] or target[1].split("#")[0])).exists(), target
