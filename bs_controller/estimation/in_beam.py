"""How far an echo within the line of sight's own beam pulls a fix: two paths fitted to what the elements hear.

Where the directions differ by less than a beam or two, and the delays by less than the band resolves, one path is fitted to
both: range and mask are right, little is left of the samples, and the direction is off. Over the elements the two are waves
of different slopes, and of different curvatures, because those of an echo come from its scatterer. Pure functions.
"""

import numpy as np
import numpy.typing as npt

from bs_controller.estimation.candidates import AngleSweep
from bs_controller.features import Dechirper

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

# A beam of an aperture is one over its length in wavelengths wide, in sine.
PULL_BEAMS, PULLS_PER_BEAM = 2, 8
ECHO_BEAMS, ECHOES_PER_BEAM = 4, 4
CURVATURE_STEP_PER_M = 0.012  # turns the outermost elements of 0.77 m by 0.3 cycles against the middle ones
# Waves that share more than this of their energy are one path to any noise.
LARGEST_OVERLAP = 0.98


def in_beam_pull_m(
    elements: ComplexArray, x_m: Floats, cycles_per_m: float, position: tuple[float, float], nearest_m: float
) -> float:
    """Return how far across a fix lies from the line of sight, if that and one weaker echo are what is heard.

    All pairs of a line of sight, whose waves have the range's curvature, and of an echo, curved as much or more, are
    compared by the energy that they explain with their best gains, and with no echo at all.

    Parameters
    ----------
    elements
        ``(element,)`` what visible elements are heard with, the waves of the fix undone: `elements_of`.
    x_m
        ``(element,)`` their places along the array.
    cycles_per_m
        Of the carrier.
    position
        Range and angle of the fix.
    nearest_m
        The smallest radius of an echo's waves.

    Returns
    -------
    pull_m
        At the fix's range, not negative.
    """
    range_m, angle_rad = position
    beam_sine = 1 / (cycles_per_m * float(np.ptp(x_m)))
    pulls = _steps(PULL_BEAMS, PULLS_PER_BEAM) * beam_sine
    sights = np.exp(-2j * np.pi * cycles_per_m * np.outer(x_m, pulls))
    echoes = _echoes(x_m, cycles_per_m, beam_sine, _more_curved(range_m, nearest_m) * np.cos(angle_rad) ** 2)
    best = int(explained_by_pairs(elements, sights, echoes).max(axis=1).argmax())
    return float(abs(pulls[best]) / np.cos(angle_rad)) * range_m


def pull_step_m(x_m: Floats, cycles_per_m: float, range_m: float) -> float:
    """Return how far apart the pulls are that are tried for elements at places ``(element,)``: a range times steps of sine."""
    return range_m / (cycles_per_m * float(np.ptp(x_m)) * PULLS_PER_BEAM)


def explained_by_pairs(elements: ComplexArray, sights: ComplexArray, echoes: ComplexArray) -> Floats:
    """Return the energy that each line of sight explains with each weaker echo.

    Parameters
    ----------
    elements
        ``(element,)``.
    sights, echoes
        ``(element, sight)`` and ``(element, echo)``, of modulus one.

    Returns
    -------
    energy
        ``(sight, echo)``; that of the line of sight alone where the echo would be the stronger, or the same wave.
    """
    heard, echoed = sights.conj().T @ elements, echoes.conj().T @ elements
    overlap, count = sights.conj().T @ echoes / elements.size, elements.size
    apart = 1 - np.abs(overlap) ** 2
    solvable = apart > 1 - LARGEST_OVERLAP
    scale = count * np.where(solvable, apart, 1.0)
    gain = (heard[:, np.newaxis] - overlap * echoed) / scale
    echo_gain = (echoed - overlap.conj() * heard[:, np.newaxis]) / scale
    both = (gain.conj() * heard[:, np.newaxis] + echo_gain.conj() * echoed).real
    alone = np.abs(heard[:, np.newaxis]) ** 2 / count
    energy: Floats = np.where(solvable & (np.abs(echo_gain) < np.abs(gain)), both, alone)
    return energy


def elements_of(
    dechirper: Dechirper,
    sweep: AngleSweep,
    residual: ComplexArray,
    position: tuple[float, float],
    visible: npt.NDArray[np.bool_],
) -> ComplexArray:
    """Return what visible elements are heard with, the waves of a fix undone, ``(visible,)``.

    The fit's own part is put back as the same on all: in the samples its edges and the rounding of the mask's ends look
    like waves of their own.

    Parameters
    ----------
    dechirper
        Of the testbed that sent the sweep.
    sweep, residual
        An angle sweep, and what the fix leaves of it, ``(subcarrier,)``.
    position
        Range and angle of the fix.
    visible
        ``(element,)``.
    """
    fitted = dechirper.elements(sweep.samples - residual, sweep.setting, *position)[visible]
    left = dechirper.elements(residual, sweep.setting, *position)[visible]
    elements: ComplexArray = left + fitted.mean()
    return elements


def _steps(beams: int, per_beam: int) -> Floats:
    return np.arange(-beams * per_beam, beams * per_beam + 1) / per_beam


def _more_curved(range_m: float, nearest_m: float) -> Floats:
    """Return how much more curved than those of a range an echo's waves may be, per m."""
    return np.arange(0.0, max(1 / nearest_m - 1 / range_m, 0.0) + CURVATURE_STEP_PER_M, CURVATURE_STEP_PER_M)


def _echoes(x_m: Floats, cycles_per_m: float, beam_sine: float, curvature_per_m: Floats) -> ComplexArray:
    """Return waves of all slopes and curvatures, ``(element, slope and curvature)``."""
    slopes = np.exp(-2j * np.pi * cycles_per_m * np.outer(x_m, _steps(ECHO_BEAMS, ECHOES_PER_BEAM) * beam_sine))
    curves = np.exp(1j * np.pi * cycles_per_m * np.outer(x_m**2, curvature_per_m))
    waves = slopes[:, :, np.newaxis] * curves[:, np.newaxis, :]
    flat: ComplexArray = waves.reshape(x_m.size, -1)
    return flat
