"""Which pilot a UE measures, and what it remembers (SPEC 5 and 7.1)."""

import numpy as np

from protocol.conformance.case import NonconformityError, UnsupportedError, case
from protocol.conformance.drivers.ue import KINDS, ComplexArray, UeUnderTest
from protocol.conformance.headers import Said

REMEMBERED = 8
LARGEST_EPOCH = 2**63 - 1


@case(
    "ue/session/all-that-it-says",
    clause="4.1.3",
    also=(*("2.4.1", "3.1.1", "3.4.1", "3.8.1", "3.9.1", "4.6.1", "4.7.1", "4.8.1", "5.1.4", "7.1.1"),),
    expect="hello, four kinds of report, declined, refusal, acknowledge and heartbeat as the text has them",
)
def all_that_it_says(ue: UeUnderTest) -> None:
    """Every kind of report is asked for, one that must be declined, and something that has no place here."""
    ue.open_session()
    for kind in ue.kinds:
        _require_answers(ue, ue.measure(kind, ue.samples()))
    if "group" in ue.kinds:
        epoch = ue.next_epoch()
        ue.on_air = (epoch, ue.samples())
        ue.ask("group", groups=_not_dividing(ue), epoch=epoch)
        ue.expect("declined")
    ue.say("capture", {"epoch": 1, "ue": ue.rig.target.name})
    ue.expect_refusal("4.14")
    ue.wait(0.3)
    for kind in ("hello", "heartbeat"):
        if kind not in ue.heard_at_s:
            raise NonconformityError(f"expected {kind}, got none", "4.10.1")


def _require_answers(ue: UeUnderTest, report: Said) -> None:
    if report.session != ue.session:
        raise NonconformityError(f"expected session {ue.session}, got {report.session}")


@case("ue/session/repeat-gets-the-same", clause="5.2.1", expect="the same report though the air has changed")
def repeat_gets_the_same(ue: UeUnderTest) -> None:
    """A request comes again with its epoch, while another grid carries the same epoch."""
    ue.require_air()
    ue.open_session()
    for kind in ue.kinds:
        first = ue.measure(kind, ue.samples())
        epoch = first.integer("epoch")
        ue.on_air = (epoch, ue.samples())
        ue.ask(kind, epoch=epoch)
        _require_same(first, ue.expect(first.type))


@case("ue/session/repeat-after-a-newer-one", clause="5.2.1", expect="the same report, though the air has moved on")
def repeat_after_a_newer_one(ue: UeUnderTest) -> None:
    """A request comes again when a newer one has been answered."""
    ue.require_air()
    ue.open_session()
    kind = _any_kind(ue)
    first = ue.measure(kind, ue.samples())
    ue.measure(kind, ue.samples())
    ue.ask(kind, epoch=first.integer("epoch"))
    _require_same(first, ue.expect(first.type))


@case("ue/session/repeat-before-the-answer", clause="5.2.1", expect="reports that are the same")
def repeat_before_the_answer(ue: UeUnderTest) -> None:
    """A request comes three times, each with a new number, before the air carries its epoch."""
    ue.require_air()
    ue.open_session()
    ue.answers_listen = False
    kind = _any_kind(ue)
    for _ in range(3):
        ue.ask(kind, epoch=1)
    listen = ue.expect_listen()
    ue.answer_listen(listen, ue.samples())
    first = ue.expect(f"{kind}_report")
    ue.on_air, ue.answers_listen = (1, ue.samples()), True
    ue.ask(kind, epoch=1)
    _require_same(first, ue.expect(first.type))
    ue.wait(0.2)
    for said in [said for said in ue.inbox if said.type == first.type]:
        _require_same(first, said)


@case("ue/session/repeat-of-declined", clause="5.2.1", also=("7.3.2",), expect="declined again by the same clause")
def repeat_of_declined(ue: UeUnderTest) -> None:
    """A request that cannot be served comes again with its epoch."""
    ue.require_kind("group")
    ue.require_air()
    ue.open_session()
    ue.on_air = (1, ue.samples())
    for _ in range(2):
        ue.ask("group", groups=_not_dividing(ue), epoch=1)
        _require_declined(ue.expect("declined"), 1, "7.3")


@case(
    "ue/session/remembers-8-reports",
    clause="5.2.3",
    also=("5.2.1",),
    expect="the same reports, with nothing on the air",
)
def remembers_8_reports(ue: UeUnderTest) -> None:
    """Eight requests are answered; then each comes again, while the air is silent."""
    ue.require_air()
    ue.open_session()
    kinds = [ue.rig.random.choice(ue.kinds) for _ in range(REMEMBERED)] if ue.kinds else []
    reports = [ue.measure(kind, ue.samples()) for kind in kinds]
    ue.on_air = None
    for report in reports:
        ue.ask(report.type.removesuffix("_report"), epoch=report.integer("epoch"))
        _require_same(report, ue.expect(report.type))


@case("ue/session/forgets-with-the-session", clause="5.1.3", expect="a new measurement")
def forgets_with_the_session(ue: UeUnderTest) -> None:
    """Epoch 1 is reported, the session is closed, and epoch 1 of the next session has another grid."""
    ue.require_air()
    kind = _any_kind(ue)
    ue.open_session()
    ue.measure(kind, _peak_at(ue, 3), epoch=1)
    ue.is_open = False
    ue.refuse("4.12")
    ue.expect_new_session()
    ue.open_session()
    samples = _peak_at(ue, ue.subcarriers - 2)
    ue.measure("peak", samples, epoch=1)
    ue.on_air = (2, samples)
    said = ue.measure("peak", samples, epoch=2)
    if said.fields["subcarrier"] != ue.subcarriers - 2:
        raise NonconformityError(f"expected a report of the new grid, got {said.fields}")


@case("ue/session/new-session-new-answer", clause="5.1.3", expect="the report of what is on the air now")
def new_session_new_answer(ue: UeUnderTest) -> None:
    """The same epoch and kind is asked for in two sessions, with the peak at another subcarrier."""
    ue.require_kind("peak")
    for place in (3, ue.subcarriers - 2):
        ue.open_session()
        said = ue.measure("peak", _peak_at(ue, place), epoch=1)
        if said.fields["subcarrier"] != place:
            raise NonconformityError(f"expected subcarrier {place}, got {said.fields}")
        ue.is_open = False
        ue.refuse("4.12")
        ue.expect_new_session()


@case("ue/session/request-ends-with-the-session", clause="5.1.3", expect="no report of it in the next session")
def request_ends_with_the_session(ue: UeUnderTest) -> None:
    """A request is not answered before its session is closed; in the next the air carries its epoch."""
    ue.require_air()
    ue.open_session()
    ue.ask(_any_kind(ue), epoch=5)
    ue.expect_listen()
    ue.is_open = False
    ue.refuse("4.12")
    ue.expect_new_session()
    ue.on_air = (5, ue.samples())
    ue.open_session()
    ue.silence_for(1.0)


@case(
    "ue/session/air-has-moved-on", clause="5.3.2", also=("5.1.4", "5.4.1"), expect="declined by 5.3, and work goes on"
)
def air_has_moved_on(ue: UeUnderTest) -> None:
    """The air carries a newer epoch than the one asked for."""
    ue.require_air()
    ue.open_session()
    for kind in ue.kinds:
        epoch = ue.next_epoch()
        ue.on_air = (ue.next_epoch(), ue.samples())
        ue.ask(kind, epoch=epoch)
        _require_declined(ue.expect("declined", f"{kind}_report"), epoch, "5.3")
    ue.measure(_any_kind(ue), ue.samples())


@case("ue/session/air-lags-behind", clause="5.3.4", also=("8.1.1",), expect="no report before the epoch asked for")
def air_lags_behind(ue: UeUnderTest) -> None:
    """The air carries an older epoch for 0.3 s, with its peak elsewhere, and then the one asked for."""
    ue.require_kind("peak")
    ue.require_air()
    ue.open_session()
    ue.on_air = (3, _peak_at(ue, 3))
    ue.ask("peak", epoch=4)
    ue.silence_for(0.3)
    ue.on_air = (4, _peak_at(ue, 9))
    said = ue.expect("peak_report")
    if (said.fields["epoch"], said.fields["subcarrier"]) != (4, 9):
        raise NonconformityError(f"expected subcarrier 9 of epoch 4, got {said.fields}")


@case("ue/session/newer-measure-replaces", clause="7.1.4", expect="a report of the newer one alone")
def newer_measure_replaces(ue: UeUnderTest) -> None:
    """A newer request comes before the first could be answered; then the air carries both epochs in turn."""
    ue.require_air()
    ue.open_session()
    ue.answers_listen = False
    kind = _any_kind(ue)
    ue.ask(kind, epoch=1)
    old = ue.expect_listen()
    ue.ask(kind, epoch=2)
    ue.wait(0.1)
    ue.answer_listen(old, ue.samples(), epoch=1)
    ue.silence_for(0.2)
    ue.on_air, ue.answers_listen = (2, ue.samples()), True
    said = ue.expect(f"{kind}_report")
    if said.fields["epoch"] != 2:
        raise NonconformityError(f"expected a report of epoch 2, got {said.fields}")
    ue.silence_for(0.2)


@case("ue/session/newer-kind-replaces", clause="7.1.1", also=("7.1.4",), expect="a report of the kind asked for last")
def newer_kind_replaces(ue: UeUnderTest) -> None:
    """The newer request asks for another kind of report than the one that it replaces."""
    ue.require_air()
    if len(ue.kinds) < 2:
        raise UnsupportedError("the UE has one kind of report alone")
    ue.open_session()
    ue.ask(ue.kinds[0], epoch=1)
    ue.expect_listen()
    ue.measure(ue.kinds[1], ue.samples(), epoch=2)
    ue.silence_for(0.2)


@case(
    "ue/session/groups-that-do-not-divide",
    clause="7.3.2",
    also=("5.4.1",),
    expect="declined by 7.3; the session goes on",
)
def groups_that_do_not_divide(ue: UeUnderTest) -> None:
    """Numbers of groups are asked for that do not divide the subcarriers, one of them beyond their number."""
    ue.require_kind("group")
    ue.require_air()
    ue.open_session()
    for groups in (_not_dividing(ue), ue.subcarriers - 1, 2 * ue.subcarriers, 65536):
        epoch = ue.next_epoch()
        ue.on_air = (epoch, ue.samples())
        ue.ask("group", groups=groups, epoch=epoch)
        _require_declined(ue.expect("declined", "group_report"), epoch, "7.3")
    ue.measure("group", ue.samples(), groups=2 if ue.subcarriers % 2 == 0 else 1)


@case("ue/session/groups-beyond-the-air", clause="7.1.1", expect="the report; only a group report needs the groups")
def groups_of_other_kinds(ue: UeUnderTest) -> None:
    """Kinds other than group are asked for about a setting of two groups."""
    ue.open_session()
    for kind in ue.kinds:
        if kind != "group":
            ue.measure(kind, ue.samples(), groups=2)


@case("ue/session/kind-that-is-not-advertised", clause="7.1.3", also=("5.4.1",), expect="declined by 7.1")
def kind_that_is_not_advertised(ue: UeUnderTest) -> None:
    """A kind is asked for that hello did not advertise."""
    others = [kind for kind in KINDS if kind not in ue.kinds]
    if not others:
        raise UnsupportedError("the UE advertises every kind")
    ue.open_session()
    for kind in others:
        epoch = ue.next_epoch()
        ue.on_air = (epoch, ue.samples())
        ue.ask(kind, epoch=epoch)
        _require_declined(ue.expect("declined", f"{kind}_report"), epoch, "7.1")


@case("ue/session/advertises-kinds", clause="7.1.1", also=("3.4.1",), expect="the role ue and kinds, each once")
def advertises_kinds(ue: UeUnderTest) -> None:
    """The capabilities in hello are read."""
    if not set(ue.kinds) <= set(KINDS) or len(set(ue.kinds)) != len(ue.kinds):
        raise NonconformityError(f"expected kinds out of {', '.join(KINDS)}, each once, got {ue.kinds}")


@case("ue/session/largest-epoch", clause="5.1.4", expect="a report of epoch 2^63-1")
def largest_epoch(ue: UeUnderTest) -> None:
    """The epoch jumps from 1 to 2^53+1, which no float64 holds, and to the largest there is."""
    ue.open_session()
    for epoch in (1, 2**53 + 1, LARGEST_EPOCH):
        ue.measure(_any_kind(ue), ue.samples(), epoch=epoch)


def _any_kind(ue: UeUnderTest) -> str:
    ue.require_kind(ue.kinds[0] if ue.kinds else "peak")
    return ue.kinds[0]


def _not_dividing(ue: UeUnderTest) -> int:
    return next(count for count in range(2, ue.subcarriers + 2) if ue.subcarriers % count)


def _peak_at(ue: UeUnderTest, place: int) -> ComplexArray:
    samples = ue.samples()
    samples[place] = 1e-3
    return samples


def _require_same(first: Said, again: Said) -> None:
    same = again.fields == first.fields and all(
        np.array_equal(again.arrays[name], array) for name, array in first.arrays.items()
    )
    if not same:
        raise NonconformityError(f"expected the same {first.type} again, {first.fields}, got {again.fields}")


def _require_declined(said: Said, epoch: int, clause: str) -> None:
    if said.type != "declined" or (said.fields["epoch"], said.fields["clause"]) != (epoch, clause):
        raise NonconformityError(f"expected declined by {clause} of epoch {epoch}, got {said.type} {said.fields}")
