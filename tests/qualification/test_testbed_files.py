"""Testbed files with a mistake: refused before anything starts, with the place and what was expected there."""

import re
from collections.abc import Mapping

import pytest

from tests.qualification.conftest import LabFactory
from tests.qualification.processes import Lab, said_of_a_refused

pytestmark = pytest.mark.requirement("a mistake in the file is pointed at")

MISTAKES: dict[str, tuple[Mapping[str, object], str]] = {
    "unknown key": (
        {"controller": {"rouns": 2}},
        r"controller\.rouns: expected one of .*rounds.*, got the unknown key",
    ),
    "wrong type": ({"downlink": {"elements": "many"}}, r'downlink\.elements: expected an integer, got "many"'),
    "out of range": ({"controller": {"rounds": 0}}, r"controller\.rounds: expected .*1, got 0"),
    "unknown scheme": ({"controller": {"schemes": [{"scheme": "gps"}]}}, r'controller\.schemes\[0\].*expected .*"gps"'),
    "user nowhere": ({"controller": {"ues": ["ue-9"]}}, r"controller\.ues.*: expected .*, got .*ue-9"),
    "numbered user nowhere": ({"controller": {"ues": ["ue-1..3"]}}, r"controller\.ues\[0\]: expected .*, got ue-3"),
    "user elsewhere": (
        {"emulator": {"users": {"ue-1": {"range_m": 99.0, "motion": {"kind": "random_walk", "speed_m_s": 1.0}}}}},
        r"emulator\.users: .*user 'ue-1': random_walk: expected a place within 1 \.\. 10 m and .*, got 99 m",
    ),
    "open to the network": (
        {"links": {"control": "tcp://0.0.0.0:5750"}},
        r'links\.control: expected a loopback address .*, got "tcp://0\.0\.0\.0:5750"',
    ),
    "metrics open to the network": (
        {"metrics": {"at": {"controller": "0.0.0.0:9464"}}},
        r'metrics\.at: expected a loopback address for controller, .*, got "0\.0\.0\.0:9464"',
    ),
    "metrics of nobody": (
        {"metrics": {"at": {"ue-9": "127.0.0.1:9464"}}},
        r"metrics\.at\.ue-9: expected one of controller, radio, ue-1, ue-2, got ue-9",
    ),
    "no equal groups": (
        {"controller": {"schemes": [{"scheme": "cbs_bt", "angle_groups": 7}]}},
        r"controller\.schemes.*: .*128 subcarriers cannot be cut into 7 equal groups",
    ),
}


def refused(lab: Lab, complaint: str) -> None:
    """Hold the lab's file to a refusal; the last two tests start a process for one."""
    said = said_of_a_refused(lab.file)
    assert re.search(rf"^{re.escape(str(lab.file))}:\d+:\d+: {complaint}", said), said


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_refused_with_file_line_column_and_path(lab_of: LabFactory, mistake: str) -> None:
    changes, complaint = MISTAKES[mistake]
    lab = lab_of(**changes)
    refused(lab, complaint)


SAMPLES = {"settings": "ipc:///s", "channel_port": 5754, "transmit": "ipc:///{ue}.sent", "receive": "ipc:///{ue}.heard"}
UPLINK = {"transmit": "ipc:///{ue}.sounded", "receive": "ipc:///array"}
LISTENING = {
    "sdr": {**SAMPLES, "uplink": UPLINK},
    "sdr_backend": {
        "radio": {"driver": "zmq-iq-streams"},
        "uplink": {"radio": {"driver": "zmq-iq", "options": {"width": 9}}},
    },
    "sounding": {"slots": ["ue-1"]},
}
MISTAKES_WITH_SAMPLES: dict[str, tuple[Mapping[str, object], str]] = {
    "exposed": (
        {"sdr": {**SAMPLES, "settings": "tcp://0.0.0.0:5753"}},
        r'sdr\.settings: expected a loopback address or ipc://, got "tcp://0\.0\.0\.0:5753"',
    ),
    "one stream for all": (
        {"sdr": {**SAMPLES, "receive": "ipc:///heard"}},
        r'sdr\.receive: expected \{ue\} for the name of each UE, got "ipc:///heard"',
    ),
    "no device": (
        {
            "sdr": {
                **SAMPLES,
                "program": "red_pitaya",
                "transmit": "tcp://127.0.0.1:5755",
                "receive": {"ue-1": "tcp://127.0.0.1:5756"},
            },
            "sdr_backend": {"radio": {"driver": "soapy"}},
            "ue_agent": {"receiver": "ofdm"},
        },
        r"sdr\.receive: expected a device for each of the emulator's users, got none for ue-2",
    ),
    "devices elsewhere": (
        {"sdr": {**SAMPLES, "program": "red_pitaya", "receive": {"ue-1": "tcp://127.0.0.1:5756"}}},
        r"sdr\.transmit: expected tcp://127\.0\.0\.1:port, where devices of software are, got .ipc:///\{ue\}\.sent",
    ),
    "no radio": ({"sdr": SAMPLES}, r"sdr_backend\.radio: expected a value, got nothing"),
    "other frames": (
        {
            "sdr": SAMPLES,
            "sdr_backend": {"radio": {"driver": "zmq-iq-streams", "options": {"stride": 15360}}},
            "ue_agent": {"receiver": "ofdm"},
        },
        r"sdr_backend\.radio\.options\.stride: expected 960, the samples of a frame of 128 subcarriers, got 15360",
    ),
    "nobody sounds": (
        {**LISTENING, "ue_agent": {"receiver": "ofdm"}},
        r"sdr\.uplink: expected sounding, sdr_backend\.uplink and ue_agent\.sounder beside it, got not all of them",
    ),
    "other antennas": (
        {**LISTENING, "ue_agent": {"receiver": "ofdm", "sounder": "ofdm"}},
        r"sdr_backend\.uplink\.radio\.options\.width: expected 32, the elements of the uplink array, got 9",
    ),
    "other rounds": (
        {**LISTENING, "ue_agent": {"receiver": "ofdm", "sounder": "ofdm", "sounder_options": {"stride": 5}}},
        r"ue_agent\.sounder_options\.stride: expected \d+, the samples of a round of 1 slots of \d+ subcarriers, got 5",
    ),
    "a slot twice": (
        {**LISTENING, "sounding": {"slots": ["ue-1", "ue-1"]}},
        r"sounding\.slots: expected each name once, got ue-1, ue-1",
    ),
    "emulated receivers": (
        {"sdr": SAMPLES, "sdr_backend": {"radio": {"driver": "zmq-iq-streams"}}, "ue_agent": {}},
        r"ue_agent: expected a receiver of samples beside sdr, got emulated",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES_WITH_SAMPLES)
def test_mistake_about_samples_is_pointed_at(lab_of: LabFactory, mistake: str) -> None:
    changes, complaint = MISTAKES_WITH_SAMPLES[mistake]
    lab = lab_of(**changes)
    refused(lab, complaint)


@pytest.mark.parametrize("text", ["name: [small", "name: small\nname: small\n", ""])
def test_text_that_is_no_testbed_is_refused_with_its_place(lab_of: LabFactory, text: str) -> None:
    lab = lab_of()
    lab.file.write_text(text)
    refused(lab, ".*expected .*, got ")


def test_process_of_its_own_refuses_likewise(lab_of: LabFactory) -> None:
    changes, complaint = MISTAKES["unknown key"]
    lab = lab_of(**changes)
    process = lab.command("run", str(lab.file))
    assert process.ended() == 2
    assert re.search(rf"^{re.escape(str(lab.file))}:\d+:\d+: {complaint}", process.errors), process.errors
    assert process.out == []


def test_file_that_is_not_there_is_named(lab_of: LabFactory) -> None:
    process = lab_of().command("run", "nowhere.yaml")
    assert process.ended() == 2
    assert "nowhere.yaml" in process.errors
    assert "Traceback" not in process.errors
