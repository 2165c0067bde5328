"""What the emulated radio tells of itself, as metrics: rules; no I/O, no clock."""

from collections.abc import Mapping

from protocol.metrics import RADIO_COUNTERS, Durations, Family, counter_families, link_families


def answer_durations() -> Durations:
    """Return the histograms of how long answers take to compute, by the request: ``configure``, ``capture``, ``listen``."""
    return Durations("nftestbed_radio_answer_seconds", "Time to compute an answer.", "request")


def families(server: Mapping[str, int], answers: Durations, link: Mapping[str, int], *, is_open: bool) -> list[Family]:
    """Return all metrics of the radio, from the counters of its server and of its link."""
    return [*counter_families(server, RADIO_COUNTERS), answers.family(), *link_families(link, is_open=is_open)]
