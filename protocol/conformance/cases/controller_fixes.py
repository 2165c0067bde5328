"""Where controllers find the users that the kit has put somewhere: their settings, and what they make of the answers.

A controller of this project prints its records as lines of JSON; where others find users, the wire does not tell.
"""

import math
from collections.abc import Sequence

from protocol.conformance.case import InconclusiveError, NonconformityError, UnsupportedError, case
from protocol.conformance.drivers.controller import ControllerUnderTest
from protocol.conformance.drivers.site import Site

WITHIN_S = 10.0
FIXES = 4


def _check_fixes(controller: ControllerUnderTest, site: Site, asked: str) -> None:
    """Serve until some fixes were printed, and compare their angles with where the users are."""
    fixes: list[dict[str, object]] = []
    wanted = FIXES * len(site.ues)
    while len(fixes) < wanted and site.serve_until(lambda: _printed(controller, fixes), within_s=WITHIN_S):
        pass
    if not fixes:
        _explain(site, asked)
    tolerance_rad = 2.0 / controller.rig.shared.downlink.array.elements  # the width of a beam of the linear array
    for fix in fixes:
        ue, angle_rad = str(fix["ue"]), float(str(fix["angle_rad"]))
        if ue in site.ues and abs(angle_rad - site.places[ue].angle_rad) > tolerance_rad:
            known_deg, got_deg = math.degrees(site.places[ue].angle_rad), math.degrees(angle_rad)
            text = f"expected {ue} at {known_deg:.1f} deg, within {math.degrees(tolerance_rad):.1f} deg, got {got_deg:.1f} deg"
            raise NonconformityError(f"{text} from {fix.get('scheme')}")


def _printed(controller: ControllerUnderTest, fixes: list[dict[str, object]]) -> bool:
    new = [record for record in controller.records() if record.get("kind") == "fix"]
    fixes += new
    return bool(new)


def _explain(site: Site, asked: str) -> None:
    if not site.count(asked):
        raise UnsupportedError(f"the controller does not ask for {asked} here")
    if site.controller.rig.meter.worst_s > WITHIN_S / 10:
        raise InconclusiveError("no fix was printed, on a machine that is too slow")
    raise UnsupportedError("the controller prints no fix as a line of JSON on standard output")


def _check_sweeps(controller: ControllerUnderTest, kinds: Sequence[str], **front_end: float) -> None:
    site = Site(controller, {"ue-1": kinds, "ue-2": kinds}, **front_end)
    site.declines.add("capture")
    _check_fixes(controller, site.open(), "measure")


@case("controller/numerics/fixes-by-peaks", clause="6.2", also=("7.2",), expect="the angles at which the users are")
def fixes_by_peaks(controller: ControllerUnderTest) -> None:
    """Two UEs at known places report peaks of what the settings make them receive."""
    _check_sweeps(controller, ["peak"])


@case("controller/numerics/fixes-by-groups", clause="6.2", also=("7.3",), expect="the angles at which the users are")
def fixes_by_groups(controller: ControllerUnderTest) -> None:
    """Two UEs at known places report peaks and groups."""
    _check_sweeps(controller, ["peak", "group"])


@case("controller/numerics/fixes-by-samples", clause="6.2", also=("7.5",), expect="the angles at which the users are")
def fixes_by_samples(controller: ControllerUnderTest) -> None:
    """Two UEs at known places report samples."""
    _check_sweeps(controller, ["complex"])


@case("controller/numerics/fixes-with-coarse-steps", clause="6.2", expect="the angles at which the users are")
def fixes_with_coarse_steps(controller: ControllerUnderTest) -> None:
    """The front end has 4 phase bits, delays in steps of 10 ps, and one group in a pilot."""
    _check_sweeps(controller, ["peak"], groups=1, phase_bits=4, delay_step_s=10e-12)


@case("controller/numerics/fixes-by-snapshots", clause="6.4", expect="the angles at which the users are")
def fixes_by_snapshots(controller: ControllerUnderTest) -> None:
    """Two UEs at known places are heard by the uplink array alone; they report in no kind."""
    site = Site(controller, {"ue-1": [], "ue-2": []}).open()
    _check_fixes(controller, site, "capture")
