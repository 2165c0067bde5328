"""The driver `file`: recordings that others open, and others' recordings."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sdr_backend.driver_suite.bench import EXACT, Ear, noise
from sdr_backend.radio import LateError, RadioError
from sdr_backend.sigmf_file import SigmfFile
from tests.sdr_backend.keeping import Keep

Options = dict[str, str | int | float | bool]


def making(base: Path, **more: str | float | bool) -> SigmfFile:
    return SigmfFile({"transmit": str(base), "rate_hz": 1e6, **more})


def test_recording_is_opened_by_the_sigmf_package_with_rate_frequency_and_samples(tmp_path: Path, kept: Keep) -> None:
    sigmf = pytest.importorskip("sigmf", reason="the package sigmf is not installed (pip install sigmf)")
    radio = kept(making(tmp_path / "sent", frequency_hz=97e9))
    sent = noise(1)
    radio.transmit(sent, 100)
    recording = sigmf.fromfile(str(tmp_path / "sent.sigmf-meta"))
    recording.validate()
    facts = recording.get_global_info()
    assert (facts["core:datatype"], facts["core:sample_rate"]) == ("cf32_le", 1e6)
    assert recording.get_captures()[0]["core:frequency"] == 97e9
    np.testing.assert_array_equal(recording.read_samples(), np.concatenate([np.zeros(100), sent]).astype(np.complex64))


def test_recording_of_the_sigmf_package_is_read_with_its_rate(tmp_path: Path, kept: Keep) -> None:
    sigmf = pytest.importorskip("sigmf", reason="the package sigmf is not installed (pip install sigmf)")
    sent = noise(2)
    sent.tofile(tmp_path / "theirs.sigmf-data")
    facts = {"core:datatype": "cf32_le", "core:sample_rate": 250e3}
    theirs = sigmf.SigMFFile(data_file=str(tmp_path / "theirs.sigmf-data"), global_info=facts)
    theirs.add_capture(0)
    theirs.tofile(str(tmp_path / "theirs.sigmf-meta"))
    radio = kept(SigmfFile({"receive": str(tmp_path / "theirs.sigmf-meta")}))
    assert radio.rate_hz == 250e3
    np.testing.assert_array_equal(radio.receive(5000, 0.0).samples, sent)


def test_samples_of_a_recording_that_grows_come_as_they_are_written(tmp_path: Path, kept: Keep) -> None:
    writer = kept(making(tmp_path / "sent"))
    reader = kept(SigmfFile({"receive": str(tmp_path / "sent")}))
    ear = Ear(reader, EXACT)
    for seed in range(3):
        sent = noise(seed)
        at = writer.transmit(sent)
        assert ear.hears(sent) == at


def test_flush_goes_to_the_end_and_counts_what_was_skipped(tmp_path: Path, kept: Keep) -> None:
    writer = kept(making(tmp_path / "sent"))
    reader = kept(SigmfFile({"receive": str(tmp_path / "sent")}))
    writer.transmit(noise(1, 700))
    reader.receive(50, 0.0)
    reader.flush()
    assert reader.receive(1, 0.0).samples.size == 0
    sent = noise(2, 30)
    writer.transmit(sent)
    block = reader.receive(100, 0.0)
    np.testing.assert_array_equal(block.samples, sent)
    assert (block.first_index, block.overrun) == (700, 650)


def test_repeated_recording_begins_anew_at_its_end_after_a_gap(recording: Path, kept: Keep) -> None:
    radio = kept(SigmfFile({"receive": str(recording), "repeat": True}))
    first, again = radio.receive(60_000, 10.0), radio.receive(60_000, 10.0)
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.samples.size == 50_000
    assert (again.first_index, again.overrun, again.broken) == (50_001, 1, True)


def test_index_that_is_written_already_is_late(tmp_path: Path, kept: Keep) -> None:
    radio = kept(making(tmp_path / "sent"))
    radio.transmit(noise(1, 100))
    with pytest.raises(LateError, match="from 100 on, got 99"):
        radio.transmit(noise(1, 1), 99)


def test_recording_that_is_made_takes_as_long_as_it_lasts(tmp_path: Path, kept: Keep) -> None:
    radio = kept(making(tmp_path / "sent"))
    began_s = time.monotonic()
    radio.transmit(noise(1, 100_000), 100_000)  # 0.2 s at 1 MS/s
    assert not radio.drain(0.01)
    assert radio.drain(10.0)
    assert time.monotonic() - began_s >= 0.2


def test_recording_is_never_overwritten(recording: Path, kept: Keep) -> None:
    before = Path(f"{recording}.sigmf-data").read_bytes()
    with pytest.raises(RadioError, match="exists"):
        making(recording)
    assert Path(f"{recording}.sigmf-data").read_bytes() == before


KILLED = """
import os, signal, sys
from sdr_backend.driver_suite.bench import noise
from sdr_backend.sigmf_file import SigmfFile
radio = SigmfFile({"transmit": sys.argv[1], "rate_hz": 1e6})
radio.transmit(noise(7))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_writer_leaves_a_recording_of_all_that_was_sent(tmp_path: Path, kept: Keep) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "sent")], check=False)
    assert done.returncode == -signal.SIGKILL
    radio = kept(SigmfFile({"receive": str(tmp_path / "sent")}))
    np.testing.assert_array_equal(radio.receive(10_000, 0.0).samples, noise(7))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"core:datatype": "ci16_le"}, "cf32_le.*ci16_le"),
        ({"core:num_channels": 2}, "one channel.*got 2"),
        ({"core:sample_rate": -1.0}, "sample_rate"),
        ({"core:metadata_only": True}, "without samples"),
    ],
)
def test_recording_that_is_no_single_channel_of_complex_floats_is_refused(
    recording: Path, change: Options, text: str
) -> None:
    path = Path(f"{recording}.sigmf-meta")
    meta = json.loads(path.read_bytes())
    meta["global"] |= change
    path.write_text(json.dumps(meta), encoding="utf-8")
    with pytest.raises(RadioError, match=text):
        SigmfFile({"receive": str(recording)})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"global": {"core:datatype": "cf32_le"}}', "\xff"])
def test_damaged_metadata_are_refused_with_the_file(recording: Path, text: str) -> None:
    Path(f"{recording}.sigmf-meta").write_text(text, encoding="latin-1")
    with pytest.raises(RadioError, match=r"other\.sigmf-meta: expected the metadata of a SigMF recording"):
        SigmfFile({"receive": str(recording)})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "neither"),
        ({"transmit": "sent"}, "rate_hz: expected the sample rate"),
        (
            {"receive": "{recording}", "rate_hz": 1e6},
            "rate_hz: expected the rate of the recording, 2e\\+06 Hz, got 1e\\+06",
        ),
    ],
)
def test_options_that_make_no_radio_are_refused_with_driver_and_reason(
    recording: Path, options: Options, text: str
) -> None:
    filled = {key: str(recording) if value == "{recording}" else value for key, value in options.items()}
    with pytest.raises(ValueError, match=f"driver file: .*{text}"):
        SigmfFile(filled)


def test_absent_recording_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(RadioError, match=r"absent\.sigmf-meta: No such file"):
        SigmfFile({"receive": str(tmp_path / "absent")})
