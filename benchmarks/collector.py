"""How many spans a second a collector takes: sent by us over HTTP, stored when they are answered."""

import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path

import uvloop

from atoll.collector.query import Query
from atoll.runtime.telemetry.encoding import SpanEncoder, request, resource
from atoll.runtime.telemetry.post import Post
from benchmarks.collecting import collector
from benchmarks.figures import Result
from benchmarks.processes import cpu_seconds, free_port
from benchmarks.telemetry import CALLED, SERVED

SPANS, BATCH, CONNECTIONS = 200_000, 512, 4
IN_A_TRACE = 8


def run(rounds: int) -> Result:
    """Each round a store that is empty."""
    samples: dict[str, list[float]] = {"spans a second": [], "spans a CPU second": []}
    for _ in range(rounds):
        per_second, per_cpu_second = one_round()
        samples["spans a second"].append(per_second)
        samples["spans a CPU second"].append(per_cpu_second)
    figures = {"spans_per_second": round(statistics.median(samples["spans a second"]))}
    return Result("collector", "spans taken", samples, smaller_is_better=False, figures=figures)


def one_round() -> tuple[float, float]:
    bodies = [body() for _ in range(SPANS // BATCH)]
    count = len(bodies) * BATCH
    with tempfile.TemporaryDirectory() as name:
        port = free_port()
        with collector(Path(name), port) as process:
            before, began = cpu_seconds(process), time.perf_counter()
            uvloop.run(send(bodies, port))
            elapsed, used = time.perf_counter() - began, cpu_seconds(process) - before
        stored = Query(Path(name) / "store").stored().spans
    if stored != count:
        raise RuntimeError(f"{stored} of {count} spans were stored")
    return count / elapsed, count / used


async def send(bodies: list[bytes], port: int) -> None:
    """All of them, over several connections; each waits for its answer, which says that the spans are stored."""
    waiting = iter(bodies)

    async def one() -> None:
        post = Post(f"http://127.0.0.1:{port}", {})
        for each in waiting:
            answer = await post.send("/v1/traces", each)
            if answer.status != 200:
                raise RuntimeError(f"the collector answers {answer.status}")
        post.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(one())


def body() -> bytes:
    """A request as a service sends it: traces of their own, of which each has a server's span and calls below it."""
    encoder = SpanEncoder()
    now = time.time_ns()
    records: list[tuple[object, ...]] = []
    for _ in range(BATCH // IN_A_TRACE):
        trace, parent = random.getrandbits(128), random.getrandbits(64)
        took = random.randrange(10**6, 10**8)
        records.append(("server", "GET /products/{product_id}", trace, parent, 0, now, now + took, "", SERVED))
        for number in range(IN_A_TRACE - 1):
            span = random.getrandbits(64)
            records.append(("client", f"catalog.call{number}", trace, span, parent, now, now + took, "", CALLED))
    return request(resource("shop", "catalog", "catalog-1"), encoder.encode(records, 0))
