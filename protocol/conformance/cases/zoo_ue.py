"""What a UE remembers of a setting: each report by its epoch and its kind."""

import numpy as np

from protocol.conformance import reference
from protocol.conformance.case import NonconformityError, case
from protocol.conformance.drivers.ue import UeUnderTest


@case(
    "ue/session/kinds-of-one-epoch",
    clause="7.1.1",
    also=("5.2.1",),
    expect="a report of each kind, each again the same",
)
def kinds_of_one_epoch(ue: UeUnderTest) -> None:
    """One setting is measured in two kinds, and then again in both."""
    ue.open_session()
    samples = ue.samples()
    first = ue.measure("peak", samples, epoch=3)
    powers_w = ue.measure("power", samples, epoch=3).arrays["power_w"]
    if not np.allclose(powers_w, reference.powers_w(samples), rtol=1e-12, atol=0):
        raise NonconformityError("expected the powers of the setting, got others")
    again = ue.measure("peak", ue.samples(), epoch=3)
    if again.fields != first.fields:
        raise NonconformityError(f"expected {first.fields} again, got {again.fields}", "5.2.1")
