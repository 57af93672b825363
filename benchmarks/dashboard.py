"""How long a page of the dashboard takes, with a million spans in the store: each page in turn, over HTTP."""

import contextlib
import http.client
import random
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from atoll.collector.arrivals import Arrival, LogIn
from atoll.collector.limits import Limits
from atoll.collector.spans import SpanReader
from atoll.collector.store import Store
from atoll.model.launch import Collection, Dashboard
from atoll.runtime.telemetry.encoding import SpanEncoder, request, resource
from benchmarks.figures import Result
from benchmarks.processes import free_port, python, server

SPANS, TRACES_AT_ONCE, TIMES = 1_000_000, 64, 20
SERVICES = tuple(f"service{number}" for number in range(12))
DATABASE = ("db.system.name", "postgresql", "db.operation.name", "SELECT", "db.query.summary", "SELECT products")
PERIOD = 10_800.0
"""Seconds in which all of them came, a quarter in the last ten minutes."""

FAILS = 200
"""One trace in so many fails."""

PAGES = (
    "/",
    "/?window=3+h",
    "/services",
    "/services/service3?window=3+h",
    "/traces",
    "/traces?service=service3&failed=1",
    "/traces?least=95",
    "/traces?name=nothing+is+called+so",
    "/logs",
    "/logs?text=nothing+says+so",
    "/logs?service=service3&severity=error",
    "/alerts",
    "/limits",
)


def run(rounds: int) -> Result:
    """One store; each round asks for every page several times."""
    samples: dict[str, list[float]] = {}
    everything: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "store")
        with dashboard(folder) as port:
            trace = trace_in(port)
            for _ in range(rounds):
                for page in (*PAGES, trace):
                    taken = [ask(port, page) for _ in range(TIMES)]
                    everything += taken
                    label = "/traces/ID" if page == trace else page
                    samples.setdefault(label, []).append(statistics.median(taken) * 1e3)
    slowest = statistics.quantiles(everything, n=100)[98]
    figures = {"page_p99_seconds": round(slowest, 4), "page_p50_seconds": round(statistics.median(everything), 4)}
    return Result("dashboard", "milliseconds a page", samples, smaller_is_better=True, figures=figures)


def fill(folder: Path) -> None:
    """Traces through all services, of the last hours, with calls, queries, errors and log lines."""
    limits = Limits()
    store, reader, encoder = Store(folder, limits), SpanReader(limits), SpanEncoder()
    now, stored = time.time_ns(), 0
    try:
        while stored < SPANS:
            began = now - int(((SPANS - stored) / SPANS) ** 2 * PERIOD * 1e9)
            spans: dict[str, list[tuple[object, ...]]] = {service: [] for service in SERVICES}
            for _ in range(TRACES_AT_ONCE):
                record(spans, began)
            count = sum(map(len, spans.values()))
            body = b"".join(
                request(resource("shop", service, f"{service}-1"), encoder.encode(records, 0))
                for service, records in spans.items()
            )
            lines = [LogIn(each, f"{each}-1", began, 9, f"request {stored} was served") for each in SERVICES]
            store.write([Arrival(size=len(body), body=body, groups=reader.read(body), logs=lines)], began / 1e9)
            stored += count
    finally:
        store.close()


def record(spans: dict[str, list[tuple[object, ...]]], began: int) -> None:
    """A trace of which each service asks its database and the next service."""
    trace, parent, fails = random.getrandbits(128), 0, random.randrange(FAILS) == 0
    took = random.randrange(10**6, 10**8)
    for number, service in enumerate(SERVICES):
        served, query, call = (random.getrandbits(64) for _ in range(3))
        error = "Unavailable" if fails else ""
        end = began + took - number * 10**4
        spans[service].append(("server", f"GET /things/{number}", trace, served, parent, began, end, error, None))
        spans[service].append(("client", "SELECT products", trace, query, served, began, end, "", DATABASE))
        if number + 1 < len(SERVICES):
            peer = ("peer.service", SERVICES[number + 1])
            spans[service].append(("client", "things.get", trace, call, served, began, end, error, peer))
        parent = call


@contextlib.contextmanager
def dashboard(folder: Path) -> Iterator[int]:
    """Its port."""
    otlp, port = free_port(), free_port()
    document = Collection(
        system="benchmark",
        listen=f"127.0.0.1:{otlp}",
        folder=str(folder / "store"),
        dashboard=Dashboard(listen=f"127.0.0.1:{port}"),
    )
    path = folder / "collection.json"
    path.write_bytes(msgspec.json.encode(document))
    with server(python("-m", "atoll.dashboard", str(path)), port):
        yield port


def trace_in(port: int) -> str:
    found = re.search(rb'href="(/traces/[0-9a-f]{32})"', answer(port, "/traces"))
    if found is None:
        raise RuntimeError("no trace is listed")
    return found[1].decode()


def ask(port: int, page: str) -> float:
    began = time.perf_counter()
    answer(port, page)
    return time.perf_counter() - began


def answer(port: int, page: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", page)
        said = connection.getresponse()
        body = said.read()
        if said.status != 200:
            raise RuntimeError(f"{page} answers {said.status}")
        return body
    finally:
        connection.close()
