"""The radio driver ``file``: samples from a SigMF recording and into one, as others can open it (shell).

A recording is a pair ``NAME.sigmf-meta`` and ``NAME.sigmf-data`` of one channel of complex float32, little-endian. What is
transmitted is on disk before the call returns, and the metadata are from the beginning, so that a killed writer leaves a sound
recording. A recording that still grows is followed; at its end nothing comes any more.
"""

import datetime
import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from protocol.testbed import Positive
from sdr_backend.drivers import Options, OptionValue, checked_options
from sdr_backend.incoming import Incoming
from sdr_backend.radio import Block, LateError, RadioError, Samples, checked_samples

NAME = "file"
WIRE = np.dtype("<c8")
SIGMF_VERSION = "1.2.0"
LOOK_S = 0.01  # how often a reader looks whether the file has grown
MAX_GAP = 1 << 25  # samples of zeros between two bursts; a quarter of a GiB


class SigmfOptions(Options, frozen=True):
    """Recordings without suffix: `receive` is read, `transmit` is made and must not exist."""

    receive: str | None = None
    transmit: str | None = None
    rate_hz: Positive | None = None  # of what is made; what is read states its own
    frequency_hz: Positive | None = None
    repeat: bool = False  # begin anew, after a gap, at the end of what is read

    def __post_init__(self) -> None:
        if self.transmit is None and self.receive is None:
            raise ValueError("expected a recording to receive or transmit, got neither")
        if self.transmit is not None and self.rate_hz is None:
            raise ValueError("rate_hz: expected the sample rate of the recording to be made, got none")


class _Global(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader must know of a recording; SigMF has many more fields."""

    datatype: str = msgspec.field(name="core:datatype")
    sample_rate_hz: Positive = msgspec.field(name="core:sample_rate")
    channels: int = msgspec.field(name="core:num_channels", default=1)
    metadata_only: bool = msgspec.field(name="core:metadata_only", default=False)


class _Meta(msgspec.Struct, frozen=True, kw_only=True):
    facts: _Global = msgspec.field(name="global")


class SigmfFile:
    """A radio whose air is a pair of recordings."""

    def __init__(self, options: Mapping[str, OptionValue]) -> None:
        chosen = checked_options(NAME, options, SigmfOptions)
        self._writer: _Writer | None = None
        self._reader: _Reader | None = None
        try:
            if chosen.transmit is not None:
                self._writer = _Writer(_base(chosen.transmit), chosen)
            if chosen.receive is not None:
                self._reader = _Reader(_base(chosen.receive), repeat=chosen.repeat)
        except OSError as error:
            self.close()
            raise RadioError(f"{NAME}: {error.filename}: {error.strerror}") from error
        self._rate_hz = self._reader.rate_hz if self._reader is not None else float(chosen.rate_hz or 0.0)
        if chosen.rate_hz not in {None, self._rate_hz}:
            self.close()
            text = f"expected the rate of the recording, {self._rate_hz:g} Hz, got {chosen.rate_hz:g}"
            raise ValueError(f"driver {NAME}: rate_hz: {text}")

    @property
    def rate_hz(self) -> float:
        """Return the sample rate."""
        return self._rate_hz

    @property
    def transmitted(self) -> int:
        """Return how many samples are in the recording that is made."""
        return 0 if self._writer is None else self._writer.position

    @property
    def stretch(self) -> int:
        """Return 0: what is transmitted is counted without a break."""
        return 0

    @property
    def received(self) -> int:
        """Return the index of the sample that `receive` returns next."""
        return 0 if self._reader is None else self._reader.position

    def transmit(self, samples: Samples, at: int | None = None) -> int:
        """Append samples, after zeros up to the index `at`."""
        if self._writer is None:
            raise RadioError(f"{NAME}: expected the option transmit before anything is sent, got none")
        return self._writer.append(checked_samples(samples), at)

    def drain(self, within_s: float) -> bool:
        """Wait as long as what was sent takes at the sample rate, so that the file grows no faster than time."""
        return self._writer is None or self._writer.drain(within_s)

    def receive(self, count: int, within_s: float) -> Block:
        """Read samples, and wait for more where the recording still grows."""
        if self._reader is None:
            raise RadioError(f"{NAME}: expected the option receive before anything is heard, got none")
        return self._reader.read(count, within_s)

    def flush(self) -> None:
        """Go to the end of the recording that is read."""
        if self._reader is not None:
            self._reader.skip()

    def close(self) -> None:
        """Close both files."""
        for part in (self._writer, self._reader):
            if part is not None:
                part.close()


def _base(path: str) -> Path:
    return Path(path.removesuffix(".sigmf-data").removesuffix(".sigmf-meta")).expanduser()


def metadata(rate_hz: float, frequency_hz: float | None, began: datetime.datetime) -> dict[str, object]:
    """Return the SigMF metadata of a recording that begins now."""
    capture: dict[str, object] = {"core:sample_start": 0, "core:datetime": f"{began:%Y-%m-%dT%H:%M:%S.%f}Z"}
    return {
        "global": {
            "core:datatype": "cf32_le",
            "core:sample_rate": rate_hz,
            "core:version": SIGMF_VERSION,
            "core:num_channels": 1,
            "core:recorder": "nftestbed",
            "core:description": "What a radio of the testbed sent; subcarriers of the downlink stand at their own indices.",
        },
        "captures": [capture if frequency_hz is None else capture | {"core:frequency": frequency_hz}],
        "annotations": [],
    }


class _Writer:
    def __init__(self, base: Path, options: SigmfOptions) -> None:
        self.position = 0
        self._rate_hz = float(options.rate_hz or 0.0)
        self._ends_s = 0.0
        self._closing = threading.Event()
        self._lock = threading.Lock()
        base.parent.mkdir(parents=True, exist_ok=True)
        self._file = base.with_name(f"{base.name}.sigmf-data").open("xb")
        try:
            text = json.dumps(
                metadata(self._rate_hz, options.frequency_hz, datetime.datetime.now(datetime.UTC)),
                indent=2,
            )
            with base.with_name(f"{base.name}.sigmf-meta").open("x", encoding="utf-8") as meta:
                meta.write(f"{text}\n")
        except OSError:
            self._file.close()
            raise

    def append(self, samples: Samples, at: int | None) -> int:
        with self._lock:
            first = self.position if at is None else at
            if first < self.position:
                raise LateError(first, self.position)
            if first - self.position > MAX_GAP:
                raise ValueError(f"expected at most {MAX_GAP} samples of silence, got {first - self.position}")
            try:
                self._file.write(bytes(WIRE.itemsize * (first - self.position)))
                self._file.write(samples.astype(WIRE, copy=False).tobytes())
                self._file.flush()
            except (OSError, ValueError) as error:  # ValueError: the file was closed
                raise RadioError(f"{NAME}: {self._file.name}: {error}") from error
            lasts_s = (first + samples.size - self.position) / self._rate_hz
            self._ends_s = max(self._ends_s, time.monotonic()) + lasts_s
            self.position = first + samples.size
            return first

    def drain(self, within_s: float) -> bool:
        left_s = self._ends_s - time.monotonic()
        self._closing.wait(max(0.0, min(left_s, within_s)))
        return left_s <= within_s

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            self._file.close()


class _Reader:
    def __init__(self, base: Path, *, repeat: bool) -> None:
        self._repeat, self._incoming = repeat, Incoming()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self.rate_hz = _checked(base.with_name(f"{base.name}.sigmf-meta")).sample_rate_hz
        self._file = base.with_name(f"{base.name}.sigmf-data").open("rb", buffering=0)

    @property
    def position(self) -> int:
        return self._incoming.position

    def read(self, count: int, within_s: float) -> Block:
        until_s = time.monotonic() + within_s
        with self._lock:
            while not self._incoming.holds(count):
                if self._closing.is_set():
                    raise RadioError(f"{NAME}: expected an open radio, got one that was closed")
                samples = self._there(count)
                self._incoming.append(samples)
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    break
                if not samples.size:
                    self._closing.wait(min(LOOK_S, left_s))
            return self._incoming.take(count)

    def _there(self, count: int) -> Samples:
        """Return what there is now of so many samples; half a sample at the end of a growing file is left there."""
        left = self._left()
        if self._repeat and not left and self._file.tell():
            self._file.seek(0)
            self._incoming.broken()  # the transmitter's index is another one
            left = self._left()
        samples = np.frombuffer(self._file.read(WIRE.itemsize * min(count, left)), dtype=WIRE)
        if not np.isfinite(samples).all():
            raise RadioError(f"{NAME}: {self._file.name}: expected finite samples, got some that are not")
        return samples

    def _left(self) -> int:
        return (os.fstat(self._file.fileno()).st_size - self._file.tell()) // WIRE.itemsize

    def skip(self) -> None:
        with self._lock:
            if not self._closing.is_set():
                left = self._left()
                self._file.seek(WIRE.itemsize * left, os.SEEK_CUR)
                self._incoming.clear()
                self._incoming.lost(left)

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            self._file.close()


def _checked(path: Path) -> _Global:
    """Return what the metadata say, refusing what is no recording of one channel of complex float32."""
    try:
        facts = msgspec.json.decode(path.read_bytes(), type=_Meta).facts
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RadioError(f"{NAME}: {path}: expected the metadata of a SigMF recording, got: {error}") from error
    if (facts.datatype, facts.channels, facts.metadata_only) != ("cf32_le", 1, False):
        text = f"expected one channel of cf32_le with its samples, got {facts.channels} of {facts.datatype}"
        raise RadioError(f"{NAME}: {path}: {text}{' without samples' if facts.metadata_only else ''}")
    return facts
