"""The noise-free sweeps of a training, kept on disk: synthesised once, shown many times with fresh noise.

One file holds a block of users; a file that is there is not computed again, so that a training goes on where it was, and
another of the same representation begins at once. The folder's name has a digest of all that the sweeps depend upon.
"""

import dataclasses
import functools
import hashlib
import math
import os
from collections.abc import Callable
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from bs_controller.beams import fitted, setting_from_focus
from bs_controller.representations import REPRESENTATIONS, HeardSweep, Representation, representation
from bs_controller.sweeps import Sweep, Trajectory
from deploy.simulation import SimulatedRadio, User
from deploy.training_users import VERSION, Showing, showing, trained_user
from emulator.config import FrontEndSection
from emulator.impairments import noisy, with_timing_offset
from protocol.messages import FeedbackKind
from protocol.testbed import Setting, TestbedFacts

ComplexArray = npt.NDArray[np.complex128]
Records = npt.NDArray[np.void]
OnProgress = Callable[[int, int], None]

BLOCK_USERS = 500
FOCUS_FIELDS = tuple(field.name for field in dataclasses.fields(Trajectory))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """What a training's sweeps depend upon. `users` are the first so many of an endless row."""

    facts: TestbedFacts
    representation: str
    seed: int
    users: int

    def digest(self) -> str:
        """Return the SHA-256 of all but the number of users, 64 hexadecimal digits."""
        version = REPRESENTATIONS[self.representation].version
        named = (self.facts.downlink_digest(), self.representation, version, VERSION, self.seed)
        return hashlib.sha256(msgspec.json.encode(named)).hexdigest()


def record_type(subcarriers: int) -> np.dtype[np.void]:
    """Return what is kept of a user: place, front end, the second sweep's focus, and both sweeps, of mean power one."""
    return np.dtype(
        [
            ("range_m", "<f8"),
            ("angle_rad", "<f8"),
            ("phase_bits", "<u1"),
            ("second_focus", "<f8", len(FOCUS_FIELDS)),
            ("samples", "<c8", (2, subcarriers)),
        ]
    )


def keep(data: DataSet, folder: Path, executor: Executor, on_progress: OnProgress) -> Path:
    """Synthesise what is not in the folder yet, and return the folder of this data set."""
    own = folder / data.digest()[:16]
    own.mkdir(parents=True, exist_ok=True)
    blocks = -(-data.users // BLOCK_USERS)
    wanted = [block for block in range(blocks) if not _file(own, block).exists()]
    on_progress(blocks - len(wanted), blocks)
    futures = [executor.submit(_keep_block, data, own, block) for block in wanted]
    try:
        for done, future in enumerate(as_completed(futures), start=blocks - len(wanted) + 1):
            future.result()
            on_progress(done, blocks)
    finally:
        for future in futures:
            future.cancel()
    return own


def kept_user(folder: Path, user: int) -> Records:
    """Return the record of a user; its file is mapped into memory, not read."""
    record: Records = _mapped(folder, user // BLOCK_USERS)[user % BLOCK_USERS]
    return record


def shown_sweeps(
    record: Records, shown: Showing, facts: TestbedFacts, first: Trajectory, rng: np.random.Generator
) -> tuple[HeardSweep, HeardSweep]:
    """Return both sweeps of a user as they are heard this time; each array is the caller's."""
    foci = first, Trajectory(**dict(zip(FOCUS_FIELDS, record["second_focus"].tolist(), strict=True)))
    bits, clean = int(record["phase_bits"]), record["samples"].astype(np.complex128)
    one, other = (
        HeardSweep(
            samples=_disturbed(clean[index], shown, index, facts.downlink.grid.spacing_hz, rng),
            focus=focus,
            setting=_applied(focus, bits, facts),
        )
        for index, focus in enumerate(foci)
    )
    return one, other


def _disturbed(
    clean: ComplexArray, shown: Showing, sweep: int, spacing_hz: float, rng: np.random.Generator
) -> ComplexArray:
    """Return a noise-free sweep late by the clock and with noise, ``(subcarrier,)``."""
    return noisy(with_timing_offset(clean, shown.late_s, spacing_hz), shown.noise[sweep], rng, spacing_hz=spacing_hz)


def _applied(focus: Trajectory, phase_bits: int, facts: TestbedFacts) -> Setting:
    """Return the setting that a controller knows to be on the air: few phase bits are no secret, errors are."""
    limits = FrontEndSection(phase_bits=phase_bits).limits(facts.downlink.array.elements)
    return fitted(setting_from_focus(focus, facts), limits)


def _keep_block(data: DataSet, folder: Path, block: int) -> None:
    first = block * BLOCK_USERS
    records = np.zeros(BLOCK_USERS, dtype=record_type(data.facts.downlink.grid.count))
    frame = planned(data.facts, data.representation)
    for index in range(BLOCK_USERS):
        _fill(records[index], data, frame, first + index)
    file = _file(folder, block)
    partial = file.with_suffix(f".{os.getpid()}")  # another training may be about the same block
    with partial.open("wb") as stream:
        np.save(stream, records)
    partial.replace(file)


def _fill(record: Records, data: DataSet, frame: Representation, number: int) -> None:
    """Draw a user and let it hear the first sweep with some noise, which aims the second, then both without."""
    draw_rng, radio_rng, aim_rng = np.random.default_rng((data.seed, number)).spawn(3)
    user, front_end = trained_user(data.facts, draw_rng)
    radio = SimulatedRadio(data.facts, rng=radio_rng, front_end=front_end)
    first, shown = frame.first(), showing(aim_rng)
    clean = _normalised(_received(radio, first, user))
    samples = _disturbed(clean, shown, 0, data.facts.downlink.grid.spacing_hz, aim_rng)
    setting = _applied(first, front_end.phase_bits, data.facts)
    second = frame.second(HeardSweep(samples=samples, focus=first, setting=setting))
    record["range_m"], record["angle_rad"], record["phase_bits"] = user.range_m, user.angle_rad, front_end.phase_bits
    record["second_focus"] = [getattr(second, name) for name in FOCUS_FIELDS]
    record["samples"] = clean, _normalised(_received(radio, second, user))


def _received(radio: SimulatedRadio, focus: Trajectory, user: User) -> ComplexArray:
    return radio.received(Sweep(focus=focus, kind=FeedbackKind.COMPLEX), user)[0]


def _normalised(samples: ComplexArray) -> ComplexArray:
    """Return samples of mean power one: gains are unknown, and complex64 holds no power of a distant user's samples."""
    scaled: ComplexArray = samples / math.sqrt(float(np.mean(samples.real**2 + samples.imag**2)))
    return scaled


def _file(folder: Path, block: int) -> Path:
    return folder / f"{block:06d}.npy"


@functools.lru_cache(maxsize=4096)
def _mapped(folder: Path, block: int) -> Records:
    records: Records = np.load(_file(folder, block), mmap_mode="r", allow_pickle=False)  # noqa: TID251 - plain arrays
    return records


@functools.lru_cache(maxsize=4)
def planned(facts: TestbedFacts, name: str) -> Representation:
    """Return the representation of this process; one thread uses it."""
    return representation(name, facts)
