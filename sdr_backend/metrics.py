"""What a radio over real devices tells of itself, as metrics: rules; no I/O, no clock."""

from collections.abc import Mapping

from protocol.metrics import RADIO_COUNTERS, Family, counter_families, link_families

SENT: Mapping[str, tuple[str, str]] = {
    "bursts": ("nftestbed_radio_bursts", "Bursts sent, each one pilot of a setting."),
    "late_bursts": ("nftestbed_radio_late_bursts", "Bursts whose place in time had gone, tried again later."),
}
HEARD: Mapping[str, tuple[str, str]] = {
    "heard": ("nftestbed_radio_soundings", "Soundings heard by the uplink array, each one snapshot."),
    "unheard": ("nftestbed_radio_unheard_soundings", "Captures given up, since the UE was not heard in time."),
}


def families(
    server: Mapping[str, int],
    sent: Mapping[str, int],
    heard: Mapping[str, int] | None,
    link: Mapping[str, int],
    *,
    is_open: bool,
) -> list[Family]:
    """Return all metrics of the radio, from the counters of its server, transmitter, array, if there is one, and link."""
    return [
        *counter_families(server, RADIO_COUNTERS),
        *counter_families(sent, SENT),
        *([] if heard is None else counter_families(heard, HEARD)),
        *link_families(link, is_open=is_open),
    ]
