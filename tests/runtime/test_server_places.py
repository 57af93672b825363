"""Whatever callers do, each request gives its place back: else the server sheds everybody in the end."""

import asyncio
import random
import socket
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from atoll import get
from tests.runtime.raw import Served, request, served
from tests.waiting import eventually

CALLERS = 200
TARGETS = ("/now", "/later", "/numbers")


class Quick:
    @get("/now")
    async def now(self) -> str:
        return "now"

    @get("/later")
    async def later(self) -> str:
        await asyncio.sleep(0)
        return "later"

    @get("/numbers")
    async def numbers(self) -> AsyncIterator[int]:
        for number in range(5):
            await asyncio.sleep(0)
            yield number

    @get("/large")
    async def large(self) -> str:
        return "x" * 1_000_000

    @get("/busy")
    async def busy(self) -> str:
        time.sleep(0.012)  # noqa: ASYNC251 (longer than between two looks at the deadlines)
        return "busy"


def connected(address: str) -> socket.socket:
    if address.startswith("unix:"):
        caller = socket.socket(socket.AF_UNIX)
        caller.connect(address.removeprefix("unix:"))
        return caller
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)))


async def all_places_are_free(service: Served) -> None:
    """Both of work and of connections."""
    page = service.telemetry.metrics.render
    await eventually(lambda: len(service.listener.connections) == 0)
    await eventually(lambda: "http_server_active_requests 0\n" in page(), why=page)


@pytest.mark.parametrize("way", ["unix", "tcp", "reset"])
async def test_callers_who_leave_at_any_moment_keep_no_place(way: str, tmp_path: Path) -> None:
    chance = random.Random(1)
    address = f"unix:{tmp_path}/s" if way == "unix" else "127.0.0.1:0"
    async with served(Quick(), address=address) as service:
        for _ in range(CALLERS):
            # When callers send some requests, one behind the other, and leave before or after the answers
            caller = connected(service.address)
            caller.sendall(b"".join(request("GET", chance.choice(TARGETS)) for _ in range(chance.choice((1, 2, 5)))))
            if way == "reset":
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            caller.close()
        # Then nothing of them is left
        await all_places_are_free(service)


async def test_a_request_whose_deadline_passes_before_it_begins_keeps_no_place() -> None:
    async with served(Quick()) as service:
        callers = [connected(service.address) for _ in range(16)]
        for _ in range(10):
            # When the loop is late, and requests with no time left have come meanwhile
            callers[0].sendall(request("GET", "/busy"))
            for caller in callers[1:]:
                caller.sendall(request("GET", "/later", x_envoy_expected_rq_timeout_ms="0"))
            await asyncio.sleep(0.02)
        for caller in callers:
            caller.close()
        await all_places_are_free(service)


async def test_a_caller_who_sends_requests_and_reads_no_answers_keeps_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("atoll.runtime.http.IDLE", 0.2)
    async with served(Quick()) as service:
        with connected(service.address) as caller:
            caller.sendall(request("GET", "/large") * 40)
            await eventually(lambda: len(service.listener.connections) == 1)
            await all_places_are_free(service)
