"""Events from an outbox to an inbox, and plain publishing against raw nats-py and faststream."""

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import nats
import pydantic
import uvloop
from faststream.nats import NatsBroker

from atoll.engines.versions import NATS
from atoll.provision.programs import find_program
from atoll.runtime.events.broker import Broker
from atoll.runtime.events.outgoing import Writer
from atoll.runtime.events.publisher import StreamPublisher
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.metrics import Metrics
from atoll.runtime.telemetry.traces import Recorder
from atoll.testing.running import running
from benchmarks.events.system import Placed, placed
from benchmarks.figures import Result, compare
from benchmarks.processes import free_port, wait_for

EVENTS = 5_000
PUBLISHES, IN_FLIGHT = 4_000, 64
EVENT = Placed("42", "ada", 7)


def run(rounds: int) -> Result:
    samples: dict[str, list[float]] = {}
    uvloop.run(publishing(rounds, samples))
    flows: dict[str, list[float]] = {"single": [], "batched": []}
    for _ in range(rounds):
        for sink, rates in flows.items():
            rates.append(asyncio.run(flow(sink)))
    figures = {
        "outbox_inbox_per_second": round(statistics.median(flows["single"]), 1),
        "outbox_inbox_batched_per_second": round(statistics.median(flows["batched"]), 1),
        "published_per_second": round(statistics.median(samples["atoll"]), 1),
    }
    return compare("events", "plain events published a second", samples, smaller_is_better=False, figures=figures)


async def flow(sink: str) -> float:
    """Events a second from the first publish until the sink has them all, on real engines."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(Path(__file__).parent / "system.py", folder / "events_system.py")
        async with running(f"events_system.py:with_{sink}", folder, variables=os.environ) as system:
            await asyncio.to_thread(_ask, f"{system.addresses['source'][0]}/publish?first=1000000&count=200")
            await _until_seen(system.addresses[sink][0], sink, 200)
            started = time.perf_counter()
            await asyncio.to_thread(_ask, f"{system.addresses['source'][0]}/publish?first=0&count={EVENTS}")
            await _until_seen(system.addresses[sink][0], sink, 200 + EVENTS)
            return EVENTS / (time.perf_counter() - started)


async def _until_seen(address: str, sink: str, count: int) -> None:
    until = time.monotonic() + 120
    while (seen := await asyncio.to_thread(_ask, f"{address}/{sink}/seen", "GET")) < count:
        if time.monotonic() > until:
            raise RuntimeError(f"{sink} saw {seen} of {count} events")
        await asyncio.sleep(0.01)


def _ask(url: str, method: str = "POST") -> int:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=120) as answer:  # noqa: S310
        return int(json.load(answer))


Publish = Callable[[], Awaitable[object]]


async def publishing(rounds: int, samples: dict[str, list[float]]) -> None:
    """The same event with the same headers, acknowledged by the stream, so many in flight; contenders in turn."""
    with nats_server() as url:
        raw = await nats.connect(url)
        await raw.jetstream().add_stream(name="benchmark-order-placed", subjects=["evt.benchmark.order-placed"])
        contenders = {"atoll": ours, "nats-py": with_nats_py, "faststream": with_faststream}
        for _ in range(rounds):
            for name, contender in contenders.items():
                async with contender(url) as publish:
                    await _rate(publish, 200)  # warm
                    samples.setdefault(name, []).append(await _rate(publish, PUBLISHES))
        await raw.close()


async def _rate(publish: Publish, count: int) -> float:
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            await publish()

    started = time.perf_counter()
    await asyncio.gather(*[worker() for _ in range(IN_FLIGHT)])
    return count / (time.perf_counter() - started)


@contextlib.asynccontextmanager
async def ours(url: str) -> AsyncIterator[Publish]:
    telemetry = Telemetry(Recorder(), Metrics(), "benchmark", "benchmark-1")
    broker = Broker(url, "", "", "benchmark")
    publisher = StreamPublisher("benchmark", broker, Writer("benchmark", "orders", (placed,), telemetry))
    broker.start()
    yield lambda: publisher.publish(placed, EVENT)
    await broker.close()


def headers() -> dict[str, str]:
    """What ours sends with each event."""
    return {
        "ce-id": os.urandom(16).hex(),
        "ce-source": "/benchmark/orders",
        "ce-type": "order-placed",
        "ce-specversion": "1.0",
        "ce-time": "2026-01-01T00:00:00Z",
        "ce-partitionkey": "42",
        "content-type": "application/json",
        "traceparent": f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01",
        "Nats-Msg-Id": os.urandom(16).hex(),
    }


@contextlib.asynccontextmanager
async def with_nats_py(url: str) -> AsyncIterator[Publish]:
    connection = await nats.connect(url)
    stream = connection.jetstream()
    payload = b'{"order_id":"42","customer":"ada","total":7}'
    yield lambda: stream.publish("evt.benchmark.order-placed", payload, headers=headers())
    await connection.close()


class ModelOfPlaced(pydantic.BaseModel):
    """What faststream encodes by default."""

    order_id: str
    customer: str
    total: int


@contextlib.asynccontextmanager
async def with_faststream(url: str) -> AsyncIterator[Publish]:
    event = ModelOfPlaced(order_id="42", customer="ada", total=7)
    async with NatsBroker(url, logger=None) as broker:
        subject, stream = "evt.benchmark.order-placed", "benchmark-order-placed"
        yield lambda: broker.publish(event, subject, headers=headers(), stream=stream)


@contextlib.contextmanager
def nats_server() -> Iterator[str]:
    """A broker with a store of its own, as `atoll run` starts it but for its users."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [str(find_program(NATS)), "-js", "-sd", folder, "-a", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            wait_for(port, process)
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=10)
