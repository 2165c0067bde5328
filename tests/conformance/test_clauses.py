import ast
from pathlib import Path

from protocol.conformance.case import Role, all_cases
from protocol.conformance.clauses import Level, requirements, requirements_in, without_case, without_clause

TEXT = """
- **4.1** A session begins with `hello`.
  - **4.1.1** A peer MUST choose a number
    that grows.
  - **4.1.2** A controller SHOULD NOT care.

  | a | MUST |
  |---|---|

- **4.2** A UE with an air link MAY sing.

A paragraph that MUST not count.
"""


def test_requirements_have_number_level_roles_and_the_text_of_all_their_lines() -> None:
    found = requirements_in(TEXT)
    assert list(found) == ["4.1", "4.1.1", "4.1.2", "4.2"]
    assert found["4.1.1"].text == "A peer MUST choose a number that grows."
    assert found["4.1.1"].roles == (Role.UE, Role.RADIO)
    assert (found["4.1.2"].level, found["4.1.2"].roles) == (Level.SHOULD, (Role.CONTROLLER,))
    assert (found["4.2"].level, found["4.2"].roles) == (Level.MAY, (Role.UE,))


def test_sides_that_bind_are_no_ues_and_sides_that_connect_no_controllers() -> None:
    assert requirements()["10.4.1"].roles == (Role.RADIO, Role.CONTROLLER)
    assert requirements()["10.2.2"].roles == (Role.UE, Role.RADIO)


def test_every_requirement_of_the_specification_has_one_keyword_and_a_subject() -> None:
    numbered = [item for number, item in requirements().items() if number.count(".") == 2]
    assert len(numbered) > 90
    assert requirements()["9.1.5"].level is Level.SHOULD
    assert requirements()["8.2.1"].roles == (Role.RADIO,)


def test_no_case_is_about_a_clause_that_the_specification_does_not_have() -> None:
    assert without_clause(all_cases()) == []


def test_a_must_is_missed_for_each_role_that_it_binds_until_a_case_is_about_it() -> None:
    cases = all_cases()
    missing = without_case(cases)
    assert ("4.1.5", Role.UE) not in missing
    assert ("6.3.1", Role.UE) not in missing
    assert ("6.3.1", Role.RADIO) in without_case([case for case in cases if case.role is not Role.RADIO])


SIDES, WHO_BINDS = tuple(Role), (Role.RADIO, Role.CONTROLLER)

#: Requirements whose breach by these roles nobody sees on a wire, and why; tests that carry the number show them for this
#: implementation.
NOT_ON_A_WIRE = {
    "3.9.1": ((Role.RADIO,), "no request makes a radio compute a sample that is not finite"),
    "10.1.2": (SIDES, "it is about what a log says"),
    "10.2.4": (SIDES, "where else a secret key lies cannot be heard on a link"),
    "10.3.3": (WHO_BINDS, "who lacks one of the three and keeps strangers out all the same looks like who has them"),
    "10.3.5": (WHO_BINDS, "the kit cannot break the handler of a testee"),
    "10.6.3": (SIDES, "code that would run what comes cannot be told from code that drops it"),
}


def names_by_requirement() -> dict[str, list[str]]:
    """Return the names of the tests that carry each number ``N.M.K``."""
    found: dict[str, list[str]] = {}
    for path in Path(__file__).parents[1].rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for decorator in node.decorator_list:
                    if ast.unparse(decorator).startswith("pytest.mark.clause("):
                        assert isinstance(decorator, ast.Call)
                        for number in map(ast.literal_eval, decorator.args):
                            found.setdefault(number, []).append(node.name)
    return found


def test_every_must_has_a_case_for_each_role_that_it_binds_unless_no_wire_can_show_it() -> None:
    exempt = {(number, role) for number, (roles, _) in NOT_ON_A_WIRE.items() for role in roles}
    assert set(without_case(all_cases())) == exempt


def test_what_no_wire_can_show_has_tests_that_name_it() -> None:
    assert set(NOT_ON_A_WIRE) - set(names_by_requirement()) == set()
