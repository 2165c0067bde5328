"""What a UE reports of a received grid, against slow and obvious maths."""

import numpy as np

from protocol.conformance import reference
from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.ue import UeUnderTest


@case("ue/numerics/peak", clause="7.2.1", also=("7.1.1", "5.1.4"), expect="the index of the largest amplitude")
def peak(ue: UeUnderTest) -> None:
    """A random grid is measured, then one whose two best subcarriers differ by 1e-12, which float32 cannot tell."""
    ue.open_session()
    close = ue.samples() / 10
    close[7], close[40] = 1e-5, 1e-5 * (1 + 1e-12)
    for samples in (ue.samples(), close):
        report = ue.measure("peak", samples)
        _require_equal(report.fields["subcarrier"], reference.strongest(samples))


@case("ue/numerics/group", clause="7.3.1", expect="the index of the group with the largest sum of amplitudes")
def group(ue: UeUnderTest) -> None:
    """A random grid is measured in eight groups."""
    ue.open_session()
    samples = ue.samples()
    report = ue.measure("group", samples, groups=8)
    _require_equal(report.fields["group"], reference.strongest_group(samples, 8))


@case("ue/numerics/power", clause="7.4.1", expect="the power of every subcarrier to 1e-12 of each")
def power(ue: UeUnderTest) -> None:
    """A random grid is measured."""
    ue.open_session()
    samples = ue.samples()
    got, wanted = ue.measure("power", samples).arrays["power_w"], reference.powers_w(samples)
    _require_equal(got.shape, wanted.shape)
    worst = float(np.max(np.abs(got / wanted - 1)))
    if not worst <= 1e-12:
        raise NonconformityError(f"expected powers to 1e-12 of each, got one that is {worst:g} off")


@case("ue/numerics/complex", clause="7.5.1", expect="every sample as float32 rounds it")
def complex_samples(ue: UeUnderTest) -> None:
    """A random grid is measured."""
    ue.open_session()
    samples = ue.samples()
    got, wanted = ue.measure("complex", samples).arrays["samples"], reference.rounded(samples)
    _require_equal(got.shape, wanted.shape)
    if got.tobytes() != wanted.tobytes():
        worst = float(np.max(np.abs(got - wanted)))
        raise NonconformityError(f"expected samples as float32 rounds each part, got some that are {worst:g} off")


def _require_equal(got: object, wanted: object) -> None:
    if got != wanted:
        raise NonconformityError(f"expected {wanted}, got {got}")
