"""The output of pods, from a server that answers as a cluster's API does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from atoll.collector.limits import Limits
from atoll.collector.pods import Pods
from atoll.collector.query import Query
from atoll.collector.writer import Writer
from tests.collector.running import until


class ApiServer:
    """Lists pods, and has their lines with their times."""

    def __init__(self) -> None:
        self.output: dict[tuple[str, str], list[str]] = {}
        self.uids: dict[str, str] = {}
        self.asked: list[str] = []
        self.tokens: set[str] = set()

    def pod(self, name: str, uid: str, *lines: str, container: str = "users") -> None:
        self.uids[name] = uid
        self.output[name, container] = list(lines)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                target = head.split(" ")[1]
                self.asked.append(target)
                self.tokens.add(head.lower().split("authorization: bearer ")[1].split("\r\n")[0])
                status, body = self._answer(target)
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        except asyncio.IncompleteReadError:
            writer.close()

    def _answer(self, target: str) -> tuple[str, bytes]:
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/api/v1/namespaces/shop/pods":
            assert query == {"labelSelector": "app.kubernetes.io/part-of=shop"}
            return "200 OK", json.dumps({"items": [self._pod(*key) for key in self.output]}).encode()
        name = url.path.split("/")[6]
        lines = self.output.get((name, query["container"]))
        if lines is None:
            return "404 Not Found", b"{}"
        since = query.get("sinceTime", "")
        wanted = [line for line in lines if line[:19] >= since[:19]]
        return "200 OK", "".join(f"{line}\n" for line in wanted).encode()

    def _pod(self, name: str, container: str) -> object:
        labels = {"app": container, "app.kubernetes.io/component": "service"}
        metadata = {"name": name, "uid": self.uids[name], "labels": labels}
        return {"metadata": metadata, "spec": {"containers": [{"name": container}]}}


@asynccontextmanager
async def following(folder: Path, api: ApiServer) -> AsyncIterator[Query]:
    """A collector's store and follower, looking all the time."""
    server = await asyncio.start_server(api, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Writer(folder, Limits()) as writer:
        pods = Pods("shop", "shop", writer, lambda: HTTPConnection("127.0.0.1", port, timeout=5), lambda: "t0ken", 0.02)
        task = asyncio.create_task(pods.run())
        try:
            yield Query(folder)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def bodies(query: Query, count: int) -> list[str]:
    await asyncio.to_thread(until, lambda: len(query.logs()) >= count)
    return [each.body for each in query.logs()]


async def test_each_line_of_each_pod_is_stored_once(tmp_path: Path) -> None:
    api = ApiServer()
    api.pod("users-1", "a", "2026-11-26T12:00:00.1Z one", '2026-11-26T12:00:00.25Z {"level":"error","message":"two"}')
    api.pod("nats-0", "b", "2026-11-26T12:00:00.000000001Z [1] [WRN] slow", container="nats")
    async with following(tmp_path, api) as query:
        assert sorted(await bodies(query, 3)) == ["[1] [WRN] slow", "one", "two"]
        # Given more lines, one of them in the second that was read already
        api.output["users-1", "users"] += ["2026-11-26T12:00:00.251Z three", "2026-11-26T12:00:09Z four"]
        assert (await bodies(query, 5))[-2:] == ["three", "four"]
        asked = len(api.asked)
        await asyncio.to_thread(until, lambda: len(api.asked) >= asked + 10)
    assert len(query.logs()) == 5
    found = {each.body: each for each in query.logs()}
    assert (found["two"].severity, found["two"].service, found["two"].replica) == ("error", "users", "users-1")
    assert found["one"].time == 1_795_694_400_100_000_000
    assert api.tokens == {"t0ken"}


async def test_a_collector_that_starts_again_goes_on_where_it_was(tmp_path: Path) -> None:
    api = ApiServer()
    api.pod("users-1", "a", "2026-11-26T12:00:00Z one")
    async with following(tmp_path, api) as query:
        await bodies(query, 1)
    api.output["users-1", "users"].append("2026-11-26T12:00:05Z two")
    api.pod("users-2", "c", "2026-11-26T12:00:05Z another's")
    async with following(tmp_path, api) as query:
        assert sorted(await bodies(query, 3)) == ["another's", "one", "two"]
        # When a pod of the same name is another one, its lines are new.
        api.pod("users-1", "d", "2026-11-26T11:00:00Z reborn")
        assert "reborn" in await bodies(query, 4)


async def test_an_api_server_that_fails_is_asked_again(tmp_path: Path) -> None:
    api = ApiServer()
    api.pod("users-1", "a", "2026-11-26T12:00:00Z one")
    good, api._answer = api._answer, lambda target: ("503 Service Unavailable", b"{}")  # type: ignore[method-assign]
    async with following(tmp_path, api) as query:
        await asyncio.to_thread(until, lambda: len(api.asked) >= 3)
        api._answer = good  # type: ignore[method-assign]
        assert await bodies(query, 1) == ["one"]
