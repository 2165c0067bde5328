"""What a run has to do for one UE: its schemes in order, and how far it has come. Data, and rules without I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from bs_controller.sweeps import Answer, Fix, Measurement, Prior, Request, Scheme

FOLLOWED = "follow"  # the label of a localization that a track took from a scheme


class Stage(Enum):
    """What a UE's work waits for."""

    RESTING = "resting"  # its time
    COMPUTING = "computing"  # the scheme, to say what it wants next
    PENDING = "pending"  # the air
    ON_AIR = "on air"  # an answer
    DONE = "done"


#: All that `Job.state` may say.
STATES = ("absent", "computing", "pending", "on_air", "given_up", "done")


class Reason(Enum):
    """Why a scheme ended without a fix."""

    DEADLINE_MISSED = "deadline missed"
    UE_ABSENT = "UE absent"
    RADIO_ABSENT = "radio absent"
    DECLINED = "declined"
    KIND_UNKNOWN = "UE does not report in this kind"
    DOES_NOT_FIT = "setting does not fit the front end"
    SCHEME_FAILED = "scheme failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One localization to carry out: which scheme, in which round; `label` tells schemes of one name apart."""

    scheme: Scheme
    label: str
    position: int
    round: int


def labels(names: Sequence[str]) -> list[str]:
    """Return a label for each scheme of a run: its name, and from the second of that name on a number."""
    before = [names[:at].count(name) for at, name in enumerate(names)]
    return [f"{name}.{count + 1}" if count else name for name, count in zip(names, before, strict=True)]


class PlanSequence(Protocol):
    """The localizations of one user by number, each made when it is asked for."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __getitem__(self, position: int) -> Plan:
        """Return one of them."""


class Plans:
    """All localizations of one UE in order: all schemes of the first round, then of the next.

    Each is made when it is asked for, since a testbed may have 4096 UEs and a million rounds.
    """

    def __init__(self, schemes: Sequence[Scheme], rounds: int) -> None:
        self._labelled = list(zip(schemes, labels([scheme.name for scheme in schemes]), strict=True))
        self._rounds = rounds

    def __len__(self) -> int:
        return self._rounds * len(self._labelled)

    def __getitem__(self, position: int) -> Plan:
        number, which = divmod(range(len(self))[position], len(self._labelled))
        scheme, label = self._labelled[which]
        return Plan(scheme=scheme, label=label, position=position, round=number)


@dataclass(slots=True)
class Job:
    """One UE's work."""

    ue: str
    plans: PlanSequence
    present: bool = False
    absent_since_s: float | None = None
    stage: Stage = Stage.DONE
    at: int = -1
    rank: float = 0.0  # whose request goes on the air first: the lowest
    localization: Measurement | None = None
    request: Request | None = None
    step: int = 0
    attempts: int = 0
    pending_since_s: float = 0.0
    started_s: float = 0.0
    epochs: list[int] = field(default_factory=list)
    on_air_s: list[tuple[float, float]] = field(
        default_factory=list
    )  # between when and when each sweep came on the air
    followed_from: Prior | None = None  # where a track said that the user was
    sweep_latency_ms: list[float] = field(default_factory=list)
    abandoned: tuple[Reason, str] | None = None

    @property
    def plan(self) -> Plan:
        """Return the localization under way."""
        return self.plans[self.at]

    @property
    def label(self) -> str:
        """Return by which scheme the user is being located."""
        return self.plan.label if self.followed_from is None else FOLLOWED

    @property
    def heavy(self) -> bool:
        """Return whether a step of that scheme may take long."""
        return self.plan.scheme.heavy or self.followed_from is not None

    @property
    def done(self) -> bool:
        """Return whether nothing is left to do."""
        return self.at >= len(self.plans)

    @property
    def state(self) -> str:
        """Return where the UE's work stands, in one word."""
        if self.abandoned is not None:
            return "given_up"  # to the end of the run
        if self.done:
            return "done"
        return self.stage.name.lower() if self.present else "absent"

    @property
    def turn(self) -> tuple[float, int, int, float, str]:
        """Return what decides whose request goes on the air first.

        Who is furthest behind, so that the sweep common to all users is sent when all of them want it; among those, a
        request that was missed before waits for the others.
        """
        return self.rank, self.attempts, self.step, self.pending_since_s, self.ue

    def begin_next(self, now_s: float) -> bool:
        """Start the next localization; return whether there is one."""
        if self.at + 1 >= len(self.plans):
            self.finish()
            return False
        self.begin_at(self.at + 1, self.plans[self.at + 1].scheme.locate(), now_s, rank=float(self.at + 1))
        return True

    def begin_at(self, position: int, localization: Measurement, now_s: float, *, rank: float) -> None:
        """Start the localization of this number."""
        self.rest()
        self.at, self.rank = position, rank
        self.stage, self.localization, self.started_s = Stage.COMPUTING, localization, now_s

    def rest(self) -> None:
        """Wait for the time of the next localization."""
        self.stage, self.localization, self.request = Stage.RESTING, None, None
        self.step = self.attempts = 0
        self.followed_from = None
        self.epochs.clear()
        self.on_air_s.clear()
        self.sweep_latency_ms.clear()

    def finish(self) -> None:
        """Have nothing left to do."""
        self.rest()
        self.at, self.stage = len(self.plans), Stage.DONE

    def abandon(self, reason: Reason, text: str, now_s: float) -> None:
        """Give up all that is left, for good: nothing of it waits for air or answers any more."""
        if self.done or self.abandoned is not None:
            return
        self.abandoned = reason, text
        if self.at < 0:
            self.begin_next(now_s)
        self.stage = Stage.DONE

    def skip(self, now_s: float) -> None:
        """Go past a localization that was given up."""
        self.begin_next(now_s)
        self.stage = Stage.DONE

    def want(self, request: Request, now_s: float) -> None:
        """Wait for the air with this request."""
        self.request, self.stage, self.pending_since_s = request, Stage.PENDING, now_s
        self.step += 1
        self.attempts = 0

    def answered(self, epoch: int, on_air_s: tuple[float, float], now_s: float) -> None:
        """Note that the request under way has its answer, about what came on the air between these times."""
        self.stage = Stage.COMPUTING
        self.epochs.append(epoch)
        self.on_air_s.append(on_air_s)
        self.sweep_latency_ms.append(1e3 * (now_s - self.pending_since_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A scheme's step ended with a request."""

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A scheme's step ended with a fix."""

    fix: Fix


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A scheme that only measures has all its answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A scheme's step raised."""

    text: str


StepResult = Wanted | Found | Measured | Broken


def step(localization: Measurement, answer: Answer | None) -> StepResult:
    """Run a scheme to its next request or to its end; an error of the scheme is a result, not an error of the run."""
    try:
        return Wanted(request=next(localization) if answer is None else localization.send(answer))
    except StopIteration as end:
        return Measured() if end.value is None else Found(fix=end.value)
    except MemoryError:
        raise  # no fault of the scheme's
    except Exception as error:  # the scheme's edge: whatever it was, a UE left waiting would hold up all others
        return Broken(text=f"{type(error).__name__}: {error}")
