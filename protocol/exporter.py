"""Serves a process's metrics to Prometheus: ``GET /metrics`` over HTTP on the process's own loop (shell).

The answer is made on the loop, so that nothing it reads changes meanwhile. A scraper that says nothing, or never reads,
costs one of a few connections for a few seconds. Which addresses are refused, config.py says.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from protocol.config import host_and_port
from protocol.metrics import Families, Family, Histogram, gauge
from protocol.resources import memory_limit_bytes
from protocol.versions import package_version

logger = logging.getLogger(__name__)

PATIENCE_S = 5.0
MAX_CONNECTIONS = 8
FRESH_S = 0.25  # whoever asks more often gets the same page again: making one takes two milliseconds of the loop
MAX_REQUEST_BYTES = 8192


class _Families(Collector):
    """A process's families in Prometheus' own classes."""

    def __init__(self, families: Families) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families():
            yield _metric(family)


def _metric(family: Family) -> Metric:
    labels = [family.label] if family.label else []
    metric: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
    match family.kind:
        case "histogram":
            metric = HistogramMetricFamily(family.name, family.text, labels=labels)
        case "counter":
            metric = CounterMetricFamily(family.name, family.text, labels=labels)
        case "gauge":
            metric = GaugeMetricFamily(family.name, family.text, labels=labels)
    for of, value in family.values.items():
        _add(metric, [of] if family.label else [], value)
    return metric


def _add(
    metric: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily, of: list[str], value: float | Histogram
) -> None:
    if isinstance(metric, HistogramMetricFamily):
        assert isinstance(value, Histogram)  # noqa: S101 - the kind says so
        metric.add_metric(of, buckets=value.cumulative(), sum_value=value.sum)
    else:
        assert not isinstance(value, Histogram)  # noqa: S101 - the kind says so
        metric.add_metric(of, value)


def _about_the_process() -> Iterable[Family]:
    version = package_version("nftestbed")
    text = "Version of the software that runs."
    yield Family(name="nftestbed_build_info", kind="gauge", text=text, values={version: 1}, label="version")
    text = "Memory at which the process ends itself."
    yield gauge("nftestbed_memory_limit_bytes", text, memory_limit_bytes())


class MetricsPage:
    """The page as it stands at one moment, and the connections that ask for it."""

    def __init__(self, families: Families) -> None:
        self._registry = CollectorRegistry()
        for collector in (_Families(families), _Families(_about_the_process)):
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        self._connections = 0
        self._made_s, self._text = float("-inf"), b""

    def text(self, now_s: float) -> bytes:
        """Return the page in Prometheus' text format."""
        if now_s - self._made_s >= FRESH_S:
            self._made_s, self._text = now_s, generate_latest(self._registry)
        return self._text

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request on one connection, and close it."""
        self._connections += 1
        try:
            if self._connections <= MAX_CONNECTIONS:
                async with asyncio.timeout(PATIENCE_S):
                    writer.write(self._response(await reader.readuntil(b"\r\n\r\n")))
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            logger.debug("a scraper got no answer: %r", error)
        finally:
            self._connections -= 1
            writer.transport.abort()  # what it did not read is not kept for it

    def _response(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method != b"GET":
            return _http("405 Method Not Allowed", b"GET alone\n")
        if path != b"/metrics":
            return _http("404 Not Found", b"/metrics alone\n")
        return _http("200 OK", self.text(time.monotonic()), CONTENT_TYPE_PLAIN_0_0_4)


def _http(status: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def served(address: str, families: Families) -> AsyncIterator[None]:
    """Serve metrics at ``host:port`` while the context lasts; port 0 is any that is free, and is said in the log.

    Raises
    ------
    OSError
        If the address cannot be bound.
    """
    host, port = host_and_port(address)
    page = MetricsPage(families)
    try:
        server = await asyncio.start_server(page.serve, host, port, limit=MAX_REQUEST_BYTES)
    except OSError as error:
        # what asyncio says of a bind names the address again; what is said of a host has no number of the system's
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise OSError(f"cannot serve metrics at {address}: {reason}") from error
    for bound in server.sockets:
        at, number = bound.getsockname()[:2]
        logger.info("metrics at http://%s:%d/metrics", f"[{at}]" if ":" in at else at, number)
    try:
        yield
    finally:
        server.close()
