"""An application that knows nothing of atoll, served by it."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from atoll.errors import AtollError
from atoll.model.launch import Launch
from atoll.runtime.asgi import Receive, Scope, Send, UvicornListener, listener_of
from atoll.runtime.faults import Faults
from atoll.runtime.host import Made
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.encoding import SpanEncoder
from atoll.runtime.telemetry.metrics import Metrics
from atoll.runtime.telemetry.traces import Recorder
from tests.runtime import asgi_applications as applications
from tests.runtime.raw import Peer, request

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def made(application: object, *, path: str = "/", listen: str = "127.0.0.1:0", concurrency: int = 100) -> Made:
    launch = Launch(
        *(),
        system="s",
        service="app",
        replica="app-1",
        kind="asgi",
        target="",
        path=path,
        listen=listen,
        concurrency=concurrency,
    )
    return Made(launch, Telemetry(Recorder(), Metrics(), "app", "app-1"), application, (), None, 5.0, Faults())


@asynccontextmanager
async def serving(this: Made) -> AsyncIterator[UvicornListener]:
    listener = listener_of(this)
    await listener.open()
    try:
        yield listener
    finally:
        await listener.drain(2.0)
        await listener.stop(1.0)


class Telling:
    """Answers at once, when told to, or with events until told to end."""

    def __init__(self) -> None:
        self.entered, self.proceed = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = b"text/event-stream" if scope["path"] == "/events" else b"text/plain"
        if scope["path"] == "/wait":
            self.entered.set()
            await self.proceed.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        if scope["path"] == "/events":
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
            await self.proceed.wait()
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def telling() -> Telling:
    return Telling()


async def test_a_request_has_a_context_a_span_and_a_measurement() -> None:
    this = made(applications.app)
    async with serving(this) as listener, await Peer.connect(listener.address) as peer:
        answer = await peer.ask("GET", "/hello/ada", traceparent=PARENT, x_envoy_expected_rq_timeout_ms="60000")
        lonely = await peer.ask("GET", "/hello/bob")
    assert answer.json["hello"] == "ada"
    assert answer.json["trace"] == TRACE
    assert 50 < float(str(answer.json["left"])) <= 60
    assert (lonely.json["left"], len(str(lonely.json["trace"]))) == ("inf", 32)
    span, other = this.telemetry.recorder.take()
    assert (span.name, span.kind, span.error) == ("GET /hello/{name}", "server", "")
    assert (f"{span.trace_id:032x}", f"{span.parent_id:x}") == (TRACE, "b7ad6b7169203331")
    assert f"{other.trace_id:032x}" == lonely.json["trace"]
    series = 'http_request_method="GET",http_response_status_code="200",http_route="/hello/{name}"'
    assert f"http_server_request_duration_seconds_count{{{series}}} 2" in this.telemetry.metrics.render()


async def test_what_an_application_answers_5xx_by_itself_is_a_failed_span() -> None:
    this = made(applications.app)
    async with serving(this) as listener, await Peer.connect(listener.address) as peer:
        assert (await peer.ask("GET", "/away")).status == 503
        assert (await peer.ask("GET", "/nowhere")).status == 404
    assert [(span.error, span.attributes and span.attributes[3]) for span in this.telemetry.recorder.take()] == [
        ("503", 503),
        ("", 404),
    ]


async def test_what_is_recorded_of_a_request_can_be_sent() -> None:
    this = made(applications.app)
    async with serving(this) as listener, await Peer.connect(listener.address) as peer:
        await peer.ask("GET", "/hello/ada")
    assert b"GET /hello/{name}" in SpanEncoder().encode(this.telemetry.recorder.take_records(), 0)


async def test_the_prefix_is_in_front_of_its_paths_and_its_root_path() -> None:
    this = made(applications.app, path="/admin/")
    async with serving(this) as listener, await Peer.connect(listener.address) as peer:
        through = await peer.ask("GET", "/admin/hello/ada")
        straight = await peer.ask("GET", "/hello/ada")
    assert (through.status, through.json["root_path"]) == (200, "/admin")
    assert straight.status == 200
    assert {span.name for span in this.telemetry.recorder.take()} == {"GET /admin/hello/{name}"}


async def test_an_exception_is_500_with_its_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    this = made(applications.app)
    async with serving(this) as listener, await Peer.connect(listener.address) as peer:
        answer = await peer.ask("GET", "/broken")
        assert answer.status == 500
        assert b"42" not in answer.body
        assert (await peer.ask("GET", "/now")).status == 200
    assert "the secret is 42" in caplog.text
    assert [record.name for record in caplog.records if record.levelno >= logging.ERROR] == ["atoll.asgi"]
    broken, _ = this.telemetry.recorder.take()
    assert (broken.name, broken.error) == ("GET /broken", "RuntimeError")


async def test_an_application_without_error_handling_has_ours() -> None:
    async def bare(scope: object, receive: object, send: object) -> None:
        raise RuntimeError

    async with serving(made(bare)) as listener, await Peer.connect(listener.address) as peer:
        answer = await peer.ask("GET", "/x")
    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json["type"] == "urn:atoll:problem:internal"


async def test_half_an_answer_is_seen_to_be_half() -> None:
    async with serving(made(applications.app)) as listener, await Peer.connect(listener.address) as peer:
        await peer.send(request("GET", "/half"))
        await peer.head()
        with pytest.raises(asyncio.IncompleteReadError):
            await peer.reader.readuntil(b"0\r\n\r\n")


async def test_what_is_too_much_is_refused_with_a_problem_and_counted(telling: Telling) -> None:
    this = made(telling, concurrency=1)
    async with serving(this) as listener, await Peer.connect(listener.address) as busy:
        await busy.send(request("GET", "/wait"))
        async with asyncio.timeout(5):
            await telling.entered.wait()
        async with await Peer.connect(listener.address) as peer:
            answer = await peer.ask("GET", "/now")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["type"] == "urn:atoll:problem:overloaded"
        page = this.telemetry.metrics.render()
        assert "atoll_server_shed_total 1" in page
        assert re.search(r'http_server_request_duration_seconds_count\{.*status_code="503"\} 1', page)
        telling.proceed.set()
        assert (await busy.answer()).status == 200
        assert (await busy.ask("GET", "/now")).status == 200


async def test_idle_connections_and_what_sends_events_take_no_place(telling: Telling) -> None:
    async with serving(made(telling, concurrency=1)) as listener, await Peer.connect(listener.address) as live:
        await live.send(request("GET", "/events"))
        assert (await live.head())[0] == 200
        async with AsyncExitStack() as stack:
            for _ in range(5):
                peer = await stack.enter_async_context(await Peer.connect(listener.address))
                assert (await peer.ask("GET", "/now")).status == 200
        telling.proceed.set()


async def test_an_application_that_is_asked_for_more_than_it_can_do_takes_less_and_then_as_much_again() -> None:
    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(2):
            until = time.thread_time() + 0.002
            while time.thread_time() < until:
                pass
            await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    this, statuses = made(busy, concurrency=200), set[int]()

    def limit() -> int:
        found = re.search(r"^atoll_server_limit (\d+)", this.telemetry.metrics.render(), re.MULTILINE)
        assert found is not None
        return int(found[1])

    async def caller(address: str) -> None:
        async with await Peer.connect(address) as peer:
            while limit() > 40 or 503 not in statuses:
                statuses.add((await peer.ask("GET", "/")).status)

    async with serving(this) as listener:
        await asyncio.gather(*(caller(listener.address) for _ in range(80)))
        assert statuses == {200, 503}
        async with await Peer.connect(listener.address) as peer:
            while limit() < 100:
                assert (await peer.ask("GET", "/")).status == 200


async def test_a_lifespan_runs_from_before_the_first_request_until_after_the_last() -> None:
    said = applications.polite.state.said
    said.clear()
    async with serving(made(applications.polite)):
        assert said == ["startup"]
    assert said == ["startup", "shutdown"]


async def test_a_lifespan_that_fails_keeps_it_from_starting_with_its_own_traceback() -> None:
    with pytest.raises(AtollError) as caught:
        await listener_of(made(applications.unstartable)).open()
    (problem,) = caught.value.problems
    assert problem.sentence == "app could not start: LookupError: no such table: products"
    assert "asgi_applications.py" in problem.detail


async def test_a_taken_port_is_said() -> None:
    async with serving(made(applications.app)) as listener:
        with pytest.raises(AtollError, match=r"Port \S+ is taken"):
            await listener_of(made(applications.app, listen=listener.address)).open()


async def test_what_outlasts_the_grace_is_cut_and_the_lifespan_still_ends() -> None:
    said = applications.polite.state.said
    said.clear()
    listener = listener_of(made(applications.polite))
    await listener.open()
    async with await Peer.connect(listener.address) as peer:
        await peer.send(request("GET", "/forever"))
        async with asyncio.timeout(5):
            await applications.entered.wait()
        assert not await listener.drain(0.1)
        await listener.stop(2.0)
        answer = await peer.answer()
        assert (answer.status, answer.json["type"]) == (503, "urn:atoll:problem:stopping")
        assert await peer.closed()
    assert said == ["startup", "shutdown"]


async def test_draining_answers_what_is_there_and_says_which_answer_is_the_last() -> None:
    async with serving(made(applications.app)) as listener:
        async with await Peer.connect(listener.address) as busy, await Peer.connect(listener.address) as idle:
            assert (await idle.ask("GET", "/now")).status == 200
            await busy.send(request("GET", "/slow"))
            draining = asyncio.create_task(listener.drain(5.0))
            await asyncio.sleep(0)
            last = await idle.ask("GET", "/now")
            assert (last.status, last.headers["connection"]) == (200, "close")
            assert (await busy.answer()).body == b"done"
            assert await draining
        with pytest.raises(ConnectionRefusedError):
            await Peer.connect(listener.address)
