import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from atoll.engines.engine import Check, Command, HttpGet, Readiness, TcpPort
from atoll.errors import AtollError
from atoll.supervisor.probe import LEAVING, probe, until_ready
from atoll.supervisor.process import Process
from tests.ports import free_port


@asynccontextmanager
async def answering(reply: bytes, socket: Path | None = None) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    if socket is not None:
        server = await asyncio.start_unix_server(serve, str(socket))
        yield 0
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        yield server.sockets[0].getsockname()[1]
    server.close()


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
NOT_YET = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


async def test_a_port_is_ready_when_it_accepts_connections() -> None:
    async with answering(OK) as port:
        assert await probe(TcpPort(port)) == ""
    assert await probe(TcpPort(free_port())) == "refusing connections"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [(OK, ""), (NOT_YET, "answering 503"), (b"SSH-2.0-OpenSSH\r\n", "answering 0"), (b"", "answering 0")],
)
async def test_an_address_is_ready_when_it_answers_200(reply: bytes, reason: str) -> None:
    async with answering(reply) as port:
        assert await probe(HttpGet("/healthz", port=port)) == reason


async def test_a_unix_socket_is_asked_like_a_port(tmp_path: Path) -> None:
    where = HttpGet("/ready", socket=tmp_path / "s")
    assert await probe(where) == "refusing connections"
    async with answering(OK, tmp_path / "s"):
        assert await probe(where) == ""


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 0", ""),
        ("echo 'host:1 - rejecting connections'; exit 1", "rejecting connections"),
        ("exit 3", "failing its check (3)"),
    ],
)
async def test_a_check_says_by_its_last_line_why_it_waits(script: str, reason: str) -> None:
    assert await probe(Check(Command(("/bin/sh", "-c", script)))) == reason


async def test_an_engine_that_was_told_to_end_and_waits_for_its_clients_says_so(tmp_path: Path) -> None:
    lock = tmp_path / "postmaster.pid"
    asked = Check(Command(("/bin/sh", "-c", "echo 'host:1 - rejecting connections'; exit 1")), lock)
    assert await probe(asked) == "rejecting connections"
    lock.write_text("1\n/data\n0\n5432\n\n*\n1 2\nstarting\n")
    assert await probe(asked) == "rejecting connections"
    lock.write_text("1\n/data\n0\n5432\n\n*\n1 2\nstopping\n")
    assert await probe(asked) == LEAVING


async def sleeping(log: Path, script: str = "exec sleep 600") -> Process:
    command = Command(("/bin/sh", "-c", script), {"PATH": "/bin:/usr/bin"})
    return await Process.start("postgres", command, log, lambda line: None)


async def test_the_reason_for_waiting_is_told_once_each_time_it_changes(tmp_path: Path) -> None:
    process = await sleeping(tmp_path / "log")
    port = free_port()
    reasons: list[str] = []
    waiting = asyncio.create_task(
        until_ready(process, TcpPort(port), on_waiting=reasons.append),
    )
    async with asyncio.timeout(5):
        while not reasons:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
    await waiting
    assert reasons == ["refusing connections"]
    server.close()
    await process.kill()


@pytest.mark.parametrize(
    ("readiness", "within", "script", "reason"),
    [
        (TcpPort(1), 30.0, "exit 3", "postgres did not start: exit status 3."),
        (TcpPort(1), 0.1, "exec sleep 600", "postgres did not start: after 0.1 s it is still refusing connections."),
    ],
)
async def test_an_engine_that_does_not_get_ready_is_an_error_that_names_its_log(
    tmp_path: Path, readiness: Readiness, within: float, script: str, reason: str
) -> None:
    process = await sleeping(tmp_path / "log", script)
    with pytest.raises(AtollError) as caught:
        await until_ready(process, readiness, within=within, on_waiting=lambda reason: None)
    (problem,) = caught.value.problems
    assert (problem.sentence, problem.do) == (reason, f"read {tmp_path / 'log'}")
    await process.kill()
