"""What the pods of a cluster write, as it is read for somebody who looks."""

import asyncio
from pathlib import Path

import pytest

from atoll.kubernetes import reading
from atoll.kubernetes.client import Api
from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import mapping
from atoll.kubernetes.reading import Follower, Written, last_lines
from atoll.kubernetes.rollout import Log
from atoll.kubernetes.waiting import last_words
from atoll.wire.description import Description
from tests.kubernetes.api_server import LABELS, Server, connected, serving
from tests.kubernetes.targets import target_of

POD: Object = {
    "kind": "Pod",
    "metadata": {"name": "web-7d9-x7k2p", "labels": {**LABELS, "app": "web"}},
    "spec": {"containers": [{"name": "web"}]},
    "status": {"phase": "Running"},
}
FORGED = "no product \u2028zzzz x\x85y\x0b9999-12-31T23:59:59Z z"
WRITTEN = [
    Written("web-x7k2p", "", "unable to retrieve container logs"),
    Written("web-x7k2p", "2025-11-26T12:00:00.100000000Z", FORGED),
    Written("web-x7k2p", "2025-11-26T12:00:01.000000000Z", "next"),
]


@pytest.fixture
def server(server: Server) -> Server:
    """With a pod that has written these lines, behind what its node says."""
    server.objects["pods/web-7d9-x7k2p"] = POD
    lines = [f"{each.time} {each.text}".strip() for each in WRITTEN]
    server.logs["web-7d9-x7k2p"] = "\n".join(lines).encode() + b"\n"
    return server


async def test_a_newline_alone_ends_a_line_and_no_text_tells_the_time(api: Api, shop: Description) -> None:
    assert await last_lines(api, target_of(shop), ("web",), 50) == WRITTEN


async def test_a_pod_is_followed_behind_what_looks_like_a_time(api: Api, shop: Description) -> None:
    lines = Follower(api, target_of(shop), ("web",), 50).lines()
    async with asyncio.timeout(20):
        assert [await anext(lines) for _ in WRITTEN] == WRITTEN
    await lines.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_pod_that_ended_before_it_was_seen_is_read_once(
    server: Server, api: Api, shop: Description, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    monkeypatch.setattr(reading, "_LOOK_AGAIN", 0.01)
    # Given one that came and went between two looks
    server.objects["pods/web-7d9-x7k2p"] = {**POD, "status": {"phase": phase}}
    lines = Follower(api, target_of(shop), ("web",), 50).lines()
    async with asyncio.timeout(20):
        assert [await anext(lines) for _ in WRITTEN] == WRITTEN
        # When another begins later
        later = {**mapping(POD, "metadata"), "name": "web-7d9-later"}
        server.logs["web-7d9-later"] = b"2025-11-26T12:00:02Z later\n"
        server.objects["pods/web-7d9-later"] = {**POD, "metadata": later}
        # Then its line is the next
        assert (await anext(lines)).text == "later"
    await lines.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "line", ['{"problems": [{"code": "ATL', '{"problems": 7}', '{"problems": [{"has": [], "odd": 1}]}']
)
async def test_what_only_begins_like_a_problem_is_shown_as_it_is(line: str, tmp_path: Path) -> None:
    with serving() as server:
        server.logs["web-1"] = f"{line}\n".encode()
        async with connected(server, tmp_path) as made:
            assert await last_words(made, Log("web-1", "web", is_previous=False)) == [line]
