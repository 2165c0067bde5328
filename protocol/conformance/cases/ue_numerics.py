"""What a UE reports of a received grid, against slow and obvious maths: random samples and samples chosen to mislead."""

import numpy as np
import numpy.typing as npt

from protocol.conformance import reference
from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.ue import UeUnderTest

ComplexArray = npt.NDArray[np.complex128]
FULL_FLOAT32 = 3.5e38  # beyond the largest float32


# --- peak ------------------------------------------------------------------------------------------------------------


@case("ue/numerics/peak", clause="7.2.1", also=("7.1.1", "5.1.4"), expect="the index of the largest amplitude")
def peak(ue: UeUnderTest) -> None:
    """Ten random grids are measured."""
    ue.open_session()
    for _ in range(10):
        _check_peak(ue, ue.samples())


@case("ue/numerics/peak-by-a-hair", clause="7.2.1", expect="the larger one, which float32 cannot tell")
def peak_by_a_hair(ue: UeUnderTest) -> None:
    """The two best subcarriers of ten grids differ by 1e-8 to 1e-12 of their amplitude, at random places and phases."""
    ue.open_session()
    for exponent in (-8, -8, -8, -9, -9, -10, -10, -11, -12, -12):
        samples = ue.samples() / 10
        best, second = ue.rig.random.sample(range(ue.subcarriers), 2)
        samples[second] = 1e-5 * _turned(ue)
        samples[best] = 1e-5 * (1 + 10.0**exponent) * _turned(ue)
        _check_peak(ue, samples)


@case("ue/numerics/peak-of-equals", clause="7.2.1", expect="the lowest index")
def peak_of_equals(ue: UeUnderTest) -> None:
    """Three subcarriers have the same amplitude in other quadrants; then all have it."""
    ue.open_session()
    samples = ue.samples() * 1e-3
    first, second, third = sorted(ue.rig.random.sample(range(1, ue.subcarriers), 3))
    samples[first], samples[second], samples[third] = 3e-5 + 4e-5j, 4e-5 - 3e-5j, -3e-5 - 4e-5j
    _check_peak(ue, samples)
    _check_peak(ue, np.full(ue.subcarriers, 1e-6 - 1e-6j))


@case("ue/numerics/peak-at-the-edges", clause="7.2.1", expect="the first and the last subcarrier")
def peak_at_the_edges(ue: UeUnderTest) -> None:
    """The strongest subcarrier is the first of the grid, then the last."""
    ue.open_session()
    for edge in (0, -1):
        samples = ue.samples()
        samples[edge] = 1e-3j
        _check_peak(ue, samples)


@case("ue/numerics/peak-by-amplitude", clause="7.2.1", expect="the largest amplitude, not the largest part")
def peak_by_amplitude(ue: UeUnderTest) -> None:
    """The largest real part, the largest imaginary part, the largest sum of parts and the largest amplitude differ."""
    ue.open_session()
    samples = ue.samples() * 1e-3
    places = ue.rig.random.sample(range(ue.subcarriers), 4)
    samples[places] = np.array([1e-5, 1.02e-5j, 0.74e-5 + 0.74e-5j, -0.3e-5 - 1.01e-5j])
    _check_peak(ue, samples)


@case("ue/numerics/peak-of-silence", clause="7.2.1", expect="index 0")
def peak_of_silence(ue: UeUnderTest) -> None:
    """All samples are zero, some of them negative zero."""
    ue.open_session()
    samples = np.zeros(ue.subcarriers, dtype=np.complex128)
    samples[::3] = complex(-0.0, -0.0)
    _check_peak(ue, samples)


@case("ue/numerics/peak-of-whispers", clause="7.2.1", expect="the largest amplitude, whose power underflows")
def peak_of_whispers(ue: UeUnderTest) -> None:
    """Amplitudes are about 1e-170 and about 1e-310, where float64 is denormal and float32 is zero."""
    ue.open_session()
    for scale in (1e-170, 1e-310):
        samples = scale * ue.samples() / 1e-6
        samples[ue.rig.random.randrange(ue.subcarriers)] = 9 * scale
        _check_peak(ue, samples)


@case("ue/numerics/peak-of-thunder", clause="7.2.1", expect="the largest amplitude, whose power overflows")
def peak_of_thunder(ue: UeUnderTest) -> None:
    """Amplitudes are about 1e200, beyond float32, whose squares are beyond float64."""
    ue.open_session()
    samples = 1e200 * ue.samples() / 1e-6
    samples[ue.rig.random.randrange(ue.subcarriers)] = 9e200j
    _check_peak(ue, samples)


def _check_peak(ue: UeUnderTest, samples: ComplexArray) -> None:
    report = ue.measure("peak", samples)
    require_equal(report.fields["subcarrier"], reference.strongest(samples))


def _turned(ue: UeUnderTest) -> complex:
    """Return a number of amplitude 1."""
    return complex(np.exp(2j * np.pi * ue.rig.random.random()))


# --- group -----------------------------------------------------------------------------------------------------------


@case("ue/numerics/group", clause="7.3.1", also=("7.1.1",), expect="the group with the largest sum of amplitudes")
def group(ue: UeUnderTest) -> None:
    """A random grid is measured in each number of groups that divides its subcarriers."""
    ue.open_session()
    for groups in (count for count in range(1, ue.subcarriers + 1) if ue.subcarriers % count == 0):
        _check_group(ue, ue.samples(), groups)


@case("ue/numerics/group-by-a-hair", clause="7.3.1", expect="the larger sum, which float32 cannot tell")
def group_by_a_hair(ue: UeUnderTest) -> None:
    """The sums of two groups of amplitudes differ by 1e-8 to 1e-10, in ten grids."""
    ue.open_session()
    groups = _some_groups(ue)
    size = ue.subcarriers // groups
    for exponent in (-8, -8, -8, -8, -9, -9, -9, -10, -10, -10):
        samples = ue.samples() / 10
        best, second = ue.rig.random.sample(range(groups), 2)
        turns = np.array([_turned(ue) for _ in range(size)])
        samples[second * size : (second + 1) * size] = 1e-5 * turns
        samples[best * size : (best + 1) * size] = 1e-5 * (1 + 10.0**exponent) * turns[::-1]
        _check_group(ue, samples, groups)


@case("ue/numerics/group-of-equals", clause="7.3.1", expect="the lowest index")
def group_of_equals(ue: UeUnderTest) -> None:
    """Two groups have the same amplitudes in other places, whole numbers whose sums are exact; then all groups have them."""
    ue.open_session()
    groups = _some_groups(ue)
    size = ue.subcarriers // groups
    samples = np.ones(ue.subcarriers, dtype=np.complex128)
    first, second = sorted(ue.rig.random.sample(range(1, groups), 2))
    samples[first * size], samples[second * size + size - 1] = 3 + 4j, -5
    _check_group(ue, samples, groups)
    _check_group(ue, np.ones(ue.subcarriers, dtype=np.complex128), groups)


@case("ue/numerics/group-by-amplitudes", clause="7.3.1", expect="sums of amplitudes, not of powers or of samples")
def group_by_amplitudes(ue: UeUnderTest) -> None:
    """One group has the largest sample and the largest power, one the largest sum of samples, one that of amplitudes."""
    ue.open_session()
    groups = _some_groups(ue)
    size = ue.subcarriers // groups
    samples = np.zeros(ue.subcarriers, dtype=np.complex128)
    powerful, aligned, alternating = ue.rig.random.sample(range(groups), 3)
    samples[powerful * size] = 0.9e-6 * size
    samples[aligned * size : (aligned + 1) * size] = 1e-6
    samples[alternating * size : (alternating + 1) * size] = 1.1e-6 * (-1) ** np.arange(size)
    _check_group(ue, samples, groups)


@case("ue/numerics/group-at-the-borders", clause="7.3.1", expect="the group that the subcarrier is in")
def group_at_the_borders(ue: UeUnderTest) -> None:
    """The only sample that is not zero is the last of a group, then the first of the next."""
    ue.open_session()
    groups = _some_groups(ue)
    border = ue.subcarriers // groups * ue.rig.random.randrange(1, groups)
    for place in (border - 1, border):
        samples = np.zeros(ue.subcarriers, dtype=np.complex128)
        samples[place] = -1e-6j
        _check_group(ue, samples, groups)


@case(
    "ue/numerics/group-of-whispers-and-thunder", clause="7.3.1", expect="the group with the largest sum of amplitudes"
)
def group_of_whispers_and_thunder(ue: UeUnderTest) -> None:
    """Amplitudes are about 1e-170, then about 1e200: their squares are beyond float64, and they beyond float32."""
    ue.open_session()
    groups = _some_groups(ue)
    for scale in (1e-170, 1e200):
        samples = scale * ue.samples() / 1e-6
        samples[ue.rig.random.randrange(ue.subcarriers)] = 100 * scale
        _check_group(ue, samples, groups)


def _check_group(ue: UeUnderTest, samples: ComplexArray, groups: int) -> None:
    report = ue.measure("group", samples, groups=groups)
    require_equal(report.fields["group"], reference.strongest_group(samples, groups))


def _some_groups(ue: UeUnderTest) -> int:
    """Return a number of groups, at least 3, of at least 2 subcarriers each if the grid allows."""
    divisors = [count for count in range(3, ue.subcarriers + 1) if ue.subcarriers % count == 0]
    return divisors[(len(divisors) - 1) // 2]


# --- power -----------------------------------------------------------------------------------------------------------


@case("ue/numerics/power", clause="7.4.1", also=("7.1.1",), expect="the power of every subcarrier to 1e-12 of each")
def power(ue: UeUnderTest) -> None:
    """Three random grids are measured."""
    ue.open_session()
    for _ in range(3):
        _check_power(ue, ue.samples())


@case("ue/numerics/power-of-all-sizes", clause="7.4.1", expect="every power to 1e-12 of itself")
def power_of_all_sizes(ue: UeUnderTest) -> None:
    """Amplitudes range from 1e-140 to 1e140 in one grid, far beyond float32, with zeros among them."""
    ue.open_session()
    exponents = [ue.rig.random.uniform(-140, 140) for _ in range(ue.subcarriers)]
    samples = ue.samples() / 1e-6 * 10.0 ** np.array(exponents)
    samples[:: max(2, ue.subcarriers // 5)] = 0
    _check_power(ue, samples)


@case("ue/numerics/power-of-unequal-parts", clause="7.4.1", expect="every power to 1e-12 of itself")
def power_of_unequal_parts(ue: UeUnderTest) -> None:
    """Real and imaginary parts differ by up to eight orders, one of them is zero or negative."""
    ue.open_session()
    samples = ue.samples()
    samples.real[::4] *= 1e-8
    samples.imag[1::4] *= 1e-8
    samples.imag[2::4] = 0
    _check_power(ue, samples)


def _check_power(ue: UeUnderTest, samples: ComplexArray) -> None:
    got, wanted = ue.measure("power", samples).arrays["power_w"], reference.powers_w(samples)
    require_equal(got.shape, wanted.shape)
    off = np.abs(got - wanted) > 1e-12 * wanted
    if off.any():
        place = int(np.argmax(off))
        raise NonconformityError(f"expected {wanted[place]!r} W at subcarrier {place}, got {got[place]!r} W")


# --- complex ---------------------------------------------------------------------------------------------------------


@case("ue/numerics/complex", clause="7.5.1", also=("7.1.1",), expect="every sample as float32 rounds it")
def complex_samples(ue: UeUnderTest) -> None:
    """Three random grids are measured."""
    ue.open_session()
    for _ in range(3):
        _check_complex(ue, ue.samples())


@case("ue/numerics/complex-halfway", clause="7.5.1", expect="the even one of two neighbours")
def complex_halfway(ue: UeUnderTest) -> None:
    """Parts lie halfway between two float32, and a hair above and below."""
    ue.open_session()
    odd = np.array([1 + (2 * ue.rig.random.randrange(2**20) + 1) * 2.0**-24 for _ in range(ue.subcarriers)])
    samples = np.where(np.arange(ue.subcarriers) % 2, -odd, odd) + 1j * odd[::-1]
    samples[::3] *= 1 + 2.0**-50
    samples[1::3] *= 1 - 2.0**-50
    _check_complex(ue, samples)


@case("ue/numerics/complex-of-all-sizes", clause="7.5.1", expect="denormals and zeros as float32 rounds them")
def complex_of_all_sizes(ue: UeUnderTest) -> None:
    """Amplitudes range from 1e-50, which float32 rounds to zero, over its denormals to 1e37."""
    ue.open_session()
    exponents = [ue.rig.random.choice((-50, -45, -44, -42, -40, -38, -20, 0, 20, 36)) for _ in range(ue.subcarriers)]
    _check_complex(ue, ue.samples() / 1e-6 * 10.0 ** np.array(exponents))


def _check_complex(ue: UeUnderTest, samples: ComplexArray) -> None:
    got, wanted = ue.measure("complex", samples).arrays["samples"], reference.rounded(samples)
    require_equal(got.shape, wanted.shape)
    off = got != wanted
    if off.any():
        place = int(np.argmax(off))
        text = f"expected {wanted[place]!r} at subcarrier {place}, as float32 rounds each part, got {got[place]!r}"
        raise NonconformityError(text)


# --- what no report can hold -----------------------------------------------------------------------------------------


@case("ue/numerics/power-beyond-float64", clause="5.4.1", also=("3.9.1",), expect="declined, and the session goes on")
def power_beyond_float64(ue: UeUnderTest) -> None:
    """The square of one amplitude is beyond float64, so that no report can hold it."""
    _expect_declined(ue, "power", 1e200)


@case("ue/numerics/complex-beyond-float32", clause="5.4.1", also=("3.9.1",), expect="declined, and the session goes on")
def complex_beyond_float32(ue: UeUnderTest) -> None:
    """One part is beyond float32, so that no report can hold it."""
    _expect_declined(ue, "complex", FULL_FLOAT32)


def _expect_declined(ue: UeUnderTest, kind: str, amplitude: float) -> None:
    ue.require_kind(kind)
    ue.require_air()
    ue.open_session()
    samples = ue.samples()
    samples[ue.rig.random.randrange(ue.subcarriers)] = amplitude
    epoch = ue.next_epoch()
    ue.on_air = (epoch, samples)
    ue.ask(kind, epoch=epoch)
    require_equal(ue.expect("declined").fields["epoch"], epoch)
    ue.measure(kind, ue.samples())


def require_equal(got: object, wanted: object) -> None:
    """Check that what was reported is what the reference has."""
    if got != wanted:
        raise NonconformityError(f"expected {wanted}, got {got}")
