"""Every page over a real store, with things stored in it that nobody should trust."""

import re
import secrets
import time
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from atoll.collector.arrivals import Arrival
from atoll.collector.limits import Limits
from atoll.collector.query import LogFilter, Query
from atoll.collector.store import Store
from atoll.dashboard.crowd import STRANGERS
from atoll.dashboard.pages.services import LISTED
from atoll.dashboard.site import NAME, TEXT
from atoll.dashboard.words import number, size
from tests.collector.sending import TRACE, arrival, attributes, hits, line, span, stored
from tests.dashboard.asking import client, word

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b]0;owned\x07{{ 7*7 }}"
PAGES = ("/", "/services", "/traces", "/logs", "/events", "/alerts", "/limits")


def filled(folder: Path, name: str = "POST /orders", service: str = "checkout") -> Path:
    """A request from the gateway through a service to its database and another service, which fails."""
    ids = [secrets.token_bytes(8) for _ in range(3)]
    spans = {
        "gateway": [span("edge", id=ids[0], upstream_cluster__name=service)],
        service: [
            span(name, id=ids[1], parent=ids[0]),
            span("SELECT orders", parent=ids[1], kind=Span.SPAN_KIND_CLIENT, db__system__name="postgresql"),
            span(
                "payment.charge",
                id=ids[2],
                parent=ids[1],
                kind=Span.SPAN_KIND_CLIENT,
                error="Unavailable",
                peer__service="payment",
            ),
        ],
        "payment": [span("POST /charges", parent=ids[2], error="Boom")],
    }
    logs = Arrival(logs=[line(f"{name} was refused", service=service, severity=17, trace=TRACE)])
    return stored(folder, arrival(spans), logs, hits("too busy"))


def test_an_empty_store_has_pages_too(tmp_path: Path) -> None:
    asked = client(tmp_path)
    for path in PAGES:
        assert asked.get(path).status_code == 200, path
    assert "Nothing was seen yet" in asked.get("/").text


def test_the_map_shows_who_asked_whom_and_what_fails(tmp_path: Path) -> None:
    page = client(filled(tmp_path)).get("/").text
    edges = dict(re.findall(r'class="link (\w+) \w+" href="[^"]*" data-edge="([^"]*)"', page))
    assert {edge: health for health, edge in edges.items()} == {
        "gateway→checkout": "good",
        "checkout→payment": "bad",
    }
    assert "checkout → payment: 100 % of calls fail" in page
    assert "postgresql" in page


def test_from_the_map_to_the_failing_trace_and_its_log_line_are_three_clicks(tmp_path: Path) -> None:
    asked = client(filled(tmp_path))
    edge = re.search(r'href="([^"]*)" data-edge="checkout→payment"', asked.get("/").text)
    assert edge
    listed = asked.get(edge[1].replace("&amp;", "&")).text
    trace = re.search(r'href="(/traces/[0-9a-f]{32})"', listed)
    assert trace
    page = asked.get(trace[1]).text
    assert "POST /charges" in page
    assert "Boom" in page
    log = re.search(r'href="(/logs/\d+)">POST /orders was refused', page)
    assert log
    assert "POST /orders was refused" in asked.get(log[1]).text


def test_a_service_has_its_figures_neighbours_and_errors(tmp_path: Path) -> None:
    page = client(filled(tmp_path)).get("/services/checkout").text
    for wanted in ("POST /orders", "payment", "gateway", "postgresql", "POST /orders was refused", "checkout-1"):
        assert wanted in page, wanted
    assert client(tmp_path).get("/services/nobody").status_code == 404


def test_a_service_that_logs_its_failures_as_warnings_is_not_said_to_have_logged_nothing(tmp_path: Path) -> None:
    spans = arrival({"checkout": [span("POST /orders", error="Unavailable")], "payment": [span("POST /charges")]})
    lines = [line(text, service="checkout", severity=severity) for text, severity in (("sold out", 13), ("asked", 9))]
    asked = client(stored(tmp_path, spans, Arrival(logs=lines)))
    page = asked.get("/services/checkout").text
    assert "Warnings in its log" in page
    assert "It logged no error in the last hour. Its last warnings:" in page
    assert "sold out" in page
    assert "asked" not in page
    assert "It logged no error and no warning in the last hour." in asked.get("/services/payment").text


def test_who_tells_nothing_of_itself_has_the_figures_of_its_callers(tmp_path: Path) -> None:
    call = span("charge", kind=Span.SPAN_KIND_CLIENT, peer__service="payment")
    asked = client(stored(tmp_path, arrival({"checkout": [span("POST /orders"), call]})))
    assert "these are the figures of who asks it" in asked.get("/services/payment").text
    assert "by its callers" in asked.get("/services").text
    assert "figures of who asks it" not in asked.get("/services/checkout").text


def test_traces_are_searched_by_service_length_failure_and_id(tmp_path: Path) -> None:
    asked = client(filled(tmp_path))
    for query, is_found in (
        ("service=checkout", True),
        ("service=nobody", False),
        ("least=5", True),
        ("least=5000", False),
        ("failed=1", True),
        ("name=charge", True),
        ("name=nothing", False),
        ("least=nonsense", True),
    ):
        assert (TRACE.hex() in asked.get(f"/traces?{query}").text) is is_found, query
    assert asked.get(f"/traces?id={TRACE.hex()[:8]}").headers["location"] == f"/traces/{TRACE.hex()[:8]}"
    assert asked.get(f"/traces/{TRACE.hex()[:8]}").status_code == 200
    assert asked.get("/traces/ffff").status_code == 404


def test_log_lines_are_filtered_and_lead_to_their_trace(tmp_path: Path) -> None:
    asked = client(filled(tmp_path))
    page = asked.get("/logs?service=checkout&severity=error&text=refused").text
    assert f'href="/traces/{TRACE.hex()}"' in page
    assert "was refused" not in asked.get("/logs?severity=critical").text
    assert "was refused" not in asked.get("/logs?text=nothing").text
    assert asked.get("/logs?severity=nonsense").status_code == 200
    assert asked.get("/logs/999").status_code == 404
    assert asked.get(f"/logs/{10**40}").status_code == 404


def test_the_store_tells_how_old_it_is(tmp_path: Path) -> None:
    began = time.time() - 180
    page = client(stored(tmp_path, arrival({"a": [span()]}), now=began)).get("/limits").text
    assert "<dd>3 min ago</dd>" in page


def test_a_limit_that_was_reached_is_told_on_every_page(tmp_path: Path) -> None:
    asked = client(filled(tmp_path))
    for path in PAGES:
        assert "limit reached: too busy" in asked.get(path).text, path
    assert "a sender was told 429" in asked.get("/limits").text


@pytest.mark.parametrize("path", [*PAGES, f"/traces/{TRACE.hex()}", "/logs/1", "/traces?name=%3Cscript%3E"])
def test_nothing_that_was_stored_or_asked_for_is_ever_markup(tmp_path: Path, path: str) -> None:
    asked = client(filled(tmp_path, HOSTILE, HOSTILE))
    page = asked.get(path).text
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "\x1b" not in page
    assert "49" not in re.findall(r"owned\S*(49)", page)
    assert page.count("<script") == 1


def test_no_page_is_filled_by_what_somebody_stored(tmp_path: Path) -> None:
    long = "n" * 15_000
    root, below = secrets.token_bytes(8), secrets.token_bytes(8)
    spans = [
        span(long, id=root, error="e" * 15_000),
        span("SELECT", parent=root, kind=Span.SPAN_KIND_CLIENT, db__system__name=long, db__query__text=long),
        span(long, id=below, parent=root, kind=Span.SPAN_KIND_CLIENT, peer__service=long),
    ]
    spans[0].attributes.extend(attributes({"k" * 15_000: "v" * 2_000_000}))
    logs = [line("l" * 15_000, service=long, severity=17, trace=TRACE) for _ in range(20)]
    asked = client(stored(tmp_path, arrival({long: spans, f"{long}2": [span(parent=below)]}), Arrival(logs=logs)))
    frame = len(asked.get("/limits").content)
    for path in (*PAGES, f"/traces/{TRACE.hex()}", "/logs/1"):
        answer = asked.get(path)
        assert answer.status_code == 200, path
        assert len(answer.content) < frame + 80_000, path
    trace = asked.get(f"/traces/{TRACE.hex()}").text
    assert f"<dd>{'v' * TEXT} … {number(2_000_000 - TEXT)} more</dd>" in trace
    assert f"<b>{'n' * NAME} … {number(Limits().name + 1 - NAME)} more</b>" in trace


def test_what_is_shown_is_whole_where_it_is_no_longer_than_a_page_bears(tmp_path: Path) -> None:
    name, error = "GET /" + "n" * (NAME - 5), "e" * TEXT
    asked = client(filled(tmp_path, name, "s" * NAME))
    assert f"<b>{name}</b>" in asked.get("/traces").text
    (href,) = set(re.findall(r'href="(/services/s+)"', asked.get("/services").text))
    assert asked.get(href).status_code == 200
    edge = re.search(r'href="(/traces[^"]*)" data-edge="gateway→', asked.get("/").text)
    assert edge
    assert TRACE.hex() in asked.get(edge[1].replace("&amp;", "&")).text
    failed = client(stored(tmp_path / "failed", arrival({"a": [span(error=error)]}))).get(f"/traces/{TRACE.hex()}")
    assert f'<dd class="error">{error}</dd>' in failed.text


def test_a_crowd_of_strangers_is_drawn_and_listed_in_part_and_the_pages_say_so(tmp_path: Path) -> None:
    peers = [
        span(trace=secrets.token_bytes(16), kind=Span.SPAN_KIND_CLIENT, peer__service=f"h{number}")
        for number in range(3_000)
    ]
    asked = client(stored(tmp_path, arrival({"front": peers}), limits=Limits(edges=5_000, edges_each=5_000)))
    page = asked.get("/").text
    assert page.count('<a class="node') == STRANGERS + 1
    assert f"{STRANGERS} of 3001 are drawn" in page
    assert f"{3_001 - STRANGERS} more</text>" in page
    listed = asked.get("/services").text
    assert listed.count("<tr><td") == LISTED + 1
    assert f"and {number(3_001 - LISTED)} more" in listed
    assert f"and {number(3_000 - LISTED)} more" in asked.get("/services/front").text


def test_a_service_with_a_hostile_name_has_a_page(tmp_path: Path) -> None:
    asked = client(filled(tmp_path, service="<b>&/x?y"))
    page = asked.get("/services").text
    (href,) = set(re.findall(r'href="(/services/%3Cb[^"]*)"', page))
    answer = asked.get(href)
    assert answer.status_code == 200
    assert "<b>&amp;/x" not in answer.text


def test_actions_need_the_word_of_the_page_and_a_run(tmp_path: Path) -> None:
    asked = client(filled(tmp_path))
    assert asked.post("/restart/checkout").status_code == 403
    assert asked.post("/events/redrive", data={"number": "all"}).status_code == 403
    with pytest.raises(AssertionError):
        word(asked.get("/services/checkout").text)  # where nobody can restart, there is no button
    assert Query(tmp_path).logs(LogFilter())


def test_no_template_lets_anything_through_unescaped() -> None:
    folder = Path("src/atoll/dashboard/templates")
    assert not [file.name for file in folder.glob("*.html") if re.search(r"\|\s*safe|autoescape", file.read_text())]
    assert not [
        file.name for file in folder.glob("*.html") if re.search(r"https?://|style=|onclick=", file.read_text())
    ]


def test_the_page_of_the_store_tells_what_is_held_in_memory(tmp_path: Path) -> None:
    store = Store(filled(tmp_path), Limits())
    store.expire(time.time())
    store.close()
    page = client(tmp_path).get("/limits").text
    held = {each.name: each for each in Query(tmp_path).held()}
    assert {name: each.rows for name, each in held.items()} == {"names": 5, "errors": 2, "sources": 3, "series": 0}
    cells = ("names", "5", number(20_000), size(held["names"].bytes), "16 MiB")
    assert list(cells) in [re.findall(r">([^<]+)</td>", row) for row in page.split("<tr>")]
    assert 5 * 60 < held["names"].bytes < 5 * 300
