"""The air link of a radio that emulates its air: grids of the setting on the air, the same for the same epoch, or silence."""

from collections.abc import Callable

import numpy as np

from protocol.conformance.case import NonconformityError, UnsupportedError, case
from protocol.conformance.drivers.peer import START_WITHIN_S
from protocol.conformance.drivers.radio import RadioUnderTest, Samples
from protocol.conformance.headers import frames_of, header, packed

NOBODY = "nobody-9"


def _opened(radio: RadioUnderTest) -> None:
    radio.require_air()
    radio.open_session()


def _put_on_air(radio: RadioUnderTest, groups: int = 1) -> int:
    """Put a random setting on the air and return its epoch."""
    return radio.put_on_air(*radio.setting(groups)).integer("epoch")


def _require_same(first: Samples, again: Samples, clause: str) -> None:
    if first.tobytes() != again.tobytes():
        worst = float(np.max(np.abs(first - again)))
        raise NonconformityError(f"expected the same samples again, got some that are {worst:g} off", clause)


def _require_silence(radio: RadioUnderTest, ue: str, epoch: int) -> None:
    said = radio.listen(ue, epoch)
    if (said.type, said.fields["epoch"]) != ("silence", epoch):
        raise NonconformityError(f"expected silence of epoch {epoch}, got {said.type} {said.fields}", "8.3.1")


@case("radio/session/nothing-on-the-air", clause="8.3.1", expect="silence of the epoch of listen")
def nothing_on_the_air(radio: RadioUnderTest) -> None:
    """A UE listens to a radio that was started anew, before any setting."""
    radio.require_air()
    if not radio.rig.testee.restart():
        raise UnsupportedError("the kit cannot start the radio anew")
    radio.expect_new_session(within_s=START_WITHIN_S)
    radio.open_session()
    radio.open_air()
    for epoch in (1, 2**40):
        _require_silence(radio, radio.ue, epoch)


@case("radio/session/silence-for-nobody", clause="8.3.1", expect="silence of the epoch of listen, then a grid")
def silence_for_nobody(radio: RadioUnderTest) -> None:
    """A UE that the radio does not know listens to a setting, then one that it knows."""
    _opened(radio)
    epoch = _put_on_air(radio)
    _require_silence(radio, NOBODY, epoch)
    radio.hear(radio.ue, epoch)


@case("radio/session/grid-of-the-setting", clause="8.2.1", expect="the grid of the setting's epoch and the grid's size")
def grid_of_the_setting(radio: RadioUnderTest) -> None:
    """A UE hopes for the epoch on the air, for an older one and for a newer one."""
    _opened(radio)
    radio.expect_answer("ready", radio.configure(*radio.setting(), epoch=10))
    for hoped_for in (10, 3, 12, 2**62):
        radio.hear(radio.ue, 10, hoped_for)


@case(
    "radio/session/newer-setting", clause="8.2.1", also=("6.2.1",), expect="the grid of the newer epoch, other samples"
)
def newer_setting(radio: RadioUnderTest) -> None:
    """A UE listens after one setting and after the next."""
    _opened(radio)
    older = radio.hear(radio.ue, _put_on_air(radio))
    newer = radio.hear(radio.ue, _put_on_air(radio), hoped_for=1)
    if older.tobytes() == newer.tobytes():
        raise NonconformityError("expected other samples of another random setting, got the same")


@case("radio/session/same-samples", clause="8.2.2", expect="the same samples, noise included")
def same_samples(radio: RadioUnderTest) -> None:
    """Two UEs, where there are two, listen in turns, and then through another connection."""
    _opened(radio)
    epoch = _put_on_air(radio)
    users = _users(radio)
    first = {ue: radio.hear(ue, epoch) for ue in users}
    for turn in range(3):
        if turn == 2:
            radio.open_air()
        for ue in users:
            _require_same(first[ue], radio.hear(ue, epoch), "8.2.2")


def _users(radio: RadioUnderTest) -> list[str]:
    users = radio.rig.scene.get("users")
    others = [name for name in users if name != radio.ue] if isinstance(users, dict) else []
    return [radio.ue, *others][:2]


@case("radio/session/many-listen", clause="8.2.2", also=("8.2.1",), expect="a grid for each, all the same")
def many_listen(radio: RadioUnderTest) -> None:
    """A UE listens 64 times without waiting for answers."""
    _opened(radio)
    epoch = _put_on_air(radio)
    first = radio.hear(radio.ue, epoch)
    for _ in range(64):
        radio.listen_frames(frames_of(header("listen", {"ue": radio.ue, "epoch": epoch}), {}))
    for _ in range(64):
        _require_same(first, radio.expect_overheard().arrays["samples"].astype(np.complex128), "8.2.2")


def _stays_on_air(radio: RadioUnderTest, clause: str, meanwhile: Callable[[], object]) -> None:
    """Check that a setting, its epoch and its samples are on the air still after something that is none of its business."""
    _opened(radio)
    epoch = _put_on_air(radio, radio.groups_near(2))
    first = radio.hear(radio.ue, epoch)
    meanwhile()
    said = radio.listen(radio.ue, epoch)
    if (said.type, said.fields["epoch"]) != ("grid", epoch):
        raise NonconformityError(f"expected the grid of epoch {epoch} still, got {said.type} {said.fields}", clause)
    _require_same(first, said.arrays["samples"].astype(np.complex128), clause)


@case("radio/session/air-after-declined", clause="6.3.2", expect="the setting is on the air still")
def air_after_declined(radio: RadioUnderTest) -> None:
    """A setting is on the air, and others are declined: too many elements, too long delays, groups that do not divide."""

    def declines() -> None:
        too_long = np.full((1, radio.elements), 2 * radio.front_end["delay_span_s"])
        groups = next(count for count in range(2, 4097) if radio.subcarriers % count)
        for shape, delay_s in (
            ((1, radio.elements + 1), np.zeros((1, radio.elements + 1))),
            ((1, radio.elements), too_long),
            ((groups, radio.elements), np.zeros((groups, radio.elements))),
        ):
            radio.expect_declined("6.3", radio.configure(np.full(shape, 0.5), delay_s))

    _stays_on_air(radio, "6.3.2", declines)


@case("radio/session/air-after-capture", clause="6.4.4", expect="the setting is on the air still, with its epoch")
def air_after_capture(radio: RadioUnderTest) -> None:
    """A setting is on the air, and a pilot is captured, then one of a UE that the radio does not know."""

    def captures() -> None:
        radio.expect_answer("snapshot", radio.capture(radio.ue))
        radio.expect_declined("6.4", radio.capture(NOBODY))

    _stays_on_air(radio, "6.4.4", captures)


@case("radio/session/air-after-stale", clause="5.3.1", expect="the newer setting is on the air still")
def air_after_stale(radio: RadioUnderTest) -> None:
    """A setting is on the air, and another one is asked for with an older epoch."""
    radio.next_epoch()
    _stays_on_air(radio, "5.3.1", lambda: radio.expect_declined("5.3", radio.configure(*radio.setting(), epoch=1)))


@case("radio/session/air-after-same-request", clause="5.2.1", expect="the same ready, and the same samples on the air")
def air_after_same_request(radio: RadioUnderTest) -> None:
    """The setting on the air is asked for again, with its epoch."""
    radio.require_air()
    radio.open_session()
    setting = radio.setting()
    radio.put_on_air(*setting)
    first = radio.hear(radio.ue, 1)
    radio.expect_answer("ready", radio.configure(*setting, epoch=1))
    _require_same(first, radio.hear(radio.ue, 1), "5.2.1")


@case(
    "radio/session/air-after-earlier-request", clause="5.2.1", expect="ready of epoch 1, and epoch 2 on the air still"
)
def air_after_earlier_request(radio: RadioUnderTest) -> None:
    """A setting that another one has replaced is asked for again: its answer is remembered, nothing is done."""
    _opened(radio)
    earlier = radio.setting()
    radio.put_on_air(*earlier)
    epoch = _put_on_air(radio)
    first = radio.hear(radio.ue, epoch)
    radio.expect_answer("ready", radio.configure(*earlier, epoch=1))
    _require_same(first, radio.hear(radio.ue, epoch), "5.2.1")


@case(
    "radio/hostile/malformed-listen",
    clause="3.1.2",
    also=("3.2.1", "3.3.1", "3.4.2", "3.6.1"),
    expect="no answer, and grids go on",
)
def malformed_listen(radio: RadioUnderTest) -> None:
    """What is no message, or none of the air link, comes on it, and then a UE listens."""
    _opened(radio)
    epoch = _put_on_air(radio)
    radio.hear(radio.ue, epoch)
    sound = header("listen", {"ue": radio.ue, "epoch": epoch})
    for frames in _malformed(sound):
        radio.listen_frames(frames)
    radio.wait(0.1)
    if radio.overheard:
        raise NonconformityError(f"expected no answer, got {radio.overheard[0].type} {radio.overheard[0].fields}")
    radio.hear(radio.ue, epoch)


def _malformed(sound: dict[str, object]) -> list[list[bytes]]:
    fields = sound["fields"]
    assert isinstance(fields, dict)  # noqa: S101 - it was made so
    return [
        [b"\xc1"],
        [b""],
        [packed(sound)[:-1]],
        [packed(sound) + b"\xc0"],
        [packed(sound), bytes(8)],
        [packed({**sound, "v": 2})],
        [packed({**sound, "type": "listens"})],
        [packed({**sound, "type": "capture", "fields": fields})],
        [packed({**sound, "extra": 1})],
        [packed({**sound, "fields": {**fields, "epoch": 0}})],
        [packed({**sound, "fields": {**fields, "ue": "UE 1"}})],
        [packed({**sound, "fields": {**fields, "epoch": 1.0}})],
    ]


@case("radio/hostile/frame-beyond-the-longest-on-air", clause="2.4.2", expect="no answer, and grids go on for others")
def frame_beyond_the_longest_on_air(radio: RadioUnderTest) -> None:
    """A frame longer than any legal one comes on the air link, and then a UE listens on another connection."""
    _opened(radio)
    epoch = _put_on_air(radio)
    radio.listen_frames(
        [packed(header("listen", {"ue": radio.ue, "epoch": epoch})), bytes(radio.rig.largest_frame_bytes + 8)]
    )
    radio.wait(0.1)
    radio.open_air()
    radio.hear(radio.ue, epoch)
