"""Testbeds spread over several machines: a folder, an address, a testbed file and keys for each, set up as the README says.

What people type on their machines is read from the README and carried out here, so that the one cannot leave the other behind.
"""

import contextlib
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from typer.testing import CliRunner

from deploy.cli import app
from tests.qualification.lossy_network import Cable, Network, laid_network
from tests.qualification.processes import ROOT, Process, merged

CONTROLLER, RADIO = "controller", "radio"
UES = ("ue-1", "ue-2", "ue-3")
STRANGER = "stranger"
HOSTS = (CONTROLLER, RADIO, *UES, STRANGER)
FILE = "testbed.yaml"
TYPED = re.compile(r"^([\w-]+)\$ +(\S.*)$", re.MULTILINE)
#: Of which the README tells: the UE in the place of all, the addresses in the place of those here.
EXAMPLE_UE = "ue-1"
EXAMPLE_ADDRESSES = {CONTROLLER: "192.168.1.4", RADIO: "192.168.1.5"}


@dataclass(slots=True)
class Host:
    """One machine of a testbed."""

    name: str
    folder: Path
    namespace: str
    cable: Cable
    processes: list[Process] = field(default_factory=list)

    def start(self, *words: str) -> Process:
        """Start ``nftestbed`` with these words on this machine, in its folder."""
        in_namespace = ("-m", "tests.faults.network_namespace", self.namespace, "deploy.cli", *words)
        self.processes.append(Process(*in_namespace, cwd=self.folder))
        return self.processes[-1]

    def carry_out(self, *words: str) -> None:
        """Carry out a command of ``nftestbed`` that needs no network, in its folder."""
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{self.name}: nftestbed {' '.join(words)}: {done.output}"

    @property
    def running(self) -> Process:
        """Return the process that was started here last."""
        return self.processes[-1]

    @property
    def keys(self) -> frozenset[str]:
        """Return the names of the files in its key folder."""
        return frozenset(path.name for path in (self.folder / "keys").iterdir())


class Site:
    """All machines of one testbed."""

    def __init__(self, folder: Path, network: Network, values: Mapping[str, object]) -> None:
        self.network = network
        links = yaml.safe_load(_fenced("yaml"))["links"]
        for host, address in EXAMPLE_ADDRESSES.items():
            links = {key: value.replace(address, network.address(host)) for key, value in links.items()}
        self.values = {**values, "links": links}
        self.hosts: dict[str, Host] = {}
        for name, cable in network.cables.items():
            self.hosts[name] = Host(name, folder / name, network.namespace(name), cable)
            self.hosts[name].folder.mkdir()
            self.write(name, {})

    def write(self, name: str, changes: Mapping[str, object], file: str = FILE) -> None:
        """Write a machine's own copy of the testbed file, with some values changed."""
        text = yaml.safe_dump(merged(self.values, changes), sort_keys=False)
        (self.hosts[name].folder / file).write_text(text)

    def set_up(self) -> None:
        """Do all that the README says."""
        for host, words in typed():
            self._type(self.hosts[host], words)

    def _type(self, host: Host, words: list[str]) -> None:
        match words:
            case ["scp", source, target]:
                self.copy(host.name, source, target)
            case ["nftestbed", "keys", *rest]:
                host.carry_out("keys", *rest)
            case ["nftestbed", *rest]:
                host.start(*rest)
            case _:
                raise ValueError(f"expected scp or nftestbed on {host.name}, got: {' '.join(words)}")

    def copy(self, host: str, source: str, target: str) -> None:
        """Copy a file of one machine to a place on another, ``HOST:FOLDER/``."""
        name, _, place = target.partition(":")
        shutil.copy(self.hosts[host].folder / source, self.hosts[name].folder / place)

    @property
    def controller(self) -> Process:
        """Return the controller's process."""
        return self.hosts[CONTROLLER].running

    @property
    def run_directory(self) -> Path:
        """Return where the controller records, once it has begun."""
        (found,) = (self.hosts[CONTROLLER].folder / "runs").iterdir()
        return found

    def end(self) -> None:
        """End all processes, the newest first."""
        for host in reversed(self.hosts.values()):
            for process in reversed(host.processes):
                process.end()


def typed() -> list[tuple[str, list[str]]]:
    """Return what the README has people type, each line with its machine; what is said of one UE, for all of them."""
    return [
        (host.replace(EXAMPLE_UE, ue), words.replace(EXAMPLE_UE, ue).split())
        for host, words in TYPED.findall(_fenced("console"))
        for ue in (UES if EXAMPLE_UE in f"{host} {words}" else (EXAMPLE_UE,))
    ]


def _fenced(language: str) -> str:
    """Return all text of the README about several machines that is set in this language."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## Several machines\n")[2].partition("\n## ")[0]
    return "".join(re.findall(rf"^```{language}\n(.*?)^```", section, re.DOTALL | re.MULTILINE))


@contextmanager
def site(folder: Path, values: Mapping[str, object], *, latency_s: float, loss: float) -> Iterator[Site]:
    """Yield the machines of a testbed, on cables with this latency and loss; nothing is set up or started yet."""
    with laid_network(HOSTS) as network:
        for cable in network.cables.values():
            cable.latency_s, cable.loss = latency_s, loss
        one = Site(folder, network, values)
        try:
            yield one
        finally:
            one.end()
