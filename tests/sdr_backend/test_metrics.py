from protocol.metrics import Family
from sdr_backend.metrics import families


def named(found: list[Family]) -> dict[str, object]:
    return {family.name: family.values[""] for family in found if "sounding" in family.name}


def test_a_radio_counts_soundings_where_it_has_an_array() -> None:
    assert named(families({}, {}, {"heard": 3}, {}, is_open=True)) == {
        "nftestbed_radio_soundings": 3,
        "nftestbed_radio_unheard_soundings": 0,
    }
    assert not named(families({}, {}, None, {}, is_open=True))
