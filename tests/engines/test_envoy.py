"""The gateway as clients and services meet it: a real Envoy between real sockets."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from atoll.engines import envoy, versions
from atoll.engines.edge import Limits
from atoll.engines.envoy import Cluster, Endpoint, Gateway, Places
from atoll.engines.routing import Route
from atoll.errors import AtollError
from atoll.provision.programs import find_program
from atoll.supervisor.envoy_admin import change
from atoll.supervisor.home import Home
from atoll.supervisor.install import check_envoy
from tests.engines.exchange import Backend, Connection, backends, connection, read_chunk, request
from tests.engines.running import running, start
from tests.ports import free_port
from tests.waiting import eventually

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass(frozen=True)
class Running:
    """A gateway, its places, and what it is configured as."""

    gateway: Gateway
    places: Places

    @property
    def port(self) -> int:
        return self.gateway.port

    async def change(self, before: Gateway, after: Gateway) -> None:
        await change(after, self.places, before)

    async def log(self, lines: int) -> list[dict[str, object]]:
        """The access log, once it has so many lines."""
        await eventually(lambda: len(self._lines()) >= lines)
        return [json.loads(line) for line in self._lines()]

    def _lines(self) -> list[str]:
        path = Path(self.places.access_log)
        return path.read_text().split("\n")[:-1] if path.exists() else []  # the last may be written just now


@asynccontextmanager
async def front(
    home: Home, routes: Sequence[Route], clusters: Sequence[Cluster], limits: Limits | None = None, collector: str = ""
) -> AsyncIterator[Running]:
    gateway = Gateway(free_port(), tuple(routes), tuple(clusters), limits=limits or Limits(), collector=collector)
    folder = home.state / "envoy"
    places = Places(folder, folder / "admin.sock", home.logs / "access.jsonl")
    async with running(envoy.engine(find_program(versions.ENVOY), gateway, places), home.logs / "envoy.log"):
        yield Running(gateway, places)


def cluster(name: str, *replicas: Backend, health: str = "") -> Cluster:
    return Cluster(name, tuple(Endpoint("127.0.0.1", each.port) for each in replicas), health)


CATALOG = (
    Route("/products/{product_id}", "catalog", ("GET",), operation="catalog.product"),
    Route("/products/{product_id}", "catalog", ("PUT",), operation="catalog.change"),
    Route("/products/feed", "catalog", ("GET",), operation="catalog.feed"),
    Route("/products/{product_id}/parts/{part}", "catalog", ("GET",), operation="catalog.part"),
)


async def test_a_literal_segment_beats_a_parameter_and_both_beat_a_prefix(home: Home) -> None:
    page = Route("/", "frontend", prefix=True, operation="frontend")
    admin = Route("/admin", "admin", prefix=True, operation="admin")
    async with (
        backends("catalog", "frontend", "admin") as (catalog, frontend, tools),
        front(
            home,
            [page, admin, *CATALOG],
            [cluster("catalog", catalog), cluster("frontend", frontend), cluster("admin", tools)],
        ) as gateway,
        connection(gateway.port) as client,
    ):
        wanted = [
            ("GET", "/products/7", "catalog", "catalog.product"),
            ("GET", "/products/7?a=/b", "catalog", "catalog.product"),
            ("HEAD", "/products/7", "catalog", "catalog.product"),
            ("PUT", "/products/7", "catalog", "catalog.change"),
            ("GET", "/products/feed", "catalog", "catalog.feed"),
            ("PUT", "/products/feed", "catalog", "catalog.change"),
            ("GET", "/products/a.b-c/parts/1", "catalog", "catalog.part"),
            ("GET", "/products/", "frontend", "frontend"),
            ("POST", "/products", "frontend", "frontend"),
            ("GET", "/admin", "admin", "admin"),
            ("GET", "/admin/users", "admin", "admin"),
            ("GET", "/administrator", "frontend", "frontend"),
            ("GET", "/", "frontend", "frontend"),
        ]
        for method, path, _, _ in wanted:
            assert (await client.request(method, path)).status == 200
        logged = await gateway.log(len(wanted))
    assert [(each["cluster"], each["route"]) for each in logged] == [(name, route) for _, _, name, route in wanted]


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "allow"),
    [
        ("GET", "/nothing", 404, "not-found", None),
        ("GET", "/products/7/", 404, "not-found", None),
        ("DELETE", "/products/7", 405, "method-not-allowed", "GET, HEAD, PUT"),
        ("DELETE", "/products/feed", 405, "method-not-allowed", "GET, HEAD, PUT"),
        ("TRACE", "/products/7", 405, "method-not-allowed", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        ("GET", "/products/a%2fb", 400, "invalid-request", None),
        ("GET", "/products/7", 503, "unavailable", None),
    ],
)
async def test_what_the_gateway_answers_itself_is_a_problem_document(
    home: Home, method: str, path: str, status: int, kind: str, allow: str | None
) -> None:
    gone = Cluster("catalog", (Endpoint("127.0.0.1", free_port()),), "")
    async with front(home, CATALOG, [gone]) as gateway:
        answer = await request(gateway.port, method, path, {"traceparent": TRACEPARENT})
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get("allow") == allow
    assert answer.json["type"] == f"urn:atoll:problem:{kind}"
    assert answer.json["status"] == status
    assert ("retry-after" in answer.headers) == (status == 503)
    if status != 400:  # refused before there is a trace
        assert answer.json["trace_id"] == TRACEPARENT[3:35]
        assert answer.json["instance"] == path
    told = answer.body.decode() + str(answer.headers)
    assert "envoy" not in told.lower()
    assert "127.0.0.1" not in told


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_above_the_limit_is_refused_and_one_at_the_limit_is_not(home: Home, chunked: bool) -> None:
    def sent(size: int) -> tuple[dict[str, str], bytes]:
        body = b"x" * size
        if not chunked:
            return {}, body
        return {"transfer-encoding": "chunked"}, f"{size:x}\r\n".encode() + body + b"\r\n0\r\n\r\n"

    async with (
        backends("catalog") as (catalog,),
        front(home, CATALOG, [cluster("catalog", catalog)], Limits(body=1000)) as gateway,
    ):
        allowed = await request(gateway.port, "PUT", "/products/7", *sent(1000))
        refused = await request(gateway.port, "PUT", "/products/7", *sent(1001))
    assert (allowed.status, allowed.json["size"]) == (200, 1000)
    assert (refused.status, refused.json["type"]) == (413, "urn:atoll:problem:too-large")


async def test_headers_above_their_limits_are_refused(home: Home) -> None:
    async with backends("catalog") as (catalog,), front(home, CATALOG, [cluster("catalog", catalog)]) as gateway:
        large = await request(gateway.port, "GET", "/products/7", {"x": "y" * 40_000})
        many = await request(gateway.port, "GET", "/products/7", {f"x{n}": "y" for n in range(150)})
        odd = await request(gateway.port, "GET", "/products/7", {"x_forwarded_for": "1.2.3.4"})
    assert (large.status, many.status, odd.status) == (431, 431, 400)
    assert catalog.requests == []


async def test_a_service_gets_a_deadline_and_no_client_can_change_it(home: Home) -> None:
    routes = [*CATALOG, Route("/page", "catalog", prefix=True, timeout=1.5)]
    forged = {
        "x-envoy-upstream-rq-timeout-ms": "99999",
        "x-envoy-expected-rq-timeout-ms": "77777",
        "x-envoy-max-retries": "50",
        "x-envoy-retry-on": "5xx",
    }
    async with backends("catalog") as (catalog,), front(home, routes, [cluster("catalog", catalog)]) as gateway:
        for path in ("/products/7", "/page"):
            await request(gateway.port, "GET", path, forged)
    deadlines = [each.headers["x-envoy-expected-rq-timeout-ms"] for each in catalog.requests]
    assert deadlines == ["3000", "1500"]
    assert not {"x-envoy-upstream-rq-timeout-ms", "x-envoy-max-retries"} & set(catalog.requests[0].headers)


async def test_past_the_deadline_the_client_gets_504(home: Home) -> None:
    route = Route("/silent", "catalog", ("GET",), timeout=0.2)
    async with backends("catalog") as (catalog,), front(home, [route], [cluster("catalog", catalog)]) as gateway:
        answer = await request(gateway.port, "GET", "/silent")
    assert (answer.status, answer.json["type"]) == (504, "urn:atoll:problem:deadline-exceeded")


async def test_a_service_sees_who_asks_and_a_client_does_not_see_who_answers(home: Home) -> None:
    forged = {"x-forwarded-for": "6.6.6.6", "x-request-id": "mine", "host": "shop.example:8080"}
    async with backends("catalog") as (catalog,), front(home, CATALOG, [cluster("catalog", catalog)]) as gateway:
        answer = await request(gateway.port, "GET", "/products/../products/7", forged)
    (seen,) = catalog.requests
    assert seen.path == "/products/7"
    assert seen.headers["x-forwarded-for"] == "127.0.0.1"
    assert seen.headers["host"] == "shop.example:8080"
    assert seen.headers["x-request-id"] == answer.headers["x-request-id"] != "mine"
    assert "server" not in answer.headers
    assert not [name for name in answer.headers if name.startswith("x-envoy")]


async def test_the_access_log_is_a_hop_between_the_callers_span_and_the_services(home: Home) -> None:
    async with backends("catalog") as (catalog,), front(home, CATALOG, [cluster("catalog", catalog)]) as gateway:
        await request(gateway.port, "GET", "/products/7?secret=1", {"traceparent": TRACEPARENT})
        await request(gateway.port, "GET", "/products/8")
        continued, created = await gateway.log(2)
    inside = [each.headers["traceparent"].split("-") for each in catalog.requests]
    # The trace that the client began goes on, through the gateway's own span.
    assert continued["parent"] == TRACEPARENT
    assert inside[0] == ["00", TRACEPARENT[3:35], continued["span_id"], "01"]
    assert continued["trace_id"] == TRACEPARENT[3:35]
    assert continued["span_id"] != TRACEPARENT[36:52]
    # Where there was none, the gateway begins it.
    assert created["parent"] is None
    assert inside[1] == ["00", created["trace_id"], created["span_id"], "01"]
    assert created["trace_id"] != continued["trace_id"]
    assert continued == continued | {
        "method": "GET",
        "path": "/products/7",
        "route": "catalog.product",
        "cluster": "catalog",
        "status": 200,
        "upstream": f"127.0.0.1:{catalog.port}",
        "flags": "-",
        "attempts": 1,
        "client": "127.0.0.1",
    }
    assert isinstance(continued["duration_us"], int)
    assert continued["duration_us"] > 0
    assert int(str(continued["start_unix_nano"])) < int(str(created["start_unix_nano"]))


async def test_a_killed_replica_costs_no_request(home: Home) -> None:
    async with (
        backends("one", "two", "three") as replicas,
        front(home, CATALOG, [cluster("catalog", *replicas)]) as gateway,
        connection(gateway.port) as client,
    ):
        answered: Counter[object] = Counter()
        for number in range(120):
            if number == 40:
                await replicas[0].killed()
            answer = await client.request("PUT", "/products/7", body=b"not idempotent for all we know")
            assert answer.status == 200, answer
            answered[answer.json["backend"]] += 1
        logged = await gateway.log(120)
    assert answered["two"] + answered["three"] >= 80
    assert all(each["status"] == 200 for each in logged)
    assert any(each["attempts"] == 2 for each in logged)


async def test_a_replica_whose_machine_is_gone_costs_none_of_many_requests_at_once(home: Home) -> None:
    with gone() as port:
        async with backends("one") as (one,):
            there = cluster("catalog", one)
            both = replace(there, endpoints=(*there.endpoints, Endpoint("127.0.0.1", port)))
            async with front(home, CATALOG, [both]) as gateway:
                asking = [request(gateway.port, "PUT", "/products/7", body=b"{}") for _ in range(40)]
                answers = await asyncio.gather(*asking)
                logged = await gateway.log(40)
    assert Counter(each.status for each in answers) == {200: 40}
    assert sum(each["attempts"] == 2 for each in logged) > 3


@contextmanager
def gone() -> Iterator[int]:
    """A port at which nobody answers, nor refuses: all of its queue is taken."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as waiting:
        for _ in range(3):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


async def test_a_request_that_was_sent_is_not_tried_again(home: Home) -> None:
    async with (
        backends("one", "two") as replicas,
        front(home, [Route("/silent", "catalog", ("GET",))], [cluster("catalog", *replicas)]) as gateway,
    ):
        pending = asyncio.create_task(request(gateway.port, "GET", "/silent"))
        await eventually(lambda: replicas[0].requests or replicas[1].requests)
        for each in replicas:
            if each.requests:
                each.kill()
        answer = await pending
    assert answer.status == 503
    assert len(replicas[0].requests) + len(replicas[1].requests) == 1


async def test_a_replica_that_is_not_ready_gets_no_requests_until_it_is(home: Home) -> None:
    async with (
        backends("one", "two") as (one, two),
        front(home, CATALOG, [cluster("catalog", one, two, health="/health")]) as gateway,
        connection(gateway.port) as client,
    ):
        await until_answer(client, {"one", "two"})
        one.healthy = False
        await until_answer(client, {"two"})
        assert await who_answers(client) == {"two"}
        one.healthy = True
        await until_answer(client, {"one", "two"})


async def who_answers(client: Connection) -> set[object]:
    """Which replicas answer thirty requests."""
    return {(await client.request("GET", "/products/7")).json["backend"] for _ in range(30)}


async def until_answer(client: Connection, wanted: set[str]) -> None:
    async def do_answer() -> bool:
        return await who_answers(client) == wanted

    await eventually(do_answer, f"{wanted} answer", within=10)


async def test_a_replica_that_leaves_gets_no_requests_while_it_is_still_well(home: Home) -> None:
    async with backends("one", "two") as (one, two):
        both = cluster("catalog", one, two, health="/health")
        async with front(home, CATALOG, [both]) as gateway, connection(gateway.port) as client:
            await until_answer(client, {"one", "two"})
            rest = replace(gateway.gateway, clusters=(cluster("catalog", two, health="/health"),))
            await gateway.change(gateway.gateway, rest)
            await until_answer(client, {"two"})


async def test_routes_clusters_and_replicas_change_without_dropping_a_connection(home: Home) -> None:
    async with (
        backends("old", "new", "other") as (old, new, other),
        front(home, CATALOG, [cluster("catalog", old)]) as gateway,
        connection(gateway.port) as client,
    ):

        async def until_answer(path: str, wanted: object) -> None:
            async with asyncio.timeout(10):
                while True:
                    answer = await client.request("GET", path)
                    if (answer.json.get("backend") or answer.status) == wanted:
                        return
                    # Before: the old replica, or no route yet. Never an error of the connection or of a service.
                    assert answer.status in {200, 404}, (path, (await gateway.log(1))[-1])

        await until_answer("/products/7", "old")
        # Another replica
        moved = replace(gateway.gateway, clusters=(cluster("catalog", new),))
        await gateway.change(gateway.gateway, moved)
        await until_answer("/products/7", "new")
        # Another service with its routes
        route = Route("/carts/{user}", "cart", ("GET",))
        grown = replace(moved, routes=(*CATALOG, route), clusters=(*moved.clusters, cluster("cart", other)))
        await gateway.change(moved, grown)
        await until_answer("/carts/7", "other")
        # And gone again
        await gateway.change(grown, moved)
        await until_answer("/carts/7", 404)
        await until_answer("/products/7", "new")


async def test_a_stream_of_events_passes_one_by_one_and_longer_than_any_deadline(home: Home) -> None:
    routes = [
        Route("/feed/events", "catalog", ("GET",), timeout=0),
        Route("/page", "catalog", prefix=True, timeout=0.2),
    ]
    async with backends("catalog") as (catalog,), front(home, routes, [cluster("catalog", catalog)]) as gateway:
        for path, headers in (("/feed/events", {}), ("/page/events", {"accept": "text/event-stream"})):
            async with connection(gateway.port) as client, asyncio.timeout(10):
                await client.send("GET", path, headers)
                catalog.events.put_nowait("first")
                status, _ = await client.head()
                assert status == 200
                assert await read_chunk(client.reader) == b"data: first\n\n"
                await asyncio.sleep(0.4)  # longer than the deadline of the page
                catalog.events.put_nowait("second")
                assert await read_chunk(client.reader) == b"data: second\n\n"
                catalog.events.put_nowait("")
                assert await read_chunk(client.reader) == b""


async def test_a_silent_stream_ends_after_its_idle_time(home: Home) -> None:
    route = Route("/feed/events", "catalog", ("GET",), timeout=0)
    async with (
        backends("catalog") as (catalog,),
        front(home, [route], [cluster("catalog", catalog)], Limits(idle=0.3)) as gateway,
        connection(gateway.port) as client,
        asyncio.timeout(10),
    ):
        await client.send("GET", "/feed/events")
        await client.head()
        catalog.events.put_nowait("only")
        assert await read_chunk(client.reader) == b"data: only\n\n"
        assert await client.reader.read() == b""


async def test_websockets_reach_applications_and_nothing_else(home: Home) -> None:
    upgrade = {"connection": "upgrade", "upgrade": "websocket"}
    routes = [*CATALOG, Route("/", "frontend", prefix=True, timeout=0.2)]
    async with (
        backends("catalog", "frontend") as (catalog, frontend),
        front(home, routes, [cluster("catalog", catalog), cluster("frontend", frontend)], Limits(body=1000)) as gateway,
    ):
        async with connection(gateway.port) as client, asyncio.timeout(10):
            await client.send("GET", "/live", upgrade)
            assert (await client.head())[0] == 101
            for size in (10, 5000):  # more than a request's body may have
                client.writer.write(b"x" * size)
                assert await client.reader.readexactly(size) == b"x" * size
        refused = await request(gateway.port, "GET", "/products/7", upgrade)
    assert refused.status == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert catalog.requests == []


async def test_a_taken_port_is_an_error_and_not_shared(home: Home) -> None:
    async with front(home, [], []) as gateway:
        folder = home.state / "envoy"
        second = envoy.engine(
            find_program(versions.ENVOY), gateway.gateway, replace(gateway.places, admin=folder / "second.sock")
        )
        with pytest.raises(AtollError) as caught:
            await start(second, home.logs / "second.log")
    assert caught.value.problems[0].code == "ATL4002"
    assert "Address already in use" in (home.logs / "second.log").read_text()


async def test_spans_go_to_a_collector_if_there_is_one(home: Home) -> None:
    async with (
        backends("catalog", "collector") as (catalog, collector),
        front(home, CATALOG, [cluster("catalog", catalog)], collector=f"127.0.0.1:{collector.port}") as gateway,
        connection(gateway.port) as client,
    ):
        await client.request("GET", "/products/7", {"traceparent": TRACEPARENT})
        await eventually(lambda: collector.requests)
    (sent, *_) = collector.requests
    assert (sent.method, sent.path, sent.headers["content-type"]) == ("POST", "/v1/traces", "application/x-protobuf")
    (resource_spans,) = ExportTraceServiceRequest.FromString(sent.body).resource_spans
    (span,) = resource_spans.scope_spans[0].spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACEPARENT[3:35], TRACEPARENT[36:52])
    assert (span.name, span.kind) == ("catalog.product", span.SPAN_KIND_SERVER)
    said = {each.key: each.value.string_value for each in span.attributes}
    assert (said["upstream_cluster.name"], said["http.status_code"]) == ("catalog", "200")


async def test_nothing_is_logged_about_a_healthy_day(home: Home) -> None:
    async with backends("catalog") as (catalog,), front(home, CATALOG, [cluster("catalog", catalog)]) as gateway:
        for _ in range(6):
            await request(gateway.port, "GET", "/products/7")
        await gateway.log(6)
        assert (home.logs / "envoy.log").read_text() == ""


def everything(backwards: bool) -> Gateway:
    step = -1 if backwards else 1
    routes = (*CATALOG, Route("/", "frontend", prefix=True), Route("/orders", "catalog", ("POST", "GET")))[::step]
    replicas = (Endpoint("127.0.0.1", 3001, 4001), Endpoint("127.0.0.1", 3002, 4002))[::step]
    return Gateway(8080, routes, (Cluster("catalog", replicas), Cluster("frontend", ()))[::step])


def test_the_same_system_gives_the_same_bytes_in_whatever_order_it_is_said(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path / "admin.sock", tmp_path / "access.jsonl")
    forwards, back = everything(backwards=False), everything(backwards=True)
    assert envoy.changing(forwards, places) == envoy.changing(back, places)
    assert envoy.merged(forwards, places) == envoy.merged(back, places)


async def test_envoy_accepts_the_whole_configuration(home: Home) -> None:
    folder = home.state / "envoy"
    places = Places(folder, folder / "admin.sock", home.logs / "access.jsonl")
    gateway = replace(everything(backwards=False), collector="127.0.0.1:4318")
    await check_envoy(find_program(versions.ENVOY), envoy.merged(gateway, places), folder)
