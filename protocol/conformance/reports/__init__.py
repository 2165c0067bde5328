"""What a run looks like to people and to programs: a summary, and one module per format."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocol.conformance.case import Outcome, Role
from protocol.conformance.runner import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a report tells."""

    role: Role
    testee: str  # its command, or where it was attached
    seed: int
    versions: Mapping[str, str]
    results: Sequence[Result]
    known: Mapping[str, str]  # id to reason
    conforming: bool

    def counts(self) -> dict[str, int]:
        """Return how many cases ended in each way."""
        counted = Counter(result.outcome for result in self.results)
        return {outcome: counted[outcome] for outcome in Outcome}
