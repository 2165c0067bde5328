import math

import msgspec
import pytest

from emulator.config import (
    ClocksSection,
    ElementErrorsSection,
    EmulatorSection,
    FrontEndErrorsSection,
    FrontEndSection,
    LinkBudget,
    NoNoise,
    PathSection,
    SweepMean,
)

USER: dict[str, object] = {"range_m": 15.0, "angle_deg": 10.0}
STOP = USER | {"speed_m_s": 1.0}
WAYPOINTS: dict[str, object] = {"kind": "waypoints", "points": [USER, STOP], "repeat": "once"}
WALK: dict[str, object] = {"kind": "random_walk", "speed_m_s": 1.4}


def section(**changes: object) -> EmulatorSection:
    return msgspec.convert({"users": {"ue-1": USER}} | changes, EmulatorSection)


def test_section_with_users_alone_is_complete() -> None:
    assert section().downlink_noise == SweepMean(snr_db=10.0)
    assert section().front_end == FrontEndSection()
    assert section().users["ue-1"].visible_subarrays == "all"


def test_noise_mode_chooses_its_parameters() -> None:
    budget = {"mode": "link_budget", "transmit_power_dbm": 20, "noise_figure_db": 7}
    parsed = section(downlink_noise=budget, uplink_noise={"mode": "none"})
    assert parsed.downlink_noise == LinkBudget(transmit_power_dbm=20, noise_figure_db=7, temperature_k=290)
    assert parsed.uplink_noise == NoNoise()


def test_numbered_users_are_one_by_one_once_they_are_read() -> None:
    parsed = section(users={"cart": USER, "ue-1..3": USER | {"motion": WALK}})
    assert list(parsed.users) == ["cart", "ue-1", "ue-2", "ue-3"]
    assert parsed.users["ue-1"] is parsed.users["ue-3"] != parsed.users["cart"]


def test_section_survives_a_round_trip() -> None:
    paths: list[dict[str, object]] = [
        {"kind": "diffracted", "gain_db": -6.0},
        {"kind": "reflected", "visible_subarrays": [1, 2]},
    ]
    user = USER | {"visible_subarrays": [0, 2], "velocity_m_s": [0.5, -1], "paths": paths}
    moving = {
        "w": {"motion": WAYPOINTS},
        "r": USER | {"motion": WALK},
        "t": {"motion": {"kind": "recorded", "file": "a"}},
    }
    parsed = section(users={"ue-1": user, **moving}, clocks={"timing_jitter_rms_s": 1e-12})
    assert msgspec.convert(msgspec.to_builtins(parsed), EmulatorSection) == parsed


def test_hardware_of_a_file_that_says_nothing_of_errors_has_none() -> None:
    parsed = section()
    assert (
        parsed.front_end.errors
        == FrontEndErrorsSection()
        == FrontEndErrorsSection(gain_rms_db=0.0, phase_rms_deg=0.0, dead_fraction=0.0, delay_rms_s=0.0)
    )
    assert parsed.uplink_errors == ElementErrorsSection(gain_rms_db=0.0, phase_rms_deg=0.0, dead_fraction=0.0)
    assert parsed.clocks == ClocksSection(phase_noise_rms_deg=0.0, timing_jitter_rms_s=0.0)
    assert parsed.users["ue-1"].paths == ()
    assert (parsed.users["ue-1"].timing_offset_s, parsed.users["ue-1"].carrier_offset_hz) == (0.0, 0.0)


def test_path_of_which_the_file_names_the_kind_alone_is_drawn() -> None:
    paths = section(users={"a": USER | {"paths": [{"kind": "reflected"}]}}).users["a"].paths
    drawn = PathSection(
        kind="reflected", range_m="drawn", angle_deg="drawn", gain_db="drawn", visible_subarrays="drawn"
    )
    assert paths == (drawn,)


def test_errors_of_the_front_end_are_not_advertised() -> None:
    erring = FrontEndSection(errors=FrontEndErrorsSection(gain_rms_db=1.0, dead_fraction=0.5, delay_rms_s=1e-12))
    assert erring.limits(512) == FrontEndSection().limits(512)


def test_front_end_advertises_what_the_file_says() -> None:
    limits = FrontEndSection(groups=1, phase_bits=6, delay_step_s=3e-12, delay_span_s=15e-9, settle_s=1e-3).limits(512)
    assert (limits.elements, limits.groups, limits.phase_bits) == (512, 1, 6)
    assert (limits.delay_step_s, limits.delay_span_s, limits.settle_s) == (3e-12, 15e-9, 1e-3)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"sead": 1}, "sead"),
        ({"seed": -1}, r"\$\.seed"),
        ({"users": {"UE 1": USER}}, r"\$\.users"),
        ({"users": {"a2": USER, "a1..3": USER}}, r"users: expected distinct names, got a2 twice \(a2, a1\.\.3\)"),
        ({"users": {"a": {"range_m": 0.0, "angle_deg": 0.0}}}, "range_m"),
        ({"users": {"a": {"range_m": 5.0, "angle_deg": 90.0}}}, "angle_deg"),
        ({"users": {"a": {"range_m": math.inf, "angle_deg": 0.0}}}, "range_m must be finite"),
        ({"users": {"a": USER | {"velocity_m_s": [math.nan, 0.0]}}}, "velocity_m_s must be finite"),
        ({"users": {"a": USER | {"visible_subarrays": []}}}, "at least one"),
        ({"users": {"a": USER | {"visible_subarrays": [1, 1]}}}, "distinct"),
        ({"users": {"a": USER | {"visible_subarrays": "some"}}}, "visible_subarrays"),
        ({"users": {"a": {"angle_deg": 5.0}}}, "range_m: expected a value, got nothing"),
        ({"users": {"a": {"range_m": 5.0}}}, "angle_deg: expected a value, got nothing"),
        ({"users": {"a": USER | {"motion": {"kind": "fly"}}}}, "fly"),
        ({"users": {"a": USER | {"motion": WAYPOINTS}}}, r"range_m: expected nothing beside a motion .*, got 15\.0"),
        (
            {"users": {"a": USER | {"motion": {"kind": "recorded", "file": "a.csv"}}}},
            "range_m: expected nothing beside",
        ),
        (
            {"users": {"a": USER | {"motion": WALK, "velocity_m_s": [1.0, 0.0]}}},
            "velocity_m_s: expected nothing beside",
        ),
        ({"users": {"a": {"motion": WALK}}}, "range_m: expected a value, got nothing"),
        ({"users": {"a": USER | {"motion": WALK | {"speed_m_s": 0.0}}}}, "speed_m_s"),
        ({"users": {"a": USER | {"motion": WALK | {"turn_time_s": math.inf}}}}, "turn_time_s must be finite"),
        ({"users": {"a": {"motion": WAYPOINTS | {"repeat": "twice"}}}}, "twice"),
        (
            {"users": {"a": {"motion": WAYPOINTS | {"repeat": "loop"}}}},
            "points: expected the speed_m_s of the way back",
        ),
        ({"users": {"a": {"motion": WAYPOINTS | {"points": [USER, USER]}}}}, "at index 1, got neither"),
        ({"users": {"a": {"motion": WAYPOINTS | {"points": [USER, STOP | {"at_s": 9.0}]}}}}, "at index 1, got both"),
        ({"users": {"a": {"motion": WAYPOINTS | {"points": [STOP, STOP]}}}}, "expected neither speed_m_s nor at_s"),
        ({"users": {"a": {"motion": WAYPOINTS | {"points": [USER]}}}}, "points"),
        ({"downlink_noise": {"mode": "pink"}}, "pink"),
        ({"uplink_noise": {"mode": "sweep_mean", "snr_db": math.nan}}, "snr_db must be finite"),
        ({"downlink_noise": {"mode": "none", "snr_db": 3.0}}, "snr_db"),
        ({"front_end": {"phase_bits": 17}}, "phase_bits"),
        ({"front_end": {"delay_step_s": 2e-9, "delay_span_s": 1e-9}}, "must not exceed"),
        ({"scatterers": [{"range_m": -1.0, "angle_deg": 0.0, "gain_db": -3.0}]}, "range_m"),
        ({"link_faults": {"drop": 1.5}}, "drop"),
        ({"front_end": {"errors": {"gain_rms": 1.0}}}, "gain_rms"),
        ({"front_end": {"errors": {"gain_rms_db": -1.0}}}, "gain_rms_db"),
        ({"front_end": {"errors": {"dead_fraction": 1.5}}}, "dead_fraction"),
        ({"front_end": {"errors": {"delay_rms_s": math.inf}}}, "delay_rms_s must be finite"),
        ({"uplink_errors": {"delay_rms_s": 1e-12}}, "delay_rms_s"),
        ({"clocks": {"carrier_offset_hz": 1.0}}, "carrier_offset_hz"),
        ({"clocks": {"phase_noise_rms_deg": math.inf}}, "phase_noise_rms_deg must be finite"),
        ({"users": {"a": USER | {"paths": "some"}}}, "paths"),
        ({"users": {"a": USER | {"paths": [{"kind": "bent"}]}}}, "bent"),
        ({"users": {"a": USER | {"paths": [{"range_m": 5.0}]}}}, "kind"),
        ({"users": {"a": USER | {"paths": [{"kind": "reflected", "range_m": 0.0}]}}}, "range_m"),
        ({"users": {"a": USER | {"paths": [{"kind": "reflected", "gain_db": math.nan}]}}}, "gain_db must be finite"),
        ({"users": {"a": USER | {"paths": [{"kind": "reflected", "visible_subarrays": [1, 1]}]}}}, "distinct"),
        ({"users": {"a": USER | {"timing_offset_s": math.inf}}}, "timing_offset_s must be finite"),
    ],
)
def test_impossible_value_is_refused_and_named(changes: dict[str, object], where: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=where):
        section(**changes)
