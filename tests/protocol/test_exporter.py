"""The metrics page: what it says to whom, and what it costs to ask."""

import asyncio
import errno
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from protocol import exporter
from protocol.exporter import FRESH_S, MetricsPage
from protocol.metrics import Durations, Family, counter, gauge


def families() -> list[Family]:
    durations = Durations("nftestbed_request_seconds", "Durations.", "request")
    for seconds in (0.001, 0.002, 40.0):
        durations.observe("configure", seconds)
    refused = counter("nftestbed_refused_messages", "Refused.", {"4.12": 3, "2.6": 1}, "clause")
    return [durations.family(), refused, gauge("nftestbed_session_open", "Open.", True)]


def samples(text: bytes) -> dict[tuple[str, str], float]:
    """Return what Prometheus' own parser reads, by name and bound of a histogram or else the one label."""
    found = (sample for family in text_string_to_metric_families(text.decode()) for sample in family.samples)
    return {(one.name, one.labels.get("le") or "".join(one.labels.values())): one.value for one in found}


async def asked(page: MetricsPage, request: bytes) -> bytes:
    """Return what one connection is answered; nothing if it is cut."""
    server = await asyncio.start_server(page.serve, "127.0.0.1", 0, limit=exporter.MAX_REQUEST_BYTES)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(request)
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


def test_page_holds_each_value_under_its_label_in_prometheus_format() -> None:
    found = samples(MetricsPage(families).text(0.0))
    bucket = "nftestbed_request_seconds_bucket"
    at_most = {bound: found[bucket, bound] for bound in ("0.001", "0.0025", "30.0", "+Inf")}
    assert at_most == {"0.001": 1, "0.0025": 2, "30.0": 2, "+Inf": 3}, "a bound counts what equals it"
    assert found["nftestbed_request_seconds_sum", "configure"] == pytest.approx(40.003)
    assert found["nftestbed_refused_messages_total", "4.12"] == 3
    assert found["nftestbed_session_open", ""] == 1
    assert found["nftestbed_memory_limit_bytes", ""] > found["process_resident_memory_bytes", ""] > 0


def test_page_is_made_anew_only_once_it_has_aged() -> None:
    counts = iter(range(10))
    page = MetricsPage(lambda: [gauge("nftestbed_scrapes", "Scrapes.", next(counts))])
    texts = [page.text(now_s) for now_s in (0.0, 0.9 * FRESH_S, FRESH_S)]
    assert [samples(text)["nftestbed_scrapes", ""] for text in texts] == [0, 0, 1]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n", b"200"),
        (b"GET /metrics?name=x HTTP/1.0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"\r\n\r\n", b"405"),
    ],
)
@pytest.mark.asyncio
async def test_only_get_of_the_page_is_answered_with_it(request_: bytes, status: bytes) -> None:
    head, _, body = (await asked(MetricsPage(families), request_)).partition(b"\r\n\r\n")
    assert head.split()[1] == status
    assert (b"nftestbed_" in body) == (status == b"200")
    assert f"Content-Length: {len(body)}".encode() in head


@pytest.mark.asyncio
async def test_request_without_end_is_dropped_without_an_answer() -> None:
    endless = b"GET /metrics HTTP/1.1\r\n" + b"X: " + 2 * exporter.MAX_REQUEST_BYTES * b"x"
    assert await asked(MetricsPage(families), endless) == b""


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EADDRNOTAVAIL, "error while attempting to bind"), "Cannot assign requested address"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
    ],
)
async def test_address_that_cannot_be_bound_is_told_in_the_systems_words(
    monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    async def start_server(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(asyncio, "start_server", start_server)
    with pytest.raises(OSError, match=f"cannot serve metrics at bed:9464: {words}"):
        async with exporter.served("bed:9464", families):
            pass


@pytest.mark.asyncio
async def test_silent_connection_ends_when_patience_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "PATIENCE_S", 0.05)
    assert await asked(MetricsPage(families), b"GET /metr") == b""
