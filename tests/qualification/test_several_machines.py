"""A testbed on several machines, set up as the README says: located over long and lossy links, through cuts, by nobody else.

Each machine is a network namespace with an address, a folder, a testbed file and a secret key of its own. Latency and loss
are those of each machine's cable, each way: between two machines a packet passes two of them.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from deploy.results import error_m
from tests.faults.invariants import Place, RunLedger
from tests.qualification.hosts import CONTROLLER, RADIO, STRANGER, UES, Site, site
from tests.qualification.lossy_network import refusal
from tests.qualification.processes import DEMO, SMALL, Process, Record, identity, merged, wait_until
from tests.qualification.processes import PLACES as SMALL_PLACES

pytestmark = [pytest.mark.requirement("a testbed runs on several machines"), pytest.mark.timeout(400)]

LATENCY_S, LOSS = 0.02, 0.01
#: A run of some fifteen seconds, on a machine that is busy with others, the first time with loops to compile.
RUN_WITHIN_S = 180.0
ROUNDS = 4
SCHEMES = [{"scheme": "cbs"}, {"scheme": "backprojection", "range_points": 50}]
#: What the README calls millimetres; the schemes of the tables with metres tell the direction alone.
EXACT, EXACT_WITHIN_M = frozenset({"likelihood", "network", "backprojection"}), 0.02


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    if reason := refusal():
        pytest.skip(reason)


def demo() -> dict[str, object]:
    """Return the demo with three users; PyYAML takes its 100e9 for text, and writes it as it was."""
    values: dict[str, dict[str, dict[str, object]]] = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    users = {ue: values["emulator"]["users"][ue] for ue in UES}
    return merged(values, {"controller": {"ues": list(UES)}}) | {"emulator": {**values["emulator"], "users": users}}


def small(**controller: object) -> dict[str, object]:
    """Return a small testbed, with deadlines for a network instead of those for one machine."""
    users = dict(zip(UES, SMALL_PLACES, strict=True))
    return {**SMALL, "emulator": {"users": users}, "controller": {"ues": list(UES), "schemes": SCHEMES, **controller}}


def places_of(values: Mapping[str, object]) -> dict[str, Place]:
    emulator = values["emulator"]
    assert isinstance(emulator, dict)
    return {
        ue: Place(range_m=float(user["range_m"]), angle_deg=float(user["angle_deg"]))
        for ue, user in emulator["users"].items()
    }


@contextmanager
def started(folder: Path, values: Mapping[str, object]) -> Iterator[Site]:
    """Yield a testbed on cables as most tests have them, set up and started."""
    with site(folder, values, latency_s=LATENCY_S, loss=LOSS) as one:
        one.set_up()
        yield one


class Outcome(NamedTuple):
    """What the controller told in the end, and what its journal says of that."""

    document: Mapping[str, list[Record]]
    broken: list[str]
    astray: list[Record]

    def is_whole(self, values: Mapping[str, object]) -> None:
        """Fail unless every fix was given, once, is on disk, and lies in its user's direction."""
        assert sorted(map(identity, self.document["fixes"]), key=str) == every_fix(values)
        assert (self.broken, self.astray, self.document["failures"]) == ([], [], [])


def outcome(one: Site) -> Outcome:
    """Return what came of a run once it is over."""
    assert one.controller.ended(RUN_WITHIN_S) == 0, one.controller.errors
    document = json.loads("".join(one.controller.out))
    ledger = RunLedger(one.run_directory, places_of(one.values), astray=[])
    for fix in document["fixes"]:
        ledger.acknowledge({"kind": "fix", **fix})
    return Outcome(document, ledger.check(), ledger.astray)


def every_fix(values: Mapping[str, object]) -> list[tuple[object, ...]]:
    """Return the identities of all fixes that a run is to give, each once."""
    controller = values["controller"]
    assert isinstance(controller, dict)
    schemes = [options["scheme"] for options in controller["schemes"]]
    rounds = range(controller.get("rounds", 1))
    return sorted(((ue, scheme, number) for ue in UES for scheme in schemes for number in rounds), key=str)


def fixes_told(controller: Process, ue: str) -> int:
    """Return of how many fixes of a user the controller has told so far."""
    return sum(line.startswith(f"{ue}: ") and " fix " in line for line in list(controller.err))


def until_located(controller: Process, ues: tuple[str, ...], more: int) -> None:
    """Wait until each of these users has been located so many times more."""
    before = {ue: fixes_told(controller, ue) for ue in ues}
    wait_until(
        lambda: all(fixes_told(controller, ue) >= before[ue] + more for ue in ues),
        f"{more} more fixes of {', '.join(ues)}",
        RUN_WITHIN_S,
    )


# --- a run, and strangers at the door ---------------------------------------------------------------------------------


class Run(NamedTuple):
    """What came of a run, and what was said meanwhile."""

    outcome: Outcome
    keys: dict[str, frozenset[str]]
    controller: Process
    strangers: dict[str, Process]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, _namespaces: None) -> Run:
    with site(tmp_path_factory.mktemp("machines"), small(gather_s=600.0), latency_s=LATENCY_S, loss=LOSS) as one:
        one.hosts["ue-3"].cable.cut = True  # the run waits for it until strangers have knocked
        one.set_up()
        keys = {name: host.keys for name, host in one.hosts.items() if name != STRANGER}
        strangers = _strangers(one)
        strangers["a key of its own"].said("kept out of tcp://10.78.0.1:5750", RUN_WITHIN_S)
        one.hosts["ue-3"].cable.cut = False
        return Run(outcome(one), keys, one.controller, strangers)


def _strangers(one: Site) -> dict[str, Process]:
    """Start two agents on a further machine, which has public keys alone; they pose as those that are enrolled."""
    host = one.hosts[STRANGER]
    host.carry_out("keys", "new", "ue-1")
    for server in (CONTROLLER, RADIO):
        one.copy(server, f"keys/{server}.public", f"{STRANGER}:keys/")
    one.write(STRANGER, {"links": {"keys": None, "insecure": True}}, "open.yaml")
    return {
        "a key of its own": host.start("ue", "testbed.yaml", "--name", "ue-1"),
        "no key": host.start("ue", "open.yaml", "--name", "ue-2"),
    }


def test_testbed_that_is_set_up_as_the_readme_says_locates_everybody(run: Run) -> None:
    run.outcome.is_whole(small())


def test_no_machine_holds_a_secret_of_another(run: Run) -> None:
    for name, files in run.keys.items():
        assert {file for file in files if file.endswith(".secret")} == {f"{name}.secret"}
    for ue in UES:
        assert run.keys[ue] == {f"{ue}.secret", f"{ue}.public", "controller.public", "radio.public"}


@pytest.mark.clause("10.3")
@pytest.mark.parametrize("who", ["a key of its own", "no key"])
def test_nobody_gets_in_from_a_further_machine_without_an_enrolled_key(run: Run, who: str) -> None:
    assert "is open" not in run.strangers[who].errors
    assert [run.controller.errors.count(f"{ue} joined") for ue in UES] == [1, 1, 1], "those who are enrolled, once each"


def test_both_ends_say_who_was_kept_out(run: Run) -> None:
    said = run.strangers["a key of its own"].errors
    assert "kept out of tcp://10.78.0.1:5750: your key is not enrolled with the controller" in said
    assert "kept out 10.78.0.6, whose key is not enrolled here" in run.controller.errors


# --- long links --------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_all_are_located_by_every_scheme_of_the_demo_over_links_of_20_ms_that_lose_1_percent(tmp_path: Path) -> None:
    with started(tmp_path, demo()) as one:
        result = outcome(one)
    result.is_whole(demo())
    places = places_of(demo())
    for fix in result.document["fixes"]:
        if fix["scheme"] in EXACT:
            found = float(str(fix["range_m"])), float(str(fix["angle_rad"]))
            assert error_m(*found, *places[str(fix["ue"])].polar) < EXACT_WITHIN_M, fix


@pytest.mark.long
def test_ue_on_a_link_of_200_ms_that_loses_5_percent_gets_every_fix_if_requests_have_the_time(tmp_path: Path) -> None:
    values = small(request_deadline_s=4.0)
    with site(tmp_path, values, latency_s=LATENCY_S, loss=LOSS) as one:
        far = one.hosts["ue-2"].cable
        far.latency_s, far.loss = 0.2, 0.05
        one.set_up()
        result = outcome(one)
    assert far.lost > 0
    result.is_whole(values)


# --- cuts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_ue_whose_cable_is_cut_is_located_again_when_it_is_healed_and_the_others_go_on_meanwhile(
    tmp_path: Path,
) -> None:
    values = small(rounds=ROUNDS, rejoin_s=120.0)
    with started(tmp_path, values) as one:
        controller, cable = one.controller, one.hosts["ue-2"].cable
        until_located(controller, UES, 1)
        cable.cut = True
        controller.said("ue-2 left: nothing heard for 2 s")
        found = fixes_told(controller, "ue-2")
        until_located(controller, ("ue-1", "ue-3"), 2)
        assert fixes_told(controller, "ue-2") == found, "who is not heard is not located"
        cable.cut = False
        result = outcome(one)
    result.is_whole(values)
    assert "ue-1 left" not in controller.errors
    assert "ue-3 left" not in controller.errors


@pytest.mark.long
def test_run_goes_on_where_it_was_when_the_cable_of_the_radio_is_healed(tmp_path: Path) -> None:
    values = small(rounds=ROUNDS, rejoin_s=120.0)
    with started(tmp_path, values) as one:
        controller, cable = one.controller, one.hosts[RADIO].cable
        until_located(controller, UES, 1)
        cable.cut = True
        controller.said("radio left: nothing heard for 2 s")
        controller.said("waiting for radio")
        cable.cut = False
        result = outcome(one)
    result.is_whole(values)
    assert not any(f"{ue} left" in controller.errors for ue in UES), "their sessions with the controller stand"
