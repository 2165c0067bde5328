"""Run a broken peer: ``python -m tests.conformance.zoo ue-never-beats FILE --name ue-1``."""

import runpy
import sys
from importlib import import_module

from protocol.conformance.case import Role
from tests.conformance.zoo.registry import BROKEN, role_of

PROCESSES = {Role.UE: "ue_agent", Role.RADIO: "emulator", Role.CONTROLLER: "bs_controller"}
OF_ALL = ("sessions", "delivery", "framing", "keys")
ROOMS = {Role.UE: ("ues",), Role.RADIO: ("radios",), Role.CONTROLLER: ("controllers", "runs")}


def enter(role: Role) -> None:
    """Let the modules that break a role register what they have."""
    for room in (*OF_ALL, *ROOMS[role]):
        import_module(f"tests.conformance.zoo.{room}")


def main() -> None:
    name, *words = sys.argv[1:]
    role = role_of(name)
    enter(role)
    BROKEN[name].patch()
    sys.argv = [name, *words]
    runpy.run_module(PROCESSES[role], run_name="__main__")


if __name__ == "__main__":
    main()
