"""The driver suite as a third party runs it, on drivers that this repository does not know; each broken one is found out."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.sdr_backend.packages import installed

ROOT = Path(__file__).parents[2]
AT_ONCE = 2  # a suite mostly starts and waits

DRIVERS = """
import time

import numpy as np

from protocol.testbed import FrontEndLimits
from sdr_backend.drivers import Options, checked_options
from sdr_backend.radio import Block, LateError, RadioError
from sdr_backend.zmq_iq import ZmqIq


class Conjugates(ZmqIq):
    def receive(self, count, within_s):
        block = super().receive(count, within_s)
        return Block(samples=block.samples.conj(), first_index=block.first_index, overrun=block.overrun)


class HidesLosses(ZmqIq):
    def receive(self, count, within_s):
        block = super().receive(count, within_s)
        return Block(samples=block.samples, first_index=0)


class NeverFlushes(ZmqIq):
    def flush(self):
        pass


class WaitsForEver(ZmqIq):
    def receive(self, count, within_s):
        time.sleep(4.0)
        return super().receive(count, within_s)


class KeepsItsEndpoint(ZmqIq):
    def close(self):
        pass


class AnyTime(ZmqIq):
    def transmit(self, samples, at=None):
        return super().transmit(samples)


class AnyOption(ZmqIq):
    def __init__(self, options):
        super().__init__({key: options[key] for key in ("transmit", "receive", "paced")})


class Rounds:
    def __init__(self, context):
        checked_options("rounds-down", context.options, Options)
        self.limits = FrontEndLimits(
            elements=context.elements, groups=1, phase_bits=4, delay_step_s=1e-11, delay_span_s=1e-9, settle_s=0.0
        )

    def load(self, pilot):
        if pilot.delay_s.shape != (1, self.limits.elements):
            raise ValueError(f"one group of {self.limits.elements} elements expected, got {pilot.delay_s.shape}")
        steps = np.floor(pilot.phase_cycles * 16 + 1e-9) / 16
        delays = np.rint(pilot.delay_s / 1e-11) * 1e-11
        return type(pilot)(phase_cycles=steps, delay_s=delays, first_group=pilot.first_group, groups=pilot.groups)

    def latch(self, at):
        pass

    def close(self):
        pass
"""
RADIOS = {
    "conjugates": ("Conjugates", "samples_come_out_as_they_went_in"),
    "hides-losses": ("HidesLosses", "counters_only_grow"),
    "never-flushes": ("NeverFlushes", "flushed_samples_are_never_heard"),
    "waits-for-ever": ("WaitsForEver", "ends_in_time"),
    "keeps-its-endpoint": ("KeepsItsEndpoint", "closed_radio_can_be_opened_again"),
    "any-time": ("AnyTime", "as_far_apart_as_they_were_sent"),
    "any-option": ("AnyOption", "unknown_option_is_refused"),
}

SLOW = {"conjugates", "waits-for-ever"}  # the suite is as patient as with a driver on a busy machine


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which a package of drivers is installed."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "theirs.py").write_text(DRIVERS, encoding="utf-8")
    radios = "\n".join(f"{name} = theirs:{kind}" for name, (kind, _) in RADIOS.items())
    front_ends = "rounds-down = theirs:Rounds"
    installed(folder, f"[nftestbed.radios]\n{radios}\n[nftestbed.front_ends]\n{front_ends}\n")
    return folder


def suite(package: Path, *words: str) -> tuple[int, str]:
    """Run the suite from a folder of its own, as somebody who has not got this repository."""
    where = {"PYTHONPATH": str(package), "PATH": "", "HOME": str(package)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--pyargs", "sdr_backend.driver_suite"]
    done = subprocess.run([*command, *words], cwd=package, env=where, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def radio_words(package: Path, driver: str) -> list[str]:
    endpoint = f"ipc://{package}/{driver}"
    options = (f"transmit={endpoint}", f"receive={endpoint}", "paced=false")
    return ["--radio", driver, "--radio-loopback", *(w for option in options for w in ("--radio-options", option))]


@pytest.fixture(scope="module")
def verdicts(package: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, Future[tuple[int, str]]]]:
    """Yield what the suite says, or will say, of each broken radio that is asked for."""
    items = (item for item in request.session.items if item.path == request.path and hasattr(item, "callspec"))
    asked = [item.callspec.params["driver"] for item in items]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        checks = {driver: (*radio_words(package, driver), "-k", RADIOS[driver][1]) for driver in asked}
        yield {driver: pool.submit(suite, package, *words) for driver, words in checks.items()}


def test_sound_radio_of_the_command_line_passes(package: Path) -> None:
    status, text = suite(package, *radio_words(package, "zmq-iq"))
    assert status == 0, text


@pytest.mark.parametrize(
    "driver", [pytest.param(name, marks=[pytest.mark.long] if name in SLOW else []) for name in RADIOS]
)
def test_radio_with_one_fault_fails_the_check_for_it(verdicts: dict[str, Future[tuple[int, str]]], driver: str) -> None:
    status, text = verdicts[driver].result()
    assert status == 1, text
    assert "1 failed" in text


def test_front_end_that_rounds_down_is_found_out(package: Path) -> None:
    status, text = suite(package, "--front-end", "rounds-down")
    assert status == 1, text
    assert "test_what_is_loaded_is_nearest_to_what_was_asked_for" in text


def test_sound_front_end_of_the_command_line_passes(package: Path) -> None:
    options = ("groups=2", "phase_bits=5")
    words = [word for option in options for word in ("--front-end-options", option)]
    status, text = suite(package, "--front-end", "simulated", "--front-end-elements", "7", *words)
    assert status == 0, text


def test_option_without_value_is_refused(package: Path) -> None:
    status, text = suite(package, "--radio", "zmq-iq", "--radio-options", "transmit")
    assert status == 1
    assert "expected key=value, got 'transmit'" in text
