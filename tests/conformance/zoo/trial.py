"""A broken peer before the kit: how the cases end that must catch it, and some that it has no reason to fail."""

import sys

from protocol.conformance.case import Role, all_cases
from protocol.conformance.rig import Target
from protocol.conformance.runner import run_cases
from tests.conformance.zoo.__main__ import enter
from tests.conformance.zoo.registry import BROKEN

WORDS = {
    Role.UE: "{testbed} --name {name} --quiet",
    Role.RADIO: "{testbed} --quiet",
    Role.CONTROLLER: "{testbed} --run-dir {folder}/run --quiet",
}
HARMLESS = {
    Role.UE: ("ue/framing/vector-heartbeat", "ue/framing/vector-acknowledge", "ue/schema/vector-largest-count"),
    Role.RADIO: (
        "radio/framing/vector-heartbeat",
        "radio/framing/vector-acknowledge",
        "radio/schema/vector-largest-count",
    ),
    Role.CONTROLLER: ("controller/framing/vector-heartbeat", "controller/framing/vector-acknowledge"),
}
SEED = 1

for _role in Role:
    enter(_role)

Ending = tuple[str, str, str]  # outcome, clause, detail


def endings(name: str) -> dict[str, Ending]:
    """Return how each case ended, by its id; to be called where ``tests`` can be imported from the working directory."""
    peer = BROKEN[name]
    known = {case.id: case for case in all_cases()}
    cases = [known[case] for case in (*HARMLESS[peer.role], *peer.caught_by)]
    command = f"{sys.executable} -m tests.conformance.zoo {name} {WORDS[peer.role]}"
    target = Target(role=peer.role, command=command, seed=SEED)
    found = run_cases(target, cases, {}, lambda case: None)
    return {result.case.id: (str(result.outcome), result.clause, result.detail) for result in found}
