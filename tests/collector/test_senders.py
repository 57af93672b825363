"""OpenTelemetry's own SDKs as senders, as their users set them up."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from atoll.collector.query import Window
from tests.collector.running import Collecting, collecting

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collecting]:
    with collecting(tmp_path_factory.mktemp("senders")) as made:
        yield made


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_sdk_of_python(collector: Collecting, compression: Compression) -> None:
    resource = Resource.create({"service.name": f"reports-{compression.value}", "service.instance.id": "reports-7"})
    provider = TracerProvider(resource=resource)
    endpoint = f"http://{collector.document.listen}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, compression=compression)))
    tracer = provider.get_tracer("reports")
    with tracer.start_as_current_span("GET /reports", kind=SpanKind.SERVER) as parent:
        with tracer.start_as_current_span("draw", attributes={"pages": 3, "tags": ["a", "b"], "wide": True}) as child:
            child.add_event("half", {"page": 2})
            child.set_status(StatusCode.ERROR, "no ink")
        for number in range(600):
            with tracer.start_as_current_span("line", attributes={"number": number}):
                pass
    assert provider.force_flush()
    provider.shutdown()
    trace = collector.query.trace(f"{parent.get_span_context().trace_id:032x}")
    assert len(trace.spans) == 602
    (root,) = trace.roots
    assert (root.span.name, root.span.kind, root.span.replica) == ("GET /reports", "server", "reports-7")
    drawn = root.children[0].span
    assert (drawn.name, drawn.error, drawn.attributes) == (
        "draw",
        "no ink",
        {"pages": 3, "tags": ["a", "b"], "wide": True},
    )
    assert [(event.name, event.attributes) for event in drawn.events] == [("half", {"page": 2})]


def test_metrics_of_the_sdk_of_python(collector: Collecting) -> None:
    window = Window.last(60)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"http://{collector.document.listen}/v1/metrics"))
    provider = MeterProvider([reader], Resource.create({"service.name": "printer"}))
    meter = provider.get_meter("printer")
    meter.create_counter("pages", "{page}").add(5, {"colour": "blue"})
    meter.create_histogram("print.duration", "s").record(1.5)
    assert provider.force_flush()
    provider.shutdown()
    (pages,) = collector.query.metrics(Window(window.since, window.until + 20), "pages")
    assert (pages.kind, pages.points[-1][1], pages.attributes, pages.unit) == (
        "counter",
        5,
        {"colour": "blue"},
        "{page}",
    )
    (took,) = collector.query.metrics(Window(window.since, window.until + 20), "print.duration.sum")
    assert (took.points[-1][1], took.service) == (1.5, "printer")


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Path:
    """The program in Node.js with its packages, from the registry that npm is set up for."""
    npm = program("npm")
    folder = tmp_path_factory.mktemp("node") / "sender"
    shutil.copytree(NODE, folder)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=110)
    return folder


@pytest.mark.needs_program("node", "npm")
@pytest.mark.timeout(150)
@pytest.mark.parametrize("form", ["proto", "http"])
def test_the_sdk_of_node(collector: Collecting, sender: Path, program: Callable[[str], str], form: str) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.document.listen}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_SERVICE_NAME": "pictures",
    }
    command = [program("node"), "sender.js", form]
    done = subprocess.run(
        command, cwd=sender, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    (root,) = collector.query.trace(done.stdout.strip()).roots
    (child,) = root.children
    assert (root.span.name, root.span.kind, root.span.service) == ("GET /pictures/{name}", "server", "pictures")
    assert child.span.attributes == {"picture.name": "lamp", "sizes": [1, 2], "sharp": True, "quality": 0.5}
    assert child.span.error == "no memory"
    assert [event.name for event in child.span.events] == ["began", "exception"]
