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


#: What no kit can provoke: nothing that a radio is told makes it have numbers that are not finite.
UNSEEN = {("3.9.1", Role.RADIO)}


def test_every_must_but_those_about_keys_has_a_case_for_each_role_that_it_binds() -> None:
    missing = {item for item in without_case(all_cases()) if not item[0].startswith("10.")}
    assert missing == UNSEEN
