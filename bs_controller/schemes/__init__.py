"""The table of schemes: options as they stand in the testbed file, ``{scheme: cbs, angle_beams: 1}``, to a scheme.

One scheme a file; this module only names them.
"""

from bs_controller.schemes.backprojection import Backprojection, BackprojectionOptions
from bs_controller.schemes.calibration import CalibrationOptions, CalibrationSweeps
from bs_controller.schemes.cbs import Cbs, CbsOptions
from bs_controller.schemes.cbs_bt import CbsBt, CbsBtOptions
from bs_controller.schemes.likelihood import Likelihood, LikelihoodOptions
from bs_controller.schemes.likelihood_power import LikelihoodPower
from bs_controller.schemes.likelihood_unsynchronised import LikelihoodUnsynchronised
from bs_controller.schemes.music import Music, MusicOptions
from bs_controller.schemes.network import Network, NetworkOptions
from bs_controller.schemes.uplink_likelihood import UplinkLikelihood, UplinkLikelihoodOptions
from bs_controller.sweeps import Scheme
from protocol.testbed import TestbedFacts

__all__ = [
    "Backprojection",
    "BackprojectionOptions",
    "CalibrationOptions",
    "CalibrationSweeps",
    "Cbs",
    "CbsBt",
    "CbsBtOptions",
    "CbsOptions",
    "Likelihood",
    "LikelihoodOptions",
    "LikelihoodPower",
    "LikelihoodUnsynchronised",
    "Music",
    "MusicOptions",
    "Network",
    "NetworkOptions",
    "SchemeOptions",
    "UplinkLikelihood",
    "UplinkLikelihoodOptions",
    "scheme_from_options",
]

SchemeOptions = (
    CbsOptions
    | CbsBtOptions
    | LikelihoodOptions
    | NetworkOptions
    | BackprojectionOptions
    | MusicOptions
    | UplinkLikelihoodOptions
    | CalibrationOptions
)


def scheme_from_options(options: SchemeOptions, facts: TestbedFacts) -> Scheme:
    """Return the scheme that the options belong to.

    Raises
    ------
    ValueError
        If the options do not fit the testbed, e.g. groups that do not divide the subcarriers, or a model of another testbed.
    """
    match options:
        case CbsOptions() | CbsBtOptions() | LikelihoodOptions() | NetworkOptions():
            return _of_sweeps(options, facts)
        case BackprojectionOptions():
            return Backprojection(options=options, facts=facts)
        case MusicOptions():
            return Music(options=options, facts=facts)
        case UplinkLikelihoodOptions():
            return UplinkLikelihood(options=options, facts=facts)
        case CalibrationOptions():
            return CalibrationSweeps(options=options, facts=facts)


def _of_sweeps(options: CbsOptions | CbsBtOptions | LikelihoodOptions | NetworkOptions, facts: TestbedFacts) -> Scheme:
    match options:
        case CbsOptions():
            return Cbs(options=options, facts=facts)
        case CbsBtOptions():
            return CbsBt(options=options, facts=facts)
        case LikelihoodOptions():
            return _likelihood(options, facts)
        case NetworkOptions():
            return Network.loaded(options, facts)


def _likelihood(options: LikelihoodOptions, facts: TestbedFacts) -> Scheme:
    match options.model:
        case "coherent":
            return Likelihood(options=options, facts=facts)
        case "unsynchronised" | "unsynchronised_together":
            return LikelihoodUnsynchronised(options=options, facts=facts)
        case "power":
            return LikelihoodPower(options=options, facts=facts)
