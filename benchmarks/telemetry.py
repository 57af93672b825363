"""What it costs to record every span and send it: CPU a span, and throughput of a server that keeps all of them."""

import statistics
import tempfile
import time
from pathlib import Path

import msgspec

from atoll.model.launch import Launch, Telemetry
from atoll.runtime.telemetry.encoding import SpanEncoder, request, resource
from atoll.runtime.telemetry.export import BATCH, offset_to_epoch
from atoll.runtime.telemetry.traces import Recorder
from benchmarks.collecting import collector
from benchmarks.endpoint import REQUEST, SECONDS, measure
from benchmarks.figures import Result
from benchmarks.processes import ROOT, free_port, python, server

SPANS = 200_000
SERVED = ("http.request.method", "GET", "http.route", "/products/{product_id}", "http.response.status_code", 200)
CALLED = ("peer.service", "catalog", "http.request.method", "GET", "url.template", "/products/{product_id}")


def run(rounds: int) -> Result:
    """Rounds alternate: a server that sends every span to a collector, and the same with nowhere to send them."""
    samples: dict[str, list[float]] = {"kept": [], "not kept": []}
    spans: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "request").write_bytes(REQUEST)
        port = free_port()
        with collector(folder, port):
            for _ in range(rounds):
                spans.append(microseconds_per_span())
                for kept, endpoint in (("kept", f"http://127.0.0.1:{port}"), ("not kept", "")):
                    samples[kept].append(requests_per_cpu_second(folder, endpoint))
    lost = [1 - kept / not_kept for kept, not_kept in zip(samples["kept"], samples["not kept"], strict=True)]
    figures = {
        "microseconds_per_span": round(statistics.median(spans), 3),
        "throughput_lost": round(statistics.median(lost), 3),
    }
    return Result("telemetry", "requests a CPU second", samples, smaller_is_better=False, figures=figures)


def microseconds_per_span() -> float:
    """CPU of this process to record a span, encode it, and put it in a request; one in three is unlike any other."""
    recorder, encoder, who = Recorder(SPANS), SpanEncoder(), resource("shop", "catalog", "catalog-1")
    began = time.process_time()
    for number in range(0, SPANS, 3):
        at = time.monotonic_ns()
        recorder.record("server", "GET /products/{product_id}", number + 1, 2, 3, at, at + 1, "", SERVED)
        recorder.record("client", "catalog.product", number + 1, 4, 2, at, at + 1, "", CALLED)
        ids = ("messaging.destination.name", "order-placed", "messaging.message.id", str(number))
        recorder.record("producer", "publish order-placed", number + 1, 5, 2, at, at + 1, "", ids)
    records = recorder.take_records()
    for first in range(0, len(records), BATCH):
        request(who, encoder.encode(records[first : first + BATCH], offset_to_epoch()))
    return (time.process_time() - began) / len(records) * 1e6


def requests_per_cpu_second(folder: Path, endpoint: str) -> float:
    """Of the endpoint of `benchmarks endpoint`, whose every request is a span."""
    port = free_port()
    launch = Launch(
        system="benchmark",
        service="orders",
        replica="orders-1",
        kind="service",
        target="benchmarks.endpoint.ours:Orders",
        import_path=(str(ROOT),),
        listen=f"127.0.0.1:{port}",
        admin=f"127.0.0.1:{free_port()}",
        telemetry=Telemetry(endpoint),
    )
    document = folder / "launch.json"
    document.write_bytes(msgspec.json.encode(launch))
    with server(python("-m", "atoll.runtime", str(document)), port) as process:
        measure(port, folder / "request", process, 0.3)  # warm
        per_cpu_second, _ = measure(port, folder / "request", process, SECONDS)
    return per_cpu_second
