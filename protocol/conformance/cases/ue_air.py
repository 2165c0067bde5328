"""The air link, as a UE asks and hears on it (SPEC 8)."""

from itertools import pairwise

import numpy as np

from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.ue import UeUnderTest
from protocol.conformance.headers import frames_of, header, packed
from protocol.conformance.sockets import now_s

TIMERS_S = 0.1
SOCKET_WITHIN_S = 13.0  # 12 s without an answer at most, and some waits
CADENCE_S = (0.05, 0.1, 0.2, 0.4, 0.8)


def _asked(ue: UeUnderTest, epoch: int = 1) -> None:
    """Open a session and ask for what the air does not carry yet."""
    ue.require_air()
    ue.open_session(heartbeat_s=0.2, liveness_s=5.0)
    ue.require_kind("peak")
    ue.ask("peak", epoch=epoch)


@case("ue/timing/listen-cadence", clause="8.1.1", expect="listen again after 0.05 s, then twice as long, 0.8 s at most")
def listen_cadence(ue: UeUnderTest) -> None:
    """Nothing answers listen for 2.6 s."""
    ue.answers_listen = False
    _asked(ue)
    _check_cadence(ue, for_s=2.6)


@case("ue/timing/listen-cadence-in-silence", clause="8.1.1", expect="the same cadence: silence is no reason to hurry")
def listen_cadence_in_silence(ue: UeUnderTest) -> None:
    """Every listen is answered with silence, for 1.7 s."""
    _asked(ue)
    _check_cadence(ue, for_s=1.7)


@case("ue/timing/listen-cadence-in-older-grids", clause="8.1.1", expect="the same cadence")
def listen_cadence_in_older_grids(ue: UeUnderTest) -> None:
    """Every listen is answered with the grid of an older epoch, for 1.7 s."""
    ue.on_air = (4, ue.samples())
    _asked(ue, epoch=5)
    _check_cadence(ue, for_s=1.7)


def _check_cadence(ue: UeUnderTest, *, for_s: float) -> None:
    """Check that no wait is longer than it may be, and that there are no more than the waits allow."""
    ue.expect_listen()
    began_s = ue.heard_listens_at_s[-1]
    ue.wait(for_s)
    times_s = [at_s for at_s in ue.heard_listens_at_s if at_s >= began_s]
    waits_s = [later - earlier for earlier, later in pairwise(times_s)]
    for place, wait_s in enumerate(waits_s):
        longest_s = CADENCE_S[min(place, len(CADENCE_S) - 1)]
        ue.rig.meter.require(wait_s, longest_s + TIMERS_S, f"listen number {place + 2}")
    if len(waits_s) < 4:
        raise NonconformityError(f"expected at least 5 times listen, got {len(times_s)}")
    ue.rig.meter.require_no_earlier(times_s[4] - times_s[0], sum(CADENCE_S[:4]) - 0.05, "the fifth listen")


@case("ue/timing/listen-ends-with-the-grid", clause="8.1.1", expect="no listen after it")
def listen_ends_with_the_grid(ue: UeUnderTest) -> None:
    """The grid of the epoch asked for is heard; nothing more is asked for."""
    ue.on_air = (1, ue.samples())
    _asked(ue)
    ue.expect("peak_report")
    ue.wait(0.1)
    ue.listens.clear()
    ue.wait(1.0)
    if ue.listens:
        raise NonconformityError(f"expected no listen after the grid, got {ue.listens[0].fields}")


@case(
    "ue/timing/listen-anew-for-a-newer-epoch",
    clause="8.1.1",
    also=("7.1.4",),
    expect="listen for the newer epoch at once",
)
def listen_anew(ue: UeUnderTest) -> None:
    """A newer request comes when the waits for the first have become long."""
    _asked(ue)
    ue.wait(1.0)
    ue.listens.clear()
    said_s = now_s()
    ue.ask("peak", epoch=2)
    listen = ue.expect_listen()
    while listen.fields["epoch"] != 2:
        listen = ue.expect_listen()
    ue.rig.meter.require(listen.at_s - said_s, TIMERS_S, "listen for the newer epoch")
    later = ue.expect_listen()
    ue.rig.meter.require(later.at_s - listen.at_s, CADENCE_S[0] + TIMERS_S, "listen again")


@case(
    "ue/session/listen-names-antenna-and-epoch",
    clause="8.1.1",
    also=("3.4.1",),
    expect="its name and the epoch asked for",
)
def listen_names_antenna_and_epoch(ue: UeUnderTest) -> None:
    """Epochs are asked for, one of them beyond 2^53."""
    ue.require_air()
    ue.open_session()
    for epoch in (7, 2**53 + 1):
        ue.ask("peak", epoch=epoch)
        listen = ue.expect_listen()
        while listen.fields["epoch"] != epoch:
            listen = ue.expect_listen()
        if listen.fields["ue"] != ue.rig.target.name:
            raise NonconformityError(f"expected the antenna of {ue.rig.target.name}, got {listen.fields}")


@case("ue/session/silence-then-a-grid", clause="8.1.1", also=("5.3.4",), expect="the report")
def silence_then_a_grid(ue: UeUnderTest) -> None:
    """Silence is all there is at first, with the epoch hoped for; then comes the grid."""
    _asked(ue)
    ue.silence_for(0.2)
    ue.on_air = (1, ue.samples())
    ue.expect("peak_report")


@case("ue/session/grid-that-comes-twice", clause="5.2.1", expect="one report")
def grid_that_comes_twice(ue: UeUnderTest) -> None:
    """Every listen is answered with three grids of the epoch, the last two of which have another peak."""
    ue.answers_listen = False
    _asked(ue)
    listen = ue.expect_listen()
    for samples in (ue.samples(), ue.samples(), ue.samples()):
        ue.answer_listen(listen, samples)
    ue.expect("peak_report")
    ue.silence_for(0.3)


@case("ue/session/grid-that-nobody-asked-for", clause="5.3.4", expect="no report")
def grid_that_nobody_asked_for(ue: UeUnderTest) -> None:
    """After its report grids of the same and of newer epochs come to the UE."""
    ue.answers_listen = False
    _asked(ue)
    listen = ue.expect_listen()
    ue.answer_listen(listen, ue.samples())
    ue.expect("peak_report")
    for epoch in (1, 2, 3):
        ue.answer_listen(listen, ue.samples(), epoch=epoch)
    ue.silence_for(0.3)
    ue.answers_listen = True
    ue.measure("peak", ue.samples(), epoch=4)


# --- what is no message on the air -----------------------------------------------------------------------------------


def _grid(samples: object, epoch: int = 1, **changes: object) -> list[bytes]:
    frames = frames_of(header("grid", {"epoch": epoch}), {"samples": np.asarray(samples)})
    if not changes:
        return frames
    listed = [["samples", "<c16", [len(frames[1]) // 16]]]
    return [packed({**header("grid", {"epoch": epoch}), "arrays": listed, **changes}), frames[1]]


def _damaged(ue: UeUnderTest) -> dict[str, list[bytes]]:
    samples, count = ue.samples(), ue.subcarriers
    broken = samples.copy()
    broken[3] = complex(float("nan"), 0.0)
    sound = _grid(samples)
    return {
        "garbage": [b"\xc1\xff\x00"],
        "empty": [b""],
        "no-array": sound[:1],
        "frame-too-short": [sound[0], sound[1][:-16]],
        "frame-too-many": [*sound, bytes(16)],
        "version-2": _grid(samples, v=2),
        "unknown-key": _grid(samples, extra=1),
        "unknown-type": _grid(samples, type="gird"),
        "float32-samples": [
            packed({**header("grid", {"epoch": 1}), "arrays": [["samples", "<c8", [count]]]}),
            samples.astype(np.complex64).tobytes(),
        ],
        "two-axes": _grid(samples, arrays=[["samples", "<c16", [1, count]]]),
        "not-a-number": _grid(broken),
        "epoch-0": _grid(samples, epoch=0),
        "epoch-as-float": _grid(samples, fields={"epoch": 1.0}),
        "with-a-number": _grid(samples, seq=1),
        "trailing-byte": [sound[0] + b"\x00", sound[1]],
    }


DAMAGES = (
    *("garbage", "empty", "no-array", "frame-too-short", "frame-too-many", "version-2", "unknown-key", "unknown-type"),
    *("float32-samples", "two-axes", "not-a-number", "epoch-0", "epoch-as-float", "with-a-number", "trailing-byte"),
)


def _drops(ue: UeUnderTest, damage: str) -> None:
    ue.answers_listen = False
    _asked(ue)
    listen = ue.expect_listen()
    ue.answer_listen_frames(listen, _damaged(ue)[damage])
    ue.silence_for(0.15)
    ue.on_air, ue.answers_listen = (1, _with_peak(ue)), True
    said = ue.expect("peak_report")
    if said.fields["subcarrier"] != 5:
        raise NonconformityError(f"expected the peak of the sound grid at 5, got {said.fields}")


def _with_peak(ue: UeUnderTest) -> np.ndarray[tuple[int], np.dtype[np.complex128]]:
    samples = ue.samples()
    samples[5] = 1e-2
    return samples


def _register(damage: str) -> None:
    text = f"Listen is answered with a grid that is damaged ({damage.replace('-', ' ')}), then with a sound one."

    def check(ue: UeUnderTest) -> None:
        _drops(ue, damage)

    check.__doc__ = text
    case(
        f"ue/framing/air-{damage}",
        clause="3.1.2" if damage in {"garbage", "empty"} else "5.3.4",
        expect="nothing on either link, then the report of the sound grid",
    )(check)


for _damage in DAMAGES:
    _register(_damage)


@case("ue/hostile/grid-of-another-size", clause="7.4.1", expect="no report with another number of values")
def grid_of_another_size(ue: UeUnderTest) -> None:
    """Grids come with fewer and with more samples than the testbed has subcarriers, then a sound one."""
    ue.require_kind("power")
    ue.require_air()
    ue.open_session()
    ue.answers_listen = False
    ue.ask("power", epoch=1)
    for count in (1, ue.subcarriers // 2, ue.subcarriers + 1):
        ue.answer_listen_frames(ue.expect_listen(), _grid(np.ones(count)))
    ue.on_air, ue.answers_listen = (1, ue.samples()), True
    said = ue.expect("power_report", "declined")
    if said.type == "power_report" and said.arrays["power_w"].shape != (ue.subcarriers,):
        raise NonconformityError(f"expected {ue.subcarriers} powers, got {said.arrays['power_w'].shape}")


@case("ue/hostile/garbage-on-the-air", clause="3.1.2", expect="nothing on either link, then the report")
def garbage_on_the_air(ue: UeUnderTest) -> None:
    """Three hundred messages of random bytes come on the air link, then the grid."""
    ue.answers_listen = False
    _asked(ue)
    listen = ue.expect_listen()
    for _ in range(300):
        random = ue.rig.random
        ue.answer_listen_frames(listen, [random.randbytes(random.randrange(64)) for _ in range(random.randrange(1, 7))])
    ue.silence_for(0.2)
    ue.on_air, ue.answers_listen = (1, ue.samples()), True
    ue.expect("peak_report")


@case(
    "ue/hostile/frame-too-large-on-the-air",
    clause="2.4.2",
    also=("8.1.2",),
    expect="the end of that connection, then listen on another, and the report",
)
def frame_too_large_on_the_air(ue: UeUnderTest) -> None:
    """Listen is answered with a frame beyond the largest legal one; who listens on another connection gets the grid."""
    ue.answers_listen = False
    _asked(ue)
    listen, until_s = ue.expect_listen(), now_s() + 3.0
    too_large = [_grid(ue.samples())[0], bytes(ue.rig.largest_frame_bytes + 1)]
    while ue.answer_listen_frames(listen, too_large):
        if now_s() >= until_s:
            raise NonconformityError("expected that the connection is dropped, but it is there after 3 s")
        ue.wait(0.05)
    ue.listens = [later for later in ue.listens if later.route != listen.route]
    try:
        later = ue.expect_listen(within_s=SOCKET_WITHIN_S)
    except NonconformityError as error:
        ue.rig.testee.restart()  # it would be deaf in all cases to come
        raise NonconformityError(error.text, "8.1.2") from error
    ue.answer_listen(later, ue.samples())
    ue.expect("peak_report")


@case("ue/faults/air-vanishes", clause="8.1.1", expect="the report when it is back")
def air_vanishes(ue: UeUnderTest) -> None:
    """The emulator's endpoint is gone for 0.5 s while the UE listens."""
    _asked(ue)
    ue.expect_listen()
    ue.drop_air()
    ue.wait(0.5)
    ue.open_air()
    ue.on_air = (1, ue.samples())
    ue.expect("peak_report", within_s=5.0)
