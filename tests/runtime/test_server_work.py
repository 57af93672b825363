"""Handlers at work: streams, deadlines, too many at once, callers that leave, and an end in good order."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator

import msgspec
import pytest

from atoll import Fault, get, post
from atoll.errors import QueryTimeout
from atoll.runtime.context import current
from tests.runtime.raw import Peer, Served, request, served


class Tick(msgspec.Struct):
    number: int


class Refused(Fault, status=403):
    """Not for you."""

    why: str


class Work:
    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.both = asyncio.Event()
        self.proceed = asyncio.Event()
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.ticks = 0

    @get("/wait")
    async def wait(self) -> str:
        if self.started.is_set():
            self.both.set()
        self.started.set()
        try:
            await self.proceed.wait()
        except asyncio.CancelledError:
            self.ended.put_nowait("cancelled")
            raise
        self.ended.put_nowait("finished")
        return "done"

    @get("/stubborn")
    async def stubborn(self) -> str:
        self.started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await self.proceed.wait()
        self.ended.put_nowait("finished")
        return "too late"

    @get("/now")
    async def now(self) -> str:
        return "now"

    @get("/inside")
    async def inside(self) -> list[str]:
        """What the libraries that a handler uses rely on."""
        task = asyncio.current_task()
        assert task is not None
        found = [task.get_name()]
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            found.append(f"timeout {task.cancelling()}")

        async def failing() -> None:
            await asyncio.sleep(0)
            raise Refused(why="a child")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(failing())
                await asyncio.Event().wait()
        except* Refused:
            found.append(f"group {task.cancelling()}")
        return found

    @get("/context")
    async def context(self) -> list[str]:
        context = current.get()
        assert context is not None
        return [
            f"{context.trace_id:x}",
            f"{context.parent_id:x}",
            str(context.sampled),
            context.tracestate,
            context.baggage,
            context.caller.subject,
            " ".join(sorted(context.caller.scopes)),
            f"{context.left():.1f}",
        ]

    @get("/cancels-itself")
    async def cancels_itself(self) -> str:
        raise asyncio.CancelledError

    @get("/half", raises=[Refused])
    async def half(self) -> str:
        raise Refused(why="\ud83d")

    @get("/query-timeout")
    async def query_timeout(self) -> str:
        raise QueryTimeout

    @post("/touch")
    async def touch(self) -> None:
        self.ended.put_nowait("touched")

    @get("/ticks/{count}")
    async def count(self, count: int) -> AsyncIterator[Tick]:
        for number in range(count):
            self.ticks += 1
            yield Tick(number)

    @get("/endless", raises=[Refused])
    async def endless(self, fail_after: int = 0) -> AsyncIterator[Tick]:
        try:
            number = 0
            while True:
                self.ticks = number
                if fail_after and number == fail_after:
                    raise Refused(why="enough")
                yield Tick(number)
                number += 1
                if not fail_after:
                    await asyncio.sleep(0)
        finally:
            self.ended.put_nowait("ended")

    @get("/refusing", raises=[Refused])
    async def refusing(self) -> AsyncIterator[Tick]:
        raise Refused(why="never")
        yield Tick(0)

    @get("/silent")
    async def silent(self, first: int = 0) -> AsyncIterator[Tick]:
        for number in range(first):
            yield Tick(number)
        await self.proceed.wait()


async def until(condition: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await condition.wait()


async def ended(work: Work) -> str:
    async with asyncio.timeout(5):
        return await work.ended.get()


# Deadlines


async def test_a_request_over_its_callers_deadline_is_504_and_its_handler_is_cancelled() -> None:
    work = Work()
    async with served(work) as service, await service.peer() as peer:
        loop = asyncio.get_running_loop()
        before = loop.time()
        answer = await peer.ask("GET", "/wait", x_envoy_expected_rq_timeout_ms="100")
        took = loop.time() - before
        assert (answer.status, answer.json["type"]) == (504, "urn:atoll:problem:deadline-exceeded")
        assert 0.09 < took < 1.0
        assert await ended(work) == "cancelled"
        assert (await peer.ask("GET", "/now")).status == 200  # the connection is still good
        span, _ = service.telemetry.recorder.take()
        assert (span.error, f"{span.trace_id:032x}") == ("deadline-exceeded", answer.json["trace_id"])


async def test_without_a_callers_deadline_the_services_own_holds() -> None:
    async with served(Work(), patience=0.05) as service:
        assert (await service.ask("GET", "/wait")).status == 504
        assert (await service.ask("GET", "/wait", x_envoy_expected_rq_timeout_ms="soon")).status == 504


async def test_a_handler_that_does_not_end_when_cancelled_does_not_keep_its_caller() -> None:
    work = Work()
    async with served(work, concurrency=1, patience=0.02) as service:
        assert (await service.ask("GET", "/stubborn")).status == 504
        assert (await service.ask("GET", "/now")).status == 503  # it still takes its place
        work.proceed.set()
        assert await ended(work) == "finished"
        assert (await service.ask("GET", "/now")).status == 200


async def test_a_query_out_of_time_is_504_and_a_handlers_own_cancelling_is_500() -> None:
    async with served(Work()) as service:
        assert (await service.ask("GET", "/query-timeout")).status == 504
        assert (await service.ask("GET", "/cancels-itself")).status == 500


async def test_a_fault_that_can_not_be_told_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async with served(Work()) as service:
        async with asyncio.timeout(5):
            assert (await service.ask("GET", "/half")).status == 500
    assert "raised the fault Refused, which can't be told" in caplog.text


async def test_timeouts_and_task_groups_work_inside_a_handler() -> None:
    async with served(Work()) as service:
        answer = await service.ask("GET", "/inside")
    assert answer.body == b'["GET /inside","timeout 0","group 0"]'


async def test_the_callers_context_is_there_in_the_handler() -> None:
    async with served(Work()) as service:
        answer = await service.ask(
            "GET",
            "/context",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            tracestate="a=1",
            baggage="shop=1",
            x_atoll_subject="ada",
            x_atoll_scopes="buy sell",
            x_envoy_expected_rq_timeout_ms="60000",
        )
        lonely = await service.ask("GET", "/context", tracestate="a=1")
    trace = '"af7651916cd43dd8448eb211c80319c","b7ad6b7169203331","False","a=1","shop=1","ada","buy sell","60.0"'
    assert answer.body.decode() == f"[{trace}]"
    assert b'"0","True","","","","","3.0"]' in lonely.body


# Too many, and those who leave


async def test_more_than_the_limit_are_503_with_retry_after() -> None:
    work = Work()
    async with served(work, concurrency=2) as service:
        waiting = [asyncio.create_task(service.ask("GET", "/wait")) for _ in range(2)]
        async with asyncio.timeout(5):
            await work.both.wait()
        assert "http_server_active_requests 2" in service.telemetry.metrics.render()
        shed = await service.ask("GET", "/now")
        assert (shed.status, shed.headers["retry-after"]) == (503, "1")
        assert shed.json["type"] == "urn:atoll:problem:overloaded"
        assert "atoll_server_shed_total 1\n" in service.telemetry.metrics.render()
        work.proceed.set()
        assert [(await answer).status for answer in waiting] == [200, 200]
        assert (await service.ask("GET", "/now")).status == 200


async def test_a_handler_whose_caller_leaves_is_cancelled() -> None:
    work = Work()
    async with served(work) as service:
        async with await service.peer() as peer:
            await peer.send(request("GET", "/wait"))
            await until(work.started)
        assert await ended(work) == "cancelled"
        (span,) = service.telemetry.recorder.take()
        assert (span.error, 499 in (span.attributes or ())) == ("disconnected", True)


async def test_what_was_queued_behind_a_caller_who_left_is_never_started() -> None:
    work = Work()
    async with served(work) as service:
        async with await service.peer() as peer:
            await peer.send(request("GET", "/wait") + request("POST", "/touch"))
            await until(work.started)
        assert await ended(work) == "cancelled"
        assert (await service.ask("GET", "/now")).status == 200
        assert work.ended.empty()


# Streams


async def test_a_stream_is_server_sent_events_and_the_connection_goes_on() -> None:
    async with served(Work()) as service, await service.peer() as peer:
        answer = await peer.ask("GET", "/ticks/3")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
        assert answer.body == b'data: {"number":0}\n\ndata: {"number":1}\n\ndata: {"number":2}\n\n'
        empty = await peer.ask("GET", "/ticks/0")
        assert (empty.status, empty.body) == (200, b"")
        head = await peer.ask("HEAD", "/ticks/3")
        assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
        assert (await peer.ask("GET", "/now")).status == 200


async def test_a_stream_over_http_1_0_ends_with_its_connection() -> None:
    async with served(Work()) as service, await service.peer() as peer:
        await peer.send(b"GET /ticks/2 HTTP/1.0\r\n\r\n")
        answer = await peer.answer()
        assert answer.headers["connection"] == "close"
        assert answer.body == b'data: {"number":0}\n\ndata: {"number":1}\n\n'


async def test_a_stream_goes_no_faster_than_it_is_read() -> None:
    work = Work()
    async with served(work) as service, await service.peer() as peer:
        await peer.send(request("GET", "/ticks/2000000"))
        status, _ = await peer.head()
        assert status == 200
        while True:  # until it stands still, for a whole second of turns of the loop
            before = work.ticks
            await asyncio.sleep(0.2)
            if work.ticks == before:
                break
        assert 0 < work.ticks < 1_000_000
        stood = work.ticks
        pieces = peer.chunks()
        for _ in range(stood):
            await anext(pieces)
        assert work.ticks > stood


async def test_a_stream_ends_when_its_reader_leaves() -> None:
    work = Work()
    async with served(work) as service:
        async with await service.peer() as peer:
            await peer.send(request("GET", "/endless"))
            await peer.head()
        assert await ended(work) == "ended"
        (span,) = service.telemetry.recorder.take()
        assert span.error == "disconnected"


async def test_a_fault_before_the_first_element_is_the_answer() -> None:
    async with served(Work()) as service:
        answer = await service.ask("GET", "/refusing")
    assert (answer.status, answer.json["type"], answer.json["why"]) == (403, "urn:atoll:fault:refused", "never")


async def test_a_fault_after_the_first_element_is_the_last_event() -> None:
    async with served(Work()) as service, await service.peer() as peer:
        answer = await peer.ask("GET", "/endless?fail_after=2")
        assert answer.status == 200
        *events, last, nothing = answer.body.split(b"\n\n")
        assert (len(events), nothing) == (2, b"")
        kind, _, data = last.partition(b"\ndata: ")
        document = msgspec.json.decode(data)
        assert (kind, document["type"], document["why"]) == (b"event: problem", "urn:atoll:fault:refused", "enough")
        assert (await peer.ask("GET", "/now")).status == 200


async def test_a_stream_has_the_deadline_for_its_first_element_and_more_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("atoll.runtime.server.STREAM_PATIENCE", 0.1)
    async with served(Work(), patience=0.05) as service:
        assert (await service.ask("GET", "/silent")).status == 504
        answer = await service.ask("GET", "/silent?first=2")
    assert answer.body.startswith(b'data: {"number":0}\n\ndata: {"number":1}\n\nevent: problem\ndata: {')
    assert b"urn:atoll:problem:stream-idle" in answer.body


# The end


async def client(service: Served, results: list[int], busy: asyncio.Event, stop: asyncio.Event) -> None:
    """Asks on one connection as fast as it can, connecting again when told to; ends when nobody listens."""
    while not stop.is_set():
        try:
            peer = await Peer.connect(service.address)
        except ConnectionRefusedError:
            return
        async with peer:
            answers = 0
            while True:
                try:
                    answer = await peer.ask("GET", "/now")
                except (ConnectionError, asyncio.IncompleteReadError):
                    # One that the kernel had taken and nobody accepted any more; else a request has failed.
                    assert answers == 0
                    return
                answers += 1
                results.append(answer.status)
                if len(results) == 200:
                    busy.set()
                if answer.headers.get("connection") == "close":
                    break


async def test_draining_under_load_fails_no_request() -> None:
    for _ in range(5):
        async with served(Work()) as service:
            results: list[int] = []
            busy, stop = asyncio.Event(), asyncio.Event()
            clients = [asyncio.create_task(client(service, results, busy, stop)) for _ in range(8)]
            await until(busy)
            assert await service.listener.drain(3.0)
            stop.set()
            await asyncio.gather(*clients)
            assert set(results) == {200}


async def test_draining_waits_for_work_closes_idle_connections_and_says_which_answer_is_the_last() -> None:
    work = Work()
    async with served(work) as service, await service.peer() as idle, await service.peer() as peer:
        assert (await idle.ask("GET", "/now")).status == 200
        await peer.send(request("GET", "/wait"))
        await until(work.started)
        draining = asyncio.create_task(service.listener.drain(5.0))
        assert await idle.closed()
        assert not draining.done()
        with pytest.raises(ConnectionRefusedError):
            await service.peer()
        work.proceed.set()
        answer = await peer.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await draining


async def test_work_that_outlasts_the_grace_is_told_so() -> None:
    work = Work()
    async with served(work, patience=math.inf) as service, await service.peer() as peer:
        await peer.send(request("GET", "/wait"))
        await until(work.started)
        assert not await service.listener.drain(0.05)
        await service.server.stop(1.0)
        answer = await peer.answer()
        assert (answer.status, answer.json["type"]) == (503, "urn:atoll:problem:stopping")
        assert answer.headers["atoll-retried"] == "1"
        assert await ended(work) == "cancelled"
