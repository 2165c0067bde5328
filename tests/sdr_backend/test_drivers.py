"""Our own drivers under the suite that every driver is under."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdr_backend.driver_suite import FrontEndBench, FrontEndChecks, RadioBench, RadioChecks
from sdr_backend.drivers import OptionValue
from tests.sdr_backend.processes import running


class TestZmqIq(RadioChecks):
    """Through a process that stands for the air."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[RadioBench]:
        sent, heard = f"ipc://{tmp_path}/sent", f"ipc://{tmp_path}/heard"
        with running("tests.sdr_backend.zmq_relay", sent, heard) as air:
            options = {"transmit": sent, "receive": heard}
            yield RadioBench(driver="zmq-iq", options=options, loopback=True, restart=air.restart)


class TestZmqIqWithoutPace(RadioChecks):
    """Connected to itself, over TCP, as fast as it can."""

    @pytest.fixture
    def bench(self, free_port: int) -> RadioBench:
        endpoint = f"tcp://127.0.0.1:{free_port}"
        options: dict[str, OptionValue] = {"transmit": endpoint, "receive": endpoint, "paced": False, "block": 333}
        return RadioBench(driver="zmq-iq", options=options, loopback=True)


class TestZmqStreams(RadioChecks):
    """A transmitter alone."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> RadioBench:
        options: dict[str, OptionValue] = {"transmit": f"ipc://{tmp_path}/a ipc://{tmp_path}/b", "stride": 1000}
        return RadioBench(driver="zmq-iq-streams", options=options)


class TestFileThatIsRead(RadioChecks):
    """A recording of another program."""

    @pytest.fixture
    def bench(self, recording: Path) -> RadioBench:
        return RadioBench(driver="file", options={"receive": str(recording)})


class TestSoapyWithRedPitaya(RadioChecks):
    """Debian's module for the Red Pitaya, on a Red Pitaya of software."""

    @pytest.fixture
    def bench(self, red_pitaya_module: None) -> Iterator[RadioBench]:
        with running("sdr_backend.peers.red_pitaya", "--port", "0") as device:
            ports = device.line
            args = f"driver=redpitaya,addr=127.0.0.1,port={ports}"
            options: dict[str, OptionValue] = {"args": args, "rate_hz": 1.25e6, "frequency_hz": 10e6, "patience_s": 0.5}

            def restart() -> None:
                device.kill()
                device.words = [*device.words[:-1], ports]
                device.start()

            yield RadioBench(driver="soapy", options=options, loopback=True, restart=restart)


class TestSimulated(FrontEndChecks):
    @pytest.fixture
    def bench(self) -> FrontEndBench:
        return FrontEndBench(driver="simulated", options={"groups": 3, "phase_bits": 3, "delay_step_s": 7e-12})


class TestIdeal(FrontEndChecks):
    @pytest.fixture
    def bench(self) -> FrontEndBench:
        return FrontEndBench(driver="ideal")
