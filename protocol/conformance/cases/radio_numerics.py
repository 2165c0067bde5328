"""What users hear of a setting, against slow and obvious maths: a delay and a phase common to all elements are free."""

from itertools import permutations

import numpy as np

from protocol.conformance import reference_radio
from protocol.conformance.case import NonconformityError, UnsupportedError, case
from protocol.conformance.drivers.radio import RadioUnderTest, Samples
from protocol.conformance.reference_radio import Setting
from protocol.conformance.scene import Place, places

ALIKE = 0.9995  # a gain that falls with the frequency over 6 GHz at 100 GHz costs 1.5e-4; a phase step of 1/16 cut off, 0.02
SAME_OF_RMS = 0.01  # faint noise moves the worst of 128 samples by half of it
FOCUS = 3.0  # times the amplitude elsewhere; asked of front ends that should have twice as much
FLAT_OF_RMS = 0.1  # a gain that falls with the frequency over 6 GHz at 100 GHz costs 0.03
PATIENT_S = 30.0  # for reference maths of large testbeds, during which the kit does not beat


def _opened(radio: RadioUnderTest) -> dict[str, Place]:
    """Open a session with a radio whose users' places are known, and return them."""
    radio.require_air()
    known = places(radio.rig.scene)
    radio.open_session(liveness_s=PATIENT_S)
    return known


def _heard(radio: RadioUnderTest, setting: Setting, ue: str, groups_per_pilot: int = 1) -> Samples:
    """Put a setting on the air and return what a user hears, ``(subcarrier,)``."""
    ready = radio.put_on_air(*setting, groups_per_pilot=groups_per_pilot)
    return radio.hear(ue, ready.integer("epoch"))


def _require_alike(got: Samples, wanted: Samples, what: str) -> None:
    likeness = reference_radio.likeness(got, wanted)
    if likeness < ALIKE:
        opposite = reference_radio.likeness(np.conj(got), wanted)
        text = f"expected what {what} receives, got a likeness of {likeness:.4f}"
        raise NonconformityError(f"{text}; of the conjugate, {opposite:.4f}", "6.2.1")


def _require_reference(radio: RadioUnderTest, setting: Setting, groups_per_pilot: int = 1) -> None:
    """Compare what each user hears of a setting with the nearest setting that the front end can have."""
    known = _opened(radio)
    epoch = radio.put_on_air(*setting, groups_per_pilot=groups_per_pilot).integer("epoch")
    got = {ue: radio.hear(ue, epoch) for ue in known}
    applied, facts = reference_radio.nearest(setting, radio.front_end), radio.rig.shared
    for ue, place in known.items():
        wanted = reference_radio.sweep(applied, place, facts.downlink, facts.speed_of_light_m_s)
        _require_alike(got[ue], wanted, ue)


@case("radio/numerics/random-setting", clause="6.2.1", also=("8.2.1",), expect="y of 6.2, of the nearest setting")
def random_setting(radio: RadioUnderTest) -> None:
    """A random setting is on the air, and users at known places listen."""
    _require_reference(radio, radio.setting())


@case("radio/numerics/phases-alone", clause="6.2.1", expect="y of 6.2: a phase turns backwards, the same everywhere")
def phases_alone(radio: RadioUnderTest) -> None:
    """Random phases without delays are on the air."""
    phase_cycles, delay_s = radio.setting()
    _require_reference(radio, (phase_cycles, np.zeros_like(delay_s)))


@case("radio/numerics/delays-alone", clause="6.2.1", expect="y of 6.2: a delay turns backwards with f_m - f_0")
def delays_alone(radio: RadioUnderTest) -> None:
    """Random delays without phases are on the air."""
    phase_cycles, delay_s = radio.setting()
    _require_reference(radio, (np.zeros_like(phase_cycles), delay_s))


@case("radio/numerics/random-groups", clause="6.2.1", also=("8.2.1",), expect="y of 6.2, all pilots put together")
def random_groups(radio: RadioUnderTest) -> None:
    """A random setting of eight groups is on the air, in three pilots where the front end can: f_0 is that of the grid."""
    _require_reference(radio, radio.setting(radio.groups_near(8)), groups_per_pilot=3)


@case("radio/numerics/group-for-each-subcarrier", clause="6.2.1", expect="y of 6.2")
def group_for_each_subcarrier(radio: RadioUnderTest) -> None:
    """Each subcarrier has a setting of its own."""
    _require_reference(radio, radio.setting(radio.groups_near(min(radio.subcarriers, 4096))), groups_per_pilot=65536)


@case("radio/numerics/groups-are-independent", clause="6.2.1", expect="on its subcarriers, each group's own setting")
def groups_are_independent(radio: RadioUnderTest) -> None:
    """Two settings are on the air one after the other, and then as two groups of one: no place need be known."""
    radio.require_air()
    if radio.subcarriers % 2:
        raise UnsupportedError(f"{radio.subcarriers} subcarriers cannot be cut into two groups")
    radio.open_session()
    settings = [radio.setting() for _ in range(2)]
    alone = [_heard(radio, setting, radio.ue) for setting in settings]
    joined = np.vstack([setting[0] for setting in settings]), np.vstack([setting[1] for setting in settings])
    together, half = _heard(radio, joined, radio.ue), radio.subcarriers // 2
    for group, samples in enumerate(alone):
        part = slice(group * half, (group + 1) * half)
        _require_alike(together[part], samples[part], f"group {group} alone")


@case("radio/numerics/common-phase", clause="6.2.1", expect="the same amplitudes")
def common_phase(radio: RadioUnderTest) -> None:
    """A setting is on the air, then the same with three eighths of a cycle more in all phases."""
    _require_same_amplitudes(radio, more_cycles=0.375, more_steps=0)


@case("radio/numerics/common-delay", clause="6.2.1", expect="the same amplitudes")
def common_delay(radio: RadioUnderTest) -> None:
    """A setting is on the air, then the same with delays that are all longer by the same steps."""
    _require_same_amplitudes(radio, more_cycles=0.0, more_steps=7)


def _require_same_amplitudes(radio: RadioUnderTest, *, more_cycles: float, more_steps: int) -> None:
    radio.require_air()
    radio.open_session()
    phase_cycles, delay_s = reference_radio.nearest(radio.setting(), radio.front_end)
    step_s = radio.front_end["delay_step_s"] or radio.front_end["delay_span_s"] / 1000
    phase_step_cycles = 2.0 ** -radio.front_end["phase_bits"]
    if radio.front_end["phase_bits"]:
        more_cycles = np.ceil(more_cycles / phase_step_cycles) * phase_step_cycles
    delay_s = np.minimum(delay_s, delay_s.max() - more_steps * step_s)
    before = _heard(radio, (phase_cycles, delay_s), radio.ue)
    after = _heard(radio, (phase_cycles + more_cycles, delay_s + more_steps * step_s), radio.ue)
    worst = float(np.max(np.abs(np.abs(after) - np.abs(before))))
    rms = float(np.sqrt(np.mean(np.abs(before) ** 2)))
    if worst > SAME_OF_RMS * rms:
        raise NonconformityError(f"expected the same amplitudes, got one that is {worst / rms:.3f} of their rms off")


def _focused(radio: RadioUnderTest, place: Place, sign: int = 1) -> Setting:
    """Return the setting that focuses on a place; with `sign` -1 what a wrong sign of all delays would take for it."""
    facts = radio.rig.shared
    tau_s = sign * reference_radio.element_delays_s(place, facts.downlink, facts.speed_of_light_m_s)
    phase_cycles = facts.downlink.grid.first_hz * tau_s % 1.0
    return phase_cycles[np.newaxis], (tau_s - tau_s.min())[np.newaxis]


def _require_focus(radio: RadioUnderTest, ue: str, place: Place, wrong: Setting) -> None:
    """Check that the setting for a user's place is the better one there, as far as the front end can tell them apart."""
    facts, settings = radio.rig.shared, (_focused(radio, place), wrong)
    applied = [reference_radio.nearest(setting, radio.front_end) for setting in settings]
    sweeps = [reference_radio.sweep(item, place, facts.downlink, facts.speed_of_light_m_s) for item in applied]
    wanted = _rms(sweeps[0]) / _rms(sweeps[1])
    if wanted < 2 * FOCUS:
        raise UnsupportedError(f"the front end is too coarse, or the places too near: {wanted:.1f} times the amplitude")
    got = [_rms(_heard(radio, setting, ue)) for setting in settings]
    if got[0] < FOCUS * got[1]:
        raise NonconformityError(f"expected {wanted:.1f} times the amplitude at {ue}, got {got[0] / got[1]:.2f} times")


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.abs(samples) ** 2)))


@case("radio/numerics/focus", clause="6.2.1", expect="at least three times the amplitude of a focus elsewhere")
def focus(radio: RadioUnderTest) -> None:
    """Delays and phases equal to those of a user's line of sight are on the air, then those of another user."""
    known = _opened(radio)
    if len(known) < 2:
        raise UnsupportedError("the testbed's scene has one user alone")
    for (ue, place), (_, other) in permutations(known.items(), 2):
        _require_focus(radio, ue, place, _focused(radio, other))


@case("radio/numerics/focus-of-the-wrong-sign", clause="6.2.1", expect="delays of tau focus, delays of -tau do not")
def focus_of_the_wrong_sign(radio: RadioUnderTest) -> None:
    """Delays and phases equal to those of a user's line of sight are on the air, then their negatives."""
    for ue, place in _opened(radio).items():
        _require_focus(radio, ue, place, _focused(radio, place, sign=-1))


@case("radio/numerics/flat-focus", clause="6.2.1", expect="all elements in phase on every subcarrier")
def flat_focus(radio: RadioUnderTest) -> None:
    """Delays and phases of a user's line of sight are on the air: the sweep has the amplitudes of the nearest setting."""
    facts = radio.rig.shared
    for ue, place in _opened(radio).items():
        setting = _focused(radio, place)
        applied = reference_radio.nearest(setting, radio.front_end)
        wanted = np.abs(reference_radio.sweep(applied, place, facts.downlink, facts.speed_of_light_m_s))
        got = np.abs(_heard(radio, setting, ue))
        worst = float(np.max(np.abs(got / _rms(got) - wanted / _rms(wanted))))
        if worst > FLAT_OF_RMS:
            raise NonconformityError(f"expected a flat sweep in the focus at {ue}, got {worst:.2f} of the rms amiss")
