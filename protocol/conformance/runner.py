"""Runs cases one after the other, each from a fresh session, and sums up how they ended."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import yaml

from protocol.conformance.case import (
    CannotRunError,
    Case,
    InconclusiveError,
    NonconformityError,
    Outcome,
    Role,
    UnsupportedError,
)
from protocol.conformance.clauses import Level, requirement
from protocol.conformance.drivers.controller import ControllerUnderTest
from protocol.conformance.drivers.radio import RadioUnderTest
from protocol.conformance.drivers.ue import UeUnderTest
from protocol.conformance.rig import Rig, Target, rig_for
from protocol.conformance.sockets import now_s
from protocol.conformance.wire_log import Entry


class Driver(Protocol):
    """What the runner needs of a driver."""

    def begin(self) -> None:
        """Bring the testee to the beginning of a case."""

    def finish(self) -> None:
        """Check what can be told only at the end."""


DRIVERS: Mapping[Role, Callable[[Rig], Driver]] = {
    Role.UE: UeUnderTest,
    Role.RADIO: RadioUnderTest,
    Role.CONTROLLER: ControllerUnderTest,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one case ended."""

    case: Case
    outcome: Outcome
    clause: str  # that was broken, or that the case is about
    detail: str
    took_s: float
    late_s: float  # how late this machine was itself
    wire: tuple[Entry, ...] = field(repr=False, default=())
    output: str = field(repr=False, default="")
    known: str | None = None  # why it is on the list of known failures

    @property
    def expected(self) -> bool:
        """Return whether the outcome is what the list of known failures lets expect."""
        return (self.outcome is Outcome.FAIL) is (self.known is not None)

    @property
    def level(self) -> Level:
        """Return how binding the clause of the case is."""
        return requirement(self.case.clause).level


def known_failures(path: Path | None) -> dict[str, str]:
    """Return a list of known failures: id to reason.

    Raises
    ------
    CannotRunError
        If the file is no such list.
    """
    if path is None:
        return {}
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CannotRunError(f"expected a YAML file of case ids and reasons, got {path}: {error}") from error
    if not isinstance(document, dict) or not all(isinstance(item, str) for pair in document.items() for item in pair):
        raise CannotRunError(f"expected a YAML map from case ids to reasons in {path}, got {type(document).__name__}")
    return document


def run_cases(
    target: Target, cases: Iterable[Case], known: Mapping[str, str], on_begin: Callable[[Case], None]
) -> Iterator[Result]:
    """Yield how each case ends.

    Raises
    ------
    CannotRunError
        If the testee cannot be started or reached at all.
    """
    with rig_for(target) as rig:
        driver = DRIVERS[target.role](rig)
        for case in cases:
            on_begin(case)
            yield _run(case, driver, rig, known.get(case.id))


def _run(case: Case, driver: Driver, rig: Rig, known: str | None) -> Result:
    began_s = now_s()
    rig.log.restart(began_s)
    rig.draw_for(case.id)
    rig.meter.reset()
    outcome, clause, detail = _outcome(case, driver)
    return Result(
        case=case,
        outcome=outcome,
        clause=clause,
        detail=detail,
        took_s=now_s() - began_s,
        late_s=rig.meter.worst_s,
        wire=tuple(rig.log.entries),
        output="" if outcome is Outcome.PASS else rig.testee.output_tail(),
        known=known,
    )


def _outcome(case: Case, driver: Driver) -> tuple[Outcome, str, str]:
    try:
        driver.begin()
        case.check(driver)
        driver.finish()
    except NonconformityError as error:
        clause = error.clause or case.clause
        return _OUTCOME_OF_MISS[requirement(clause).level], clause, error.text
    except UnsupportedError as error:
        return Outcome.UNSUPPORTED, case.clause, str(error)
    except InconclusiveError as error:
        return Outcome.INCONCLUSIVE, case.clause, str(error)
    return Outcome.PASS, case.clause, ""


_OUTCOME_OF_MISS = {
    Level.MUST: Outcome.FAIL,
    Level.SHOULD: Outcome.NON_STRICT,
    Level.MAY: Outcome.UNSUPPORTED,
}


def conforming(results: Iterable[Result], known: Mapping[str, str], *, complete: bool) -> bool:
    """Return whether all ended as expected; a testee that supports nothing conforms to nothing.

    Parameters
    ----------
    complete
        Whether every case was run, so that a listed failure that is not among them is no case at all.
    """
    results = list(results)
    ran = {result.case.id for result in results}
    speaks = any(result.outcome is not Outcome.UNSUPPORTED for result in results)
    return speaks and all(result.expected for result in results) and not (complete and set(known) - ran)


def chosen_seed() -> int:
    """Return a seed for a run that was given none."""
    return random.SystemRandom().randrange(1, 1_000_000)
