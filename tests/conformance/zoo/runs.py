"""Controllers whose runs go wrong: what they ask radios and UEs for, and which answers they take."""

from typing import Any

import msgspec

from bs_controller import answers, run, transmission
from bs_controller.commands import Send
from bs_controller.run import Run
from protocol import messages as msg
from tests.conformance.zoo.registry import around, broken


@broken("controller-reuses-epochs", {"controller/session/epochs-grow": "5.1.1"})
def reuses_epochs() -> None:
    """Gives every request the same epoch."""

    def transmit(original: Any, self: Run, *given: Any) -> None:
        self._epoch = 0
        original(self, *given)

    around(Run, "_transmit", transmit)


@broken("controller-counts-epochs-down", {"controller/session/epochs-grow": "5.1.1"})
def counts_epochs_down() -> None:
    """Gives each request a smaller epoch."""

    def transmit(original: Any, self: Run, *given: Any) -> None:
        self._epoch = (self._epoch or 10**9) - 2
        original(self, *given)

    around(Run, "_transmit", transmit)


@broken(
    "controller-asks-for-any-kind",
    {"controller/session/peak-alone": "7.1.2", "controller/session/complex-alone": "7.1.2"},
)
def asks_for_any_kind() -> None:
    """Asks for kinds that the UE does not advertise."""

    def stepped(original: Any, self: Run, ue: str, *given: Any) -> None:
        self._kinds[ue] = tuple(msg.FeedbackKind)
        original(self, ue, *given)

    around(Run, "stepped", stepped)


@broken("controller-takes-any-index", {"controller/numerics/subcarrier-out-of-range": "7.2.2"})
def takes_any_index() -> None:
    """Takes indices that no subcarrier and no group has."""
    around(answers, "_require_below", lambda original, *given: None)


@broken("controller-takes-any-shape", {"controller/numerics/snapshot-of-another-shape": "6.4.2"})
def takes_any_shape() -> None:
    """Takes snapshots and reports of any shape."""
    around(answers, "_require_shape", lambda original, *given: None)


@broken("controller-takes-what-nobody-awaits", {"controller/session/report-of-no-epoch": "5.3.3"})
def takes_what_nobody_awaits() -> None:
    """Says nothing of answers that it cannot use."""

    def heard(original: Any, self: Run, *given: Any) -> None:
        original(self, *given)
        said = self._commands
        self._commands = [c for c in said if not isinstance(c, Send) or not isinstance(c.message, msg.Refusal)]

    around(Run, "heard", heard)


@broken("controller-ends-at-a-stale-answer", {"controller/session/report-of-no-epoch": "5.3.3"})
def ends_at_a_stale_answer() -> None:
    """Ends the session of a peer whose answer nobody awaits."""

    def heard(original: Any, self: Run, name: str, *given: Any) -> None:
        original(self, name, *given)
        if any(isinstance(c, Send) and isinstance(c.message, msg.Refusal) for c in self._commands):
            self._commands.append(Send(name=name, message=msg.Bye(reason="a stale answer")))

    around(Run, "heard", heard)


@broken("controller-asks-for-too-long-delays", {"controller/numerics/settings": "6.3.3"})
def asks_for_too_long_delays() -> None:
    """Asks for delays that the front end does not have."""

    def message_for(original: Any, *given: Any, **more: Any) -> Any:
        message = original(*given, **more)
        if isinstance(message, msg.Configure):
            return msgspec.structs.replace(message, delay_s=message.delay_s + given[-1].delay_span_s)
        return message

    around(run, "message_for", message_for)


@broken("controller-asks-for-too-few-elements", {"controller/numerics/settings": "6.3.3"})
def asks_for_too_few_elements() -> None:
    """Asks for a setting of half the elements."""

    def message_for(original: Any, *given: Any, **more: Any) -> Any:
        message = original(*given, **more)
        if isinstance(message, msg.Configure):
            half = message.delay_s.shape[1] // 2
            arrays = {"delay_s": message.delay_s[:, :half], "phase_cycles": message.phase_cycles[:, :half]}
            return msgspec.structs.replace(message, **arrays)
        return message

    around(run, "message_for", message_for)


@broken(
    "controller-ignores-the-front-end",
    {"controller/numerics/short-delay-lines": "6.3.3", "controller/numerics/fewer-elements": "6.3.3"},
)
def ignores_the_front_end() -> None:
    """Asks every front end for the same setting."""
    around(transmission, "fitted", lambda original, setting, limits: setting)


@broken("controller-measures-the-next-epoch", {"controller/session/measure-is-about-what-is-ready": "5.1"})
def measures_the_next_epoch() -> None:
    """Asks UEs for another epoch than the one on the air."""

    def measure(original: Any, *, epoch: int, **others: Any) -> Any:
        return original(epoch=epoch + 1, **others)

    around(msg, "Measure", measure)
