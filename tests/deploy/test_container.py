"""The image and the compose file: their steps and commands, carried out here where no engine is."""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from deploy.cli import app
from protocol.config import read_testbed
from tests.qualification.machine import Machine, refusal

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "container"
TEXT = (FOLDER / "Containerfile").read_text(encoding="utf-8")
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]
PARTS = {name: service for name, service in SERVICES.items() if name != "network"}
Instruction = tuple[str, str]


def instructions() -> list[list[Instruction]]:
    """Return the instructions of each stage of the image, the first without its FROM."""
    stages: list[list[Instruction]] = []
    for line in TEXT.splitlines():
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        else:
            stages[-1].append((word, rest))
    return stages


def copied(stage: list[Instruction]) -> Iterator[tuple[list[str], str]]:
    """Yield sources and target of each COPY from the checkout."""
    for word, rest in stage:
        if word == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            yield sources, target


def test_image_takes_every_package_and_nothing_that_is_not_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    sources = {source for stage in instructions() for found, _ in copied(stage) for source in found}
    assert packages <= sources
    assert all((ROOT / source).exists() for source in sources)


def test_services_are_a_controller_a_radio_and_the_ues_of_the_file_they_mount() -> None:
    mounts = {volume for service in PARTS.values() for volume in service["volumes"]}
    file = next(re.findall(r"\$\{TESTBED:-([^}]+)\}", volume)[0] for volume in mounts if "TESTBED" in volume)
    testbed = read_testbed(FOLDER / file)
    assert {*PARTS} == {"controller", "radio", *testbed.file.controller["ues"]}  # type: ignore[misc]
    for name, service in PARTS.items():
        command, *arguments = service["command"]
        parsed = get_command(app).commands[command].make_context(command, arguments)  # type: ignore[attr-defined]
        assert parsed.params.get("name", name) == name
        assert any(str(parsed.params["file"]) in volume for volume in service["volumes"])


def test_containers_may_do_nothing_and_share_a_network_that_outlives_each_of_them() -> None:
    holder = SERVICES["network"]
    assert (holder["network_mode"], holder["entrypoint"]) == ("none", ["sleep", "infinity"])
    for service in SERVICES.values():
        assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
        assert "ports" not in service
    for service in PARTS.values():
        assert (service["network_mode"], service["depends_on"]) == ("service:network", ["network"])
        limit_mib = int(service["environment"]["NFTESTBED_MEMORY_LIMIT_MIB"])
        assert limit_mib < 1024 * int(service["mem_limit"].removesuffix("g"))


def copy_script(rest: str, folder: Path) -> str:
    """Return what a COPY comes to: one folder or file under a name, or several files into a folder."""
    *sources, target = rest.split()
    place = folder / target
    if len(sources) > 1:
        return "\n".join(f"cp {ROOT / source} {place}" for source in sources)
    return f"mkdir -p {place.parent} && cp -rT {ROOT / sources[0]} {place}"


def carried_out(machine: Machine, stage: list[Instruction]) -> list[str]:
    """Carry out a stage in the machine's throw-away folders; return the settings of its environment."""
    folder, exports = Path("/opt"), list[str]()
    for word, rest in stage:
        match word:
            case "WORKDIR":
                folder = Path(rest)
                machine.run(f"mkdir -p {folder}", Path("/"))
            case "ENV":
                exports += shlex.split(rest)
            case "COPY" if not rest.startswith("--from"):
                machine.run(copy_script(rest, folder), Path("/"))
            case "RUN":
                machine.run("\n".join([*(f"export {one}" for one in exports), rest]), folder, network=True)
    return exports


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif(bool(refusal()), reason=refusal())
def test_steps_of_the_image_make_a_testbed_that_locates_users_as_its_own_user(tmp_path: Path) -> None:
    build, final = instructions()
    said = dict(final)
    with Machine(tmp_path) as machine:
        carried_out(machine, build)
        machine.run("rm -rf /opt/source", Path("/"))  # the second stage takes /opt/nftestbed alone
        environment = " ".join(["HOME=/var/lib/nftestbed", *carried_out(machine, final)])
        rights = f"--reuid={said['USER']} --regid={said['USER']} --clear-groups --no-new-privs --bounding-set=-all"
        start = f"env -i {environment} setpriv {rights} {shlex.join(json.loads(said['ENTRYPOINT']))}"
        folder = Path(said["WORKDIR"])
        assert located(machine.run(f"{start} {shlex.join(json.loads(said['CMD']))} --json", folder))
        machine.run(f"install -D -m 644 {ROOT}/deploy/testbeds/demo.yaml /etc/nftestbed/testbed.yaml", folder)
        peers = [shlex.join(service["command"]) for name, service in PARTS.items() if name != "controller"]
        controller = f"{start} {shlex.join(SERVICES['controller']['command'])} --json"
        begin, end = [f"{start} {peer} & pids+=($!)" for peer in peers], 'kill -TERM "${pids[@]}"\nwait "${pids[@]}"'
        assert located(machine.run("\n".join(["pids=()", *begin, controller, end]), folder))


def located(done: "subprocess.CompletedProcess[str]") -> bool:
    """Return whether what a run printed says that every user has every fix."""
    return json.loads(done.stdout)["complete"] is True


def engine() -> str | None:
    """Return the container engine that answers here."""
    for name in ("podman", "docker"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return name
    return None


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_image_builds_and_runs_the_demo() -> None:
    if (name := engine()) is None:
        pytest.skip("no container engine answers here")
    tag = "nftestbed-test"
    subprocess.run([name, "build", "-f", str(FOLDER / "Containerfile"), "-t", tag, str(ROOT)], check=True)
    words = [
        name,
        "run",
        "--rm",
        "--network=none",
        "--cap-drop=ALL",
        tag,
        "run",
        "/opt/nftestbed/share/demo.yaml",
        "--json",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert located(done)
