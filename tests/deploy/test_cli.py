import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.checks import checked
from deploy.cli import app
from protocol.config import read_testbed
from protocol.testbed import default_facts
from tests.bs_controller.trained import metadata_of, model_file

ROOT = Path(__file__).parents[2]
COMMANDS = ("run", "controller", "emulator", "sdr", "air", "channel", "ue", "study", "reproduce", "bench", "conform")
COMMANDS_FOR_RECORDINGS = ("replay", "export")


def test_help_names_every_command_and_an_example() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    assert all(command in text for command in (*COMMANDS, *COMMANDS_FOR_RECORDINGS, "keys"))
    assert "Example: nftestbed run deploy/testbeds/demo.yaml" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_example_of_each_command_is_a_call_that_the_command_takes(command: str) -> None:
    text = " ".join(CliRunner().invoke(app, [command, "--help"]).output.split())
    found = re.search(r"Example: nftestbed ([^>]*)", text)
    assert found is not None
    # --help after the example's own words: they must parse, and nothing is started
    words = shlex.split(found[1])
    assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0
    assert all((ROOT / word).is_file() for word in words if word.endswith(".yaml"))


def test_wrong_file_is_refused_with_status_2_and_its_place(tmp_path: Path) -> None:
    text = (ROOT / "deploy/testbeds/demo.yaml").read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("elements: 512", "elemnts: 512"), encoding="utf-8")
    result = CliRunner().invoke(app, ["run", str(wrong)])
    assert result.exit_code == 2
    assert re.search(r"wrong\.yaml:\d+:\d+: downlink\.elemnts: ", result.output)


def test_user_without_a_place_in_the_emulator_is_refused_by_name(tmp_path: Path) -> None:
    text = (ROOT / "deploy/testbeds/demo.yaml").read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("ues: [ue-1,", "ues: [ue-9,"), encoding="utf-8")
    result = CliRunner().invoke(app, ["run", str(wrong)])
    assert result.exit_code == 2
    assert "ue-9" in result.output


def with_a_model(folder: Path, text: str, **changes: object) -> str:
    """Text whose first scheme is a network with a model of the full-size testbed, but for these fields of its metadata."""
    model = model_file(folder, metadata_of("angle_range", **changes))
    return text.replace("{scheme: cbs}", f"{{scheme: network, model: {model}}}", 1)


@pytest.mark.parametrize(
    ("field", "theirs", "ours"),
    [("downlink_digest", "f" * 64, default_facts().downlink_digest()), ("features", "element-999", "element-1")],
)
def test_model_made_for_something_else_is_refused_with_status_2_and_both_values(
    tmp_path: Path, field: str, theirs: str, ours: str
) -> None:
    text = (ROOT / "deploy/testbeds/demo.yaml").read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(with_a_model(tmp_path, text, **{field: theirs}), encoding="utf-8")
    result = CliRunner().invoke(app, ["run", str(wrong)])
    assert result.exit_code == 2
    assert re.search(r"wrong\.yaml:\d+:\d+: controller\.schemes\[0\]: expected a scheme that fits", result.output)
    assert f"{field}: {theirs} in the model, {ours} here" in result.output


def test_model_that_is_not_there_is_refused_with_status_2_and_its_path(tmp_path: Path) -> None:
    text = (ROOT / "deploy/testbeds/demo.yaml").read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("{scheme: cbs}", "{scheme: network, model: no/where.onnx}", 1), encoding="utf-8")
    result = CliRunner().invoke(app, ["run", str(wrong)])
    assert result.exit_code == 2
    assert "controller.schemes[0]" in result.output
    assert "no/where.onnx: expected a model file, got: No such file or directory" in result.output


def test_model_of_this_testbed_is_taken(tmp_path: Path) -> None:
    right = tmp_path / "right.yaml"
    text = (ROOT / "deploy/testbeds/demo.yaml").read_text(encoding="utf-8")
    right.write_text(with_a_model(tmp_path, text), encoding="utf-8")
    assert checked(read_testbed(right)).expected_fixes == 20


def test_bench_outside_a_checkout_says_where_to_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["bench"])
    assert result.exit_code == 2
    assert "source checkout" in result.output


def test_bench_of_faults_and_of_load_at_once_is_refused() -> None:
    result = CliRunner().invoke(app, ["bench", "--faults", "--load"])
    assert result.exit_code == 2
    assert "expected --faults, --load or --track, got --faults and --load" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("words", "module"),
    [(["--faults"], "campaign"), (["--load"], "load"), (["--track", "tracking.yaml"], "tracked")],
)
def test_campaigns_outside_a_checkout_say_where_to_run_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], module: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["bench", *words])
    assert result.exit_code == 2
    assert f"expected a source checkout with tests/faults/{module}.py" in result.output


def test_channel_program_that_is_not_installed_is_refused_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.children.SYSTEM_PYTHON", "/nowhere/python3")
    file = ROOT / "deploy" / "testbeds" / "gnuradio.yaml"
    for command in ("run", "channel"):
        result = CliRunner().invoke(app, [command, str(file)])
        assert result.exit_code == 2
        assert re.search(
            r"gnuradio\.yaml:\d+:\d+: sdr\.program: expected /nowhere/python3 with GNU Radio", result.output
        )
