"""What a UE agent tells of itself, as metrics: rules; no I/O, no clock."""

from collections.abc import Mapping

from protocol.metrics import Family, counter_families, link_families

COUNTERS: Mapping[str, tuple[str, str]] = {
    "reports": ("nftestbed_ue_reports", "Reports made of received grids."),
    "repeated": ("nftestbed_ue_repeated_requests", "Requests that came again and got the same report."),
    "unwanted_grids": ("nftestbed_ue_unwanted_grids", "Grids received though none was asked for."),
    "stale_grids": ("nftestbed_ue_stale_grids", "Grids of an older epoch than the one asked for."),
    "missed_pilots": ("nftestbed_ue_missed_pilots", "Requests whose pilot had gone from the air."),
}


def families(agent: Mapping[str, int], link: Mapping[str, int], *, is_open: bool) -> list[Family]:
    """Return all metrics of a UE, from the counters of its agent and of its link."""
    return counter_families(agent, COUNTERS) + link_families(link, is_open=is_open)
