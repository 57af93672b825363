"""The output of pods, from a server that answers as a cluster's API does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

import pytest

from atoll.collector.api_server import ApiServer
from atoll.collector.database import FILE, reading
from atoll.collector.limits import Limits
from atoll.collector.pods import Pods, _whole
from atoll.collector.query import Query
from atoll.collector.writer import Writer
from tests.waiting import until


class FakeApiServer:
    """Lists pods, and has their lines with their times: a container's output ends when it is `over`."""

    def __init__(self) -> None:
        self.output: dict[tuple[str, str], list[str]] = {}
        self.uids: dict[str, str] = {}
        self.over: set[tuple[str, str]] = set()
        self.is_down = False
        self.asked: list[str] = []
        self.tokens: set[str] = set()

    def pod(self, name: str, uid: str, *lines: str, container: str = "users") -> None:
        self.uids[name] = uid
        self.output[name, container] = list(lines)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            target = head.split(" ")[1]
            self.asked.append(target)
            self.tokens.add(head.lower().split("authorization: bearer ")[1].split("\r\n")[0])
            if self.is_down:
                writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}")
            elif "/log?" in target:
                await self._follow(writer, urlsplit(target))
            else:
                body = json.dumps({"items": self._pods(urlsplit(target))}).encode()
                writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        writer.close()

    async def _follow(self, writer: asyncio.StreamWriter, url: SplitResult) -> None:
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        assert (query["follow"], query["timestamps"]) == ("true", "true")
        key, since = (url.path.split("/")[6], query["container"]), query.get("sinceTime", "")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        sent = 0
        written = self.output[key]
        while key not in self.over or sent < len(written):
            lines = written[sent:]
            sent += len(lines)
            part = "".join(f"{line}\n" for line in lines if line[:19] >= since[:19]).encode()
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n" if part else b"")
            await writer.drain()
            await asyncio.sleep(0.01)
        writer.write(b"0\r\n\r\n")

    def _pods(self, url: SplitResult) -> list[object]:
        assert url.path == "/api/v1/namespaces/shop/pods"
        assert parse_qs(url.query) == {
            "labelSelector": ["app.kubernetes.io/part-of=shop"],
            "resourceVersion": ["0"],
        }
        return [self._pod(*key) for key in self.output]

    def _pod(self, name: str, container: str) -> object:
        labels = {"app": container, "app.kubernetes.io/component": "service"}
        metadata = {"name": name, "uid": self.uids[name], "labels": labels}
        state: dict[str, object] = {"terminated": {}} if (name, container) in self.over else {"running": {}}
        status = {"name": container, "containerID": f"containerd://{self.uids[name]}", "state": state}
        return {"metadata": metadata, "status": {"containerStatuses": [status]}}


@asynccontextmanager
async def following(folder: Path, api: FakeApiServer) -> AsyncIterator[Query]:
    """A collector's store and follower, looking all the time."""
    server = await asyncio.start_server(api, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Writer(folder, Limits()) as writer:
        pods = Pods("shop", "shop", writer, ApiServer("127.0.0.1", port, lambda: "t0ken"), 0.02)
        task = asyncio.create_task(pods.run())
        try:
            yield Query(folder)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            server.close()


async def bodies(query: Query, count: int) -> list[str]:
    await asyncio.to_thread(until, lambda: len(query.logs()) >= count)
    return [each.body for each in query.logs()]


async def test_each_line_of_each_pod_is_stored_once(tmp_path: Path) -> None:
    api = FakeApiServer()
    api.pod("users-1", "a", "2025-11-26T12:00:00.1Z one", '2025-11-26T12:00:00.25Z {"level":"error","message":"two"}')
    api.pod("nats-0", "b", "2025-11-26T12:00:00.000000001Z [1] [WRN] slow", container="nats")
    async with following(tmp_path, api) as query:
        assert sorted(await bodies(query, 3)) == ["[1] [WRN] slow", "one", "two"]
        # Given more lines, one of them in the second that was read already
        api.output["users-1", "users"] += ["2025-11-26T12:00:00.251Z three", "2025-11-26T12:00:09Z four"]
        assert (await bodies(query, 5))[-2:] == ["three", "four"]
        asked = len(api.asked)
        await asyncio.to_thread(until, lambda: len(api.asked) >= asked + 10)
    assert len(query.logs()) == 5
    found = {each.body: each for each in query.logs()}
    assert (found["two"].severity, found["two"].service, found["two"].replica) == ("error", "users", "users-1")
    assert found["one"].time == 1_764_158_400_100_000_000
    assert api.tokens == {"t0ken"}


async def test_a_collector_that_starts_again_goes_on_where_it_was(tmp_path: Path) -> None:
    api = FakeApiServer()
    api.pod("users-1", "a", "2025-11-26T12:00:00Z one")
    async with following(tmp_path, api) as query:
        await bodies(query, 1)
    api.output["users-1", "users"].append("2025-11-26T12:00:05Z two")
    api.pod("users-2", "c", "2025-11-26T12:00:05Z another's")
    async with following(tmp_path, api) as query:
        assert sorted(await bodies(query, 3)) == ["another's", "one", "two"]
        # When a pod of the same name is another one, its lines are new.
        api.pod("users-1", "d", "2025-11-26T11:00:00Z reborn")
        assert "reborn" in await bodies(query, 4)


async def test_what_a_silent_connection_never_brought_is_read_when_its_container_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(FakeApiServer):
        """Its first connection brings the first line, and then nothing for good."""

        async def _follow(self, writer: asyncio.StreamWriter, url: SplitResult) -> None:
            if any("/log?" in each for each in self.asked[:-1]):
                await super()._follow(writer, url)
                return
            part = f"{self.output['users-1', 'users'][0]}\n".encode()
            head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
            writer.write(head + f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
            await asyncio.Event().wait()

    monkeypatch.setattr("atoll.collector.pods._LONGEST", 0.3)
    api = Silent()
    api.pod("users-1", "a", "2025-11-26T12:00:00Z one")
    async with following(tmp_path, api) as query:
        assert await bodies(query, 1) == ["one"]
        # Given a container that writes its last words, and ends, while the connection is silent
        api.output["users-1", "users"].append("2025-11-26T12:00:01Z last words")
        api.over.add(("users-1", "users"))
        # Then they are read when it has been silent for as long as it may
        assert await bodies(query, 2) == ["one", "last words"]


async def test_an_api_server_that_fails_is_asked_again(tmp_path: Path) -> None:
    api = FakeApiServer()
    api.pod("users-1", "a", "2025-11-26T12:00:00Z one")
    api.is_down = True
    async with following(tmp_path, api) as query:
        await asyncio.to_thread(until, lambda: len(api.asked) >= 3)
        api.is_down = False
        assert await bodies(query, 1) == ["one"]


async def test_more_than_a_node_can_say_in_a_second_holds_nothing_up(tmp_path: Path) -> None:
    api = FakeApiServer()
    api.pod("users-1", "a", *(f"2025-11-26T12:00:00.{number:09}Z {'x' * 400}" for number in range(5_000)))
    async with following(tmp_path, api) as query:
        api.output["users-1", "users"].append("2025-11-26T12:00:01Z last")
        await asyncio.to_thread(until, lambda: query.logs()[-1:] and query.logs()[-1].body == "last")
    assert query.last_log() == 5_001


async def test_what_ended_is_read_to_its_end_and_not_again(tmp_path: Path) -> None:
    api = FakeApiServer()
    api.pod("users-1", "a", "2025-11-26T12:00:00Z one")
    async with following(tmp_path, api) as query:
        await bodies(query, 1)
        api.output["users-1", "users"].append("2025-11-26T12:00:01Z its last word")
        api.over.add(("users-1", "users"))
        assert await bodies(query, 2) == ["one", "its last word"]
        asked = len(api.asked)
        await asyncio.to_thread(until, lambda: len(api.asked) >= asked + 5)
        assert not [each for each in api.asked[asked:] if "/log?" in each]


async def test_what_a_node_says_instead_of_lines_is_none_and_loses_none(tmp_path: Path) -> None:
    api = FakeApiServer()
    api.pod("users-1", "a", "unable to retrieve container logs for containerd://a", "2025-11-26T12:00:00Z one")
    async with following(tmp_path, api) as query:
        assert await bodies(query, 1) == ["one"]


async def test_what_the_gateway_writes_of_requests_is_left_to_their_spans(tmp_path: Path) -> None:
    api = FakeApiServer()
    access = '{"attempts":1,"start_unix_nano":"1795709278683200000","status":200,"trace_id":"3848eee753521a17"}'
    warning = '{"level":"warning","message":"no keys"}'
    written = [f"2025-11-26T12:00:0{second}Z {line}" for second, line in enumerate((access, warning, access))]
    api.pod("gateway-1", "a", *written, container="gateway")
    # Another one may write what it likes.
    api.pod("users-1", "b", f"2025-11-26T12:00:03Z {access}")
    async with following(tmp_path, api) as query:
        assert sorted(await bodies(query, 2)) == ["no keys", access]


async def test_how_far_a_pod_was_followed_is_forgotten_with_it(tmp_path: Path) -> None:
    api = FakeApiServer()
    api.pod("users-1", "a", "2025-11-26T12:00:00Z one")
    api.pod("users-2", "b", "2025-11-26T12:00:00Z two")
    async with following(tmp_path, api) as query:
        await bodies(query, 2)
        api.over.add(("users-1", "users"))
        del api.output["users-1", "users"]

        def names() -> list[str]:
            with reading(tmp_path / FILE) as database:
                return [row[0] for row in database.execute("SELECT name FROM followed")]

        await asyncio.to_thread(until, lambda: names() == ["pod:users-2/users"])
    assert [each.body for each in query.logs()] == ["one", "two"]


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"])
async def test_a_newline_alone_ends_a_line_and_no_text_tells_the_time(tmp_path: Path, character: str) -> None:
    # Given a line that holds what some take for the end of one, and behind it what looks like a time
    said = f"no product {character}9999-12-31T23:59:59Z x"
    line = json.dumps({"level": "warning", "message": said}, ensure_ascii=False)
    api = FakeApiServer()
    api.pod("web-1", "a", f"2025-11-26T12:00:00.1Z {line}", f"2025-11-26T12:00:00.2Z {said}", container="web")
    async with following(tmp_path, api) as query:
        assert await bodies(query, 2) == [said, said]
        api.output["web-1", "web"].append("2025-11-26T12:00:01Z three")
        assert (await bodies(query, 3))[-1] == "three"
    # When the collector starts again, it goes on where it was
    api.output["web-1", "web"].append("2025-11-26T12:00:02Z four")
    async with following(tmp_path, api) as query:
        assert await bodies(query, 4) == [said, said, "three", "four"]
    assert {each.severity for each in query.logs()[:1]} == {"warning"}


@pytest.mark.parametrize("time", ["9999-99-99T23:59:59Z", "0000-01-01T00:00:00Z", "2025-11-26T12:00:60Z"])
async def test_a_line_whose_time_no_calendar_has_is_stored_once_with_the_one_before_it(
    tmp_path: Path, time: str
) -> None:
    api = FakeApiServer()
    api.pod("web-1", "a", "2025-11-26T12:00:00Z one", f"{time} two", "2025-11-26T12:00:01Z three", container="web")
    async with following(tmp_path, api) as query:
        assert await bodies(query, 3) == ["one", "two", "three"]
        asked = len(api.asked)
        await asyncio.to_thread(until, lambda: len(api.asked) >= asked + 10)
    assert len([each for each in api.asked if "/log?" in each]) == 1
    first, second, _ = query.logs()
    assert first.time == second.time


async def test_a_node_writes_the_time_of_its_own_zone(tmp_path: Path) -> None:
    api = FakeApiServer()
    api.pod("web-1", "a", "2025-11-26T14:00:00.5+02:00 one", container="web")
    async with following(tmp_path, api) as query:
        await bodies(query, 1)
    api.output["web-1", "web"].append("2025-11-26T14:00:01+02:00 two")
    async with following(tmp_path, api) as query:
        assert await bodies(query, 2) == ["one", "two"]
    assert query.logs()[0].time == 1_764_158_400_500_000_000
    lines = [urlsplit(each).query for each in api.asked if "/log?" in each]
    assert parse_qs(lines[-1])["sinceTime"] == ["2025-11-26T14:00:00+02:00"]


async def test_a_clock_that_was_ahead_and_is_set_back_hides_no_line(tmp_path: Path) -> None:
    api = FakeApiServer()
    api.pod("web-1", "a", "2025-11-26T12:00:00Z one", "2299-01-01T00:00:00Z two", container="web")
    async with following(tmp_path, api) as query:
        await bodies(query, 2)
        api.output["web-1", "web"].append("2025-11-26T12:00:05Z three")
        await bodies(query, 3)
    api.output["web-1", "web"].append("2025-11-26T12:00:06Z four")
    async with following(tmp_path, api) as query:
        await asyncio.to_thread(until, lambda: any(each.body == "four" for each in query.logs()))
    assert [each.body for each in query.logs()][:3] == ["one", "two", "three"]


def test_what_is_cut_of_a_long_line_is_no_line_of_its_own() -> None:
    rest, lines = b"", b""
    for part in (b"2025-11-26T12:00:00Z " + b"x" * 2**20, b"9999-12-31T23:59:59Z y" * 2**16, b"end\n2025"):
        whole, rest = _whole(rest + part)
        lines += whole
    assert lines.count(b"\n") == 1
    assert lines.startswith(b"2025-11-26T12:00:00Z xxx")
    assert lines.endswith(b"xxxend\n")
    assert len(lines) <= 2**20 + 4
    assert rest == b"2025"
