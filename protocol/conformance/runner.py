"""Runs cases one after the other, each from a fresh session, and sums up how they ended."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
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
from protocol.conformance.variants import VARIANTS
from protocol.conformance.wire_log import Entry


class Driver(Protocol):
    """What the runner needs of a driver."""

    rig: Rig

    def begin(self) -> None:
        """Bring the testee to the beginning of a case."""

    def finish(self) -> None:
        """Check what can be told only at the end."""

    def rest(self) -> None:
        """Close its sockets while another driver is at work, or for good."""

    def resume(self) -> None:
        """Have them again after `rest`."""


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
    with rig_for(target) as rig, _Bench(DRIVERS[target.role](rig)) as bench:
        for case in cases:
            on_begin(case)
            yield _run(case, bench, known.get(case.id))


class _Bench:
    """The one driver that is at work: of the run, or of the variant that cases ask for, for as long as they do."""

    def __init__(self, plain: Driver) -> None:
        self._plain = self._driver = plain
        self._variant: str | None = None
        self._failed: str | None = None
        self._stack = ExitStack()

    @property
    def rig(self) -> Rig:
        """Return the rig of the driver that is at work."""
        return self._driver.rig

    def driver_for(self, case: Case) -> Driver:
        """Return a driver whose testee is at the beginning of a case.

        Raises
        ------
        NonconformityError
            If the testee does not come up on the variant of the testbed, which is tried once.
        """
        if case.variant != self._variant:
            self._leave()
            if case.variant is not None:
                self._enter(case.variant)
        if self._failed is None:
            self.rig.draw_for(case.id)
            self.rig.restore_keys()
            try:
                self._driver.begin()
            except CannotRunError as error:
                if self._variant is None:
                    raise
                self._failed = str(error)
        if self._failed is not None:
            raise NonconformityError(self._failed)
        return self._driver

    def _enter(self, variant: str) -> None:
        """Let the driver of the run rest, so that what its testee says is blamed on no case of the variant."""
        rig = self._stack.enter_context(VARIANTS[variant](self._plain.rig))
        self._plain.rest()
        self._stack.callback(self._plain.resume)
        self._driver = DRIVERS[rig.target.role](rig)
        self._stack.callback(self._driver.rest)
        self._variant = variant

    def _leave(self) -> None:
        self._variant = self._failed = None
        self._driver = self._plain
        self._stack.close()

    def __enter__(self) -> "_Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()


def _run(case: Case, bench: _Bench, known: str | None) -> Result:
    began_s = now_s()
    bench.rig.log.restart(began_s)
    bench.rig.meter.reset()
    outcome, clause, detail = _outcome(case, bench)
    rig = bench.rig
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


def _outcome(case: Case, bench: _Bench) -> tuple[Outcome, str, str]:
    try:
        driver = bench.driver_for(case)
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
