"""How the time of what is computed grows with elements, subcarriers and users: a power law fitted to a grid of sizes.

Times are of the processor, not of the clock on the wall: waiting for other programs is no work. They are those of all
threads, so that libraries must compute in one, as `nftestbed bench` makes them. The law is fitted by least
squares in logarithms. What every call costs flattens a curve at small sizes, and caches that overflow steepen it at large
ones: then the exponent is an average, its standard error tells of the bend rather than of chance, and the row's exponents
from each size to the next say where the law begins. The target is the exponent of the counted operations over the same
sizes, with room for an operation at the largest size to be twice as dear as at the smallest.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bs_controller.complexity import ImageSize, music, planned_image
from bs_controller.imaging import Imager
from bs_controller.schemes import LikelihoodOptions, scheme_from_options
from bs_controller.sweeps import Answer, Request, Scheme
from deploy.simulation import SimulatedRadio, User, locate
from emulator.config import SweepMean
from emulator.downlink import DownlinkEmulator
from emulator.scene import Position
from protocol.testbed import SectorArray, SubcarrierGrid, TestbedFacts, Uplink, default_facts
from tests.benchmarks.harness import Row
from tests.benchmarks.music_against_ours import published_music
from tests.benchmarks.sweep_synthesis import angle_sweep

Floats = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
Work = Callable[[], object]
Count = Callable[[int], float]

RANGE_M = np.linspace(2, 21, 200)
ROUNDS = 5
LEAST_S = 4e-3  # of a measurement: shorter work is repeated, so that its caches are its own
ROOM = 2.0  # how much dearer an operation may be at the largest size: data that left a cache
USERS = 6  # of a fix: they take different numbers of steps


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """``time = at_one * size ** exponent``, and the exponent's standard error from the scatter about it."""

    exponent: float
    standard_error: float
    at_one: float


def power_law(size: Floats, value: Floats) -> PowerLaw:
    """Return the law that fits values ``(size,)`` best by least squares in logarithms, at least three of them."""
    if size.size < 3:
        raise ValueError(f"at least three sizes expected for an exponent and its error, got {size.size}")
    x, y = np.log(size), np.log(value)
    spread = float(np.sum((x - x.mean()) ** 2))
    exponent = float(np.sum((x - x.mean()) * (y - y.mean()))) / spread
    left = y - y.mean() - exponent * (x - x.mean())
    standard_error = math.sqrt(float(left @ left) / (size.size - 2) / spread)
    return PowerLaw(exponent=exponent, standard_error=standard_error, at_one=math.exp(y.mean() - exponent * x.mean()))


def rows() -> list[Row]:
    """One row for each kind of work and each size that it grows with."""
    return [
        _sweeps_by_elements(),
        _sweeps_by_subcarriers(),
        _images_by_elements(),
        _images_by_subcarriers(),
        _music_by_elements(),
        *(_fixes_by_elements(plan) for plan in ("angle_range", "pair")),
        *(_fixes_by_subcarriers(plan) for plan in ("angle_range", "pair")),
        *(_fixes_by_users(plan) for plan in ("angle_range", "pair")),
    ]


# --- sweep synthesis -------------------------------------------------------------------------------------------------


def _sweeps_by_elements() -> Row:
    work = {n: _sweep(default_facts(elements=n)) for n in (256, 512, 1024, 2048, 4096, 8192, 16384)}
    return _row("sweep synthesis, 2048 subcarriers", "elements", work, count=_linear)


def _sweeps_by_subcarriers() -> Row:
    work = {m: _sweep(default_facts(subcarriers=m)) for m in (1024, 2048, 4096, 8192, 16384, 32768, 65536)}
    return _row("sweep synthesis, 512 elements", "subcarriers", work, count=_transform)


def _sweep(facts: TestbedFacts) -> Work:
    downlink, c_m_s = facts.downlink, facts.speed_of_light_m_s
    emulator, setting = DownlinkEmulator(downlink, c_m_s), angle_sweep(downlink, c_m_s)
    position, visible = Position(range_m=15.0, angle_rad=0.3), np.ones(downlink.array.elements)
    return lambda: emulator.received(setting, position, visible)


# --- uplink images ---------------------------------------------------------------------------------------------------


def _images_by_elements() -> Row:
    uplinks = {n: _uplink(n, 100) for n in (64, 128, 256, 512, 1024)}
    return _images("low-rank image, 100 subcarriers, 200 ranges", "elements", uplinks)


def _images_by_subcarriers() -> Row:
    uplinks = {m: _uplink(392, m) for m in (64, 128, 256, 512, 1024)}
    return _images("low-rank image, 392 elements, 200 ranges, fixed spacing", "subcarriers", uplinks)


def _images(name: str, varies: str, uplinks: Mapping[int, Uplink]) -> Row:
    imagers = {size: Imager(uplink, RANGE_M, default_facts().speed_of_light_m_s) for size, uplink in uplinks.items()}

    def count(size: int) -> float:
        n, m = uplinks[size].array.elements, uplinks[size].grid.count
        return planned_image(
            ImageSize(elements=n, subcarriers=m, ranges=RANGE_M.size, angles=n), imagers[size].band_terms
        )

    row = _row(name, varies, {size: _image(imager) for size, imager in imagers.items()}, count=count)
    row.details["band_terms"] = {str(size): imager.band_terms for size, imager in imagers.items()}
    row.details["table_mb"] = {str(size): imager.table_bytes / 1e6 for size, imager in imagers.items()}
    return row


def _image(imager: Imager) -> Work:
    samples = _noise(imager.uplink)
    return lambda: imager.image(samples)


def _music_by_elements() -> Row:
    """The baseline of [SUCA], which has no target; as many elements as take seconds."""
    work = {n: _grid_search(_uplink(n, 100)) for n in (32, 64, 128, 256)}

    def count(n: int) -> float:
        return music(ImageSize(elements=n, subcarriers=100, ranges=RANGE_M.size, angles=n), 1)

    name = "MUSIC's grid search, 100 subcarriers, 200 ranges"
    return _row(name, "elements", work, count=count, is_baseline=True, rounds=3)


def _grid_search(uplink: Uplink) -> Work:
    samples, c_m_s = _noise(uplink), default_facts().speed_of_light_m_s
    return lambda: published_music(uplink, samples, RANGE_M, c_m_s)


def _uplink(elements: int, subcarriers: int) -> Uplink:
    return Uplink(
        grid=SubcarrierGrid(first_hz=28e9, spacing_hz=480e3, count=subcarriers),
        array=SectorArray(elements=elements, radius_m=1.0, half_sector_rad=np.pi / 3),
    )


def _noise(uplink: Uplink) -> ComplexArray:
    rng = np.random.default_rng(21)
    shape = (uplink.array.elements, uplink.grid.count)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


# --- fixes of the likelihood -----------------------------------------------------------------------------------------


class _Recorder(SimulatedRadio):
    """A radio that keeps its answers."""

    answers: list[Answer]

    def answer(self, request: Request, user: User) -> Answer:
        answer = super().answer(request, user)
        self.answers.append(answer)
        return answer


def _fixes_by_elements(plan: str) -> Row:
    work = {n: _fixes(default_facts(elements=n), plan) for n in (128, 192, 256, 384, 512)}
    return _row(f"likelihood ({plan}), a fix, 2048 subcarriers", "elements", work, count=_linear, fixes=USERS)


def _fixes_by_subcarriers(plan: str) -> Row:
    work = {m: _fixes(default_facts(subcarriers=m), plan) for m in (2048, 4096, 8192, 16384)}
    return _row(f"likelihood ({plan}), a fix, 512 elements, 6 GHz", "subcarriers", work, count=_transform, fixes=USERS)


def _fixes_by_users(plan: str) -> Row:
    work = {k: _fixes(default_facts(), plan, k) for k in (2, 4, 8, 16, 32)}
    row = _row(f"likelihood ({plan}), all fixes, 512 elements, 2048 subcarriers", "users", work, count=_linear)
    row.details["ms_per_user"] = row.ours_ms / max(work)
    return row


def _fixes(facts: TestbedFacts, plan: str, users: int = USERS) -> Work:
    """Return the fixes of some users all over the region, from sweeps that were heard before."""
    scheme = scheme_from_options(LikelihoodOptions(plan="pair" if plan == "pair" else "angle_range"), facts)
    scheme.prepare()
    rng = np.random.default_rng(22)
    heard = [_heard(facts, scheme, _user(rng), rng) for _ in range(users)]

    def work() -> None:
        for answers in heard:
            _replayed(scheme, answers)

    return work


def _user(rng: np.random.Generator) -> User:
    return User(range_m=float(rng.uniform(5, 50)), angle_rad=float(rng.uniform(-1, 1)))


def _heard(facts: TestbedFacts, scheme: Scheme, user: User, rng: np.random.Generator) -> list[Answer]:
    radio = _Recorder(facts, rng=rng, downlink_noise=SweepMean(snr_db=10))
    radio.answers = []
    locate(scheme, radio, user)
    return radio.answers


def _replayed(scheme: Scheme, answers: Sequence[Answer]) -> None:
    localization = scheme.locate()
    next(localization)
    try:
        for answer in answers:
            localization.send(answer)
    except StopIteration:
        return
    raise AssertionError("the scheme asked for another sweep")


# --- measuring -------------------------------------------------------------------------------------------------------


def _linear(size: int) -> float:
    return size


def _transform(size: int) -> float:
    return size * math.log2(size)


def _row(
    work_name: str,
    varies: str,
    work: Mapping[int, Work],
    *,
    count: Count,
    is_baseline: bool = False,
    rounds: int = ROUNDS,
    fixes: int = 1,
) -> Row:
    """Return the row of work over sizes, held to the exponent of what it counts unless it is a baseline.

    Times are shared by the fixes that a piece of work makes.
    """
    size, took_ms = np.array(list(work), dtype=np.float64), _medians_ms(list(work.values()), rounds) / fixes
    law, counted = power_law(size, took_ms), power_law(size, np.array([count(one) for one in work])).exponent
    most = counted + math.log(ROOM) / math.log(size[-1] / size[0])
    return Row(
        name=f"{work_name}, {min(work)} to {max(work)} {varies}",
        ours_ms=float(took_ms[-1]),
        baseline_ms=None,
        error=None,
        target="none: a baseline" if is_baseline else f"exponent <= {most:.2f}",
        met=is_baseline or law.exponent <= most,
        details={
            "work": work_name,
            "varies": varies,
            "exponent": round(law.exponent, 3),
            "standard_error": round(law.standard_error, 3),
            "exponent_of_count": round(counted, 3),
            "exponent_between": _steps(size, took_ms),
            "ms": {str(one): round(float(ms), 4) for one, ms in zip(work, took_ms, strict=True)},
        },
    )


def _steps(size: Floats, took_ms: Floats) -> dict[str, float]:
    """Return the exponent from each size to the next."""
    steps = np.diff(np.log(took_ms)) / np.diff(np.log(size))
    return {f"{low:g}-{high:g}": round(float(one), 2) for low, high, one in zip(size, size[1:], steps, strict=False)}


def _medians_ms(work: Sequence[Work], rounds: int) -> Floats:
    """Return the median milliseconds of each, all in turn: what slows the machine for a while slows all sizes alike."""
    repeats = [_repeats(one) for one in work]
    took_s = [[_seconds(one, often) for one, often in zip(work, repeats, strict=True)] for _ in range(rounds)]
    medians: Floats = 1e3 * np.median(took_s, axis=0)
    return medians


def _repeats(work: Work) -> int:
    work()  # plans and tables
    return max(1, math.ceil(LEAST_S / max(_seconds(work, 1), 1e-6)))


def _seconds(work: Work, often: int) -> float:
    start = time.process_time()
    for _ in range(often):
        work()
    return (time.process_time() - start) / often
