"""The page of metrics, read by Prometheus's own tool."""

import subprocess
from collections.abc import Callable

import pytest

from atoll.runtime.client import Destination
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.machine import observe
from atoll.runtime.telemetry.metrics import BOUNDS, Metrics
from atoll.runtime.telemetry.traces import Recorder
from atoll.wire.exposition import Figure, page


def telemetry() -> Telemetry:
    made = Telemetry(Recorder(), Metrics((0.2,)), "payment", "payment-1")
    observe(made, "shop")
    return made


@pytest.mark.needs_program("promtool")
def test_prometheus_reads_the_page_of_a_process(program: Callable[[str], str]) -> None:
    made = telemetry()
    Destination("catalog", ("http://127.0.0.1:1",), made)
    made.metrics.histogram("http.server.request.duration", "Durations.", {"http.route": 'a"\\\nb'}).observe(0.15)
    text = made.metrics.render()
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=20
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    for line in (
        'target_info{service_instance_id="payment-1",service_name="payment",service_namespace="shop"',
        'atoll_client_breaker{destination="catalog"} 0',
        'atoll_client_bulkhead_limit{destination="catalog"} 256',
        'http_client_active_requests{destination="catalog"} 0',
    ):
        assert line in text
    assert float(text.split("\nprocess_resident_memory_bytes ")[1].split()[0]) > 1_000_000
    assert float(text.split("\nprocess_open_fds ")[1].split()[0]) >= 3


def test_a_promised_time_is_a_bound_of_its_own() -> None:
    made = Metrics((0.2, 1))
    made.histogram("a", "A.", {}).observe(0.15)
    counts = [line for line in made.render().splitlines() if "_bucket" in line]
    assert len(counts) == len(BOUNDS) + 2
    assert counts[5:7] == ['a_seconds_bucket{le="0.1"} 0', 'a_seconds_bucket{le="0.2"} 1']
    assert 'a_seconds_bucket{le="1.0"} 1' in counts


def test_one_name_has_one_kind() -> None:
    made = Metrics()
    made.counter("a", "A.", {}).add(2)
    with pytest.raises(TypeError, match="a_total is a counter"):
        made.gauge("a.total", "A.", {})
    assert "a_total 2\n" in made.render()


def test_figures_of_one_name_stand_under_one_heading() -> None:
    found = [
        Figure("b", "gauge", "B.", 1, {}),
        Figure("a", "counter", "A.", 2, {"x": "1"}),
        Figure("b", "gauge", "B.", 3, {"y": "\n"}),
    ]
    assert page(found) == (
        '# HELP a A.\n# TYPE a counter\na{x="1"} 2\n# HELP b B.\n# TYPE b gauge\nb 1\nb{y="\\n"} 3\n'
    )
