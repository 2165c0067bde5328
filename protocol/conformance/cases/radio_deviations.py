"""How far what a radio applies is from what it was asked for, as `ready` says: steps are counted from phase and delay 0."""

import numpy as np

from protocol.conformance import reference_radio
from protocol.conformance.case import NonconformityError, UnsupportedError, case
from protocol.conformance.drivers.radio import RadioUnderTest
from protocol.conformance.reference_radio import Setting

EXACT_CYCLES = 1e-6  # a front end may reckon in float32
EXACT_OF_SPAN = 1e-6


def _require_deviations(radio: RadioUnderTest, setting: Setting) -> None:
    """Put a setting on the air and compare what `ready` says with the nearest setting."""
    ready = radio.put_on_air(*setting)
    wanted = reference_radio.deviations(setting, radio.front_end)
    exact = (EXACT_CYCLES, EXACT_OF_SPAN * radio.front_end["delay_span_s"])
    for name, value, bound in zip(("phase_deviation_cycles", "delay_deviation_s"), wanted, exact, strict=True):
        got = ready.fields[name]
        assert isinstance(got, int | float)  # noqa: S101 - the schema was checked
        if abs(got - value) > bound:
            raise NonconformityError(f"expected {name} {value:g}, got {got:g}", "6.2.3")


def _phase_step_cycles(radio: RadioUnderTest) -> float:
    """Return the step of the phases; 1/16 if they are continuous, so that every case can be asked."""
    return float(2.0 ** -(radio.front_end["phase_bits"] or 4))


def _on_steps(radio: RadioUnderTest, groups: int = 1) -> Setting:
    """Return a random setting that the front end can have exactly, or to rounding if it is continuous."""
    return reference_radio.nearest(radio.setting(groups), radio.front_end)


@case("radio/numerics/deviations", clause="6.2.3", also=("6.2.1",), expect="the largest deviations from the nearest")
def deviations(radio: RadioUnderTest) -> None:
    """Random settings of one and of four groups are asked for."""
    radio.open_session()
    for groups in (1, radio.groups_near(4)):
        _require_deviations(radio, radio.setting(groups))


@case("radio/numerics/no-deviations", clause="6.2.3", expect="deviations of 0")
def no_deviations(radio: RadioUnderTest) -> None:
    """A setting is asked for that the front end can have as it is."""
    radio.open_session()
    _require_deviations(radio, _on_steps(radio))


@case("radio/numerics/deviation-of-one", clause="6.2.3", expect="the deviation of the one element, not a mean")
def deviation_of_one(radio: RadioUnderTest) -> None:
    """All is as the front end can have it but for the last element of the last group, 0.4 steps off."""
    radio.open_session()
    phase_cycles, delay_s = _on_steps(radio, radio.groups_near(4))
    phase_cycles[-1, -1] += 0.4 * _phase_step_cycles(radio)
    delay_s[-1, -1] = 0.4 * radio.front_end["delay_step_s"]
    _require_deviations(radio, (phase_cycles, delay_s))


@case("radio/numerics/whole-cycles", clause="6.2.3", expect="deviations modulo whole cycles")
def whole_cycles(radio: RadioUnderTest) -> None:
    """Phases are asked for that are whole cycles more or less than what the front end can have."""
    radio.open_session()
    phase_cycles, delay_s = _on_steps(radio)
    phase_cycles += np.array([[radio.rig.random.randint(-1000, 1000) for _ in range(radio.elements)]])
    _require_deviations(radio, (phase_cycles, delay_s))


@case("radio/numerics/phase-just-below-a-cycle", clause="6.2.1", also=("6.2.3",), expect="phase 0, the nearest")
def phase_just_below_a_cycle(radio: RadioUnderTest) -> None:
    """A quarter of a step is missing to a whole cycle: the nearest phase is 0, not the last step."""
    radio.open_session()
    phase_cycles, delay_s = _on_steps(radio)
    phase_cycles[0, 0] = 1 - _phase_step_cycles(radio) / 4
    _require_deviations(radio, (phase_cycles, delay_s))


@case("radio/numerics/ends-of-the-span", clause="6.2.1", also=("6.2.3",), expect="the nearest delays of the span")
def ends_of_the_span(radio: RadioUnderTest) -> None:
    """Delays of 0 and of delay_span_s are asked for, and some just within."""
    radio.open_session()
    phase_cycles, delay_s = _on_steps(radio)
    span_s, step_s = radio.front_end["delay_span_s"], radio.front_end["delay_step_s"]
    _require_deviations(radio, (phase_cycles, np.where(np.arange(radio.elements) % 2, span_s, 0.0)[np.newaxis]))
    delay_s[0, :2] = span_s - 0.3 * step_s, 0.3 * step_s
    _require_deviations(radio, (phase_cycles, delay_s))


@case("radio/numerics/continuous-phases", clause="6.2.3", also=("6.2.1",), expect="a phase deviation of 0")
def continuous_phases(radio: RadioUnderTest) -> None:
    """Random phases are asked for, where phase_bits is 0."""
    if radio.front_end["phase_bits"]:
        raise UnsupportedError(f"the radio advertises phases of {radio.front_end['phase_bits']:.0f} bits")
    radio.open_session()
    _require_deviations(radio, radio.setting())


@case("radio/numerics/continuous-delays", clause="6.2.3", also=("6.2.1",), expect="a delay deviation of 0")
def continuous_delays(radio: RadioUnderTest) -> None:
    """Random delays are asked for, where delay_step_s is 0."""
    if radio.front_end["delay_step_s"]:
        raise UnsupportedError(f"the radio advertises delays in steps of {radio.front_end['delay_step_s']:g} s")
    radio.open_session()
    _require_deviations(radio, radio.setting())
