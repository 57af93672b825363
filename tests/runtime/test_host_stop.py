"""What of a service's events and schedules is finished when its process is told to end."""

import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from atoll.model.launch import Launch, Messaging
from atoll.model.references import Literal
from tests.runtime.events.parts import Placed, placed
from tests.runtime.events.parts import Running as Engines
from tests.runtime.servers import NatsServer
from tests.runtime.test_host import launch_of, running
from tests.waiting import eventually

WORKS = """
import asyncio
from pathlib import Path
from atoll import consumes, every, get
from tests.runtime.events.parts import Placed, placed

async def take(seconds, what):
    with Path(__file__).with_name("said").open("a", buffering=1) as said:
        said.write(f"{what} began\\n")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            said.write(f"{what} cut\\n")
            raise
        said.write(f"{what} ended\\n")

class Worker:
    @get("/hello")
    async def hello(self) -> str:
        return "hello"

    @consumes(placed, idempotent=True)
    async def bare(self, event: Placed) -> None:
        await take(3.0, f"event {event.number}")

    @every(seconds=0.1, each_replica=True)
    async def tidy(self) -> None:
        await take(2.0, "run")
"""

Launched = Callable[[float], Launch]
"""A launch document for a worker with this grace period."""


@pytest.fixture
async def launched(dsn: str, nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Launched]:
    """For a worker that has two events of one key to handle."""
    engines = Engines(dsn, nats_server)
    source = engines.source("bare", concurrency=4, ack_wait=30.0)
    await engines.prepare(source)
    publisher = await engines.publisher()
    for number in (1, 2):
        await publisher.publish(placed, Placed("a", number))
    (tmp_path / "works.py").write_text(textwrap.dedent(WORKS))
    messaging = Messaging(nats_server.url, "admin", Literal(nats_server.password), consumes=(source,))

    def launch(grace: float) -> Launch:
        return launch_of(
            tmp_path,
            system=engines.system,
            service="orders",
            replica="orders-1",
            target="works:Worker",
            import_path=(str(tmp_path), str(Path(__file__).parents[2])),
            settings=msgspec.Raw(b"null"),
            secrets={},
            messaging=messaging,
            grace=grace,
        )

    yield launch
    await engines.end()


async def test_what_is_at_work_may_take_the_grace_period_and_nothing_new_begins(
    tmp_path: Path, launched: Launched
) -> None:
    said = tmp_path / "said"
    async with running(tmp_path, launched(10.0)) as worker:
        # Given an event and a run at work
        await eventually(lambda: said.exists() and {"event 1 began", "run began"} <= set(said.read_text().split("\n")))
        # When the process is told to end, then both end once, though they take longer than anything after a drain may
        assert await worker.end() == 0
    lines = said.read_text().splitlines()
    assert lines.count("event 1 ended") == 1
    assert lines.count("run began") == lines.count("run ended")
    assert not [line for line in lines if line.endswith("cut") or line.startswith("event 2")]
    # and who comes next gets the other event at once, and only that
    async with running(tmp_path, launched(10.0)) as worker:
        await eventually(lambda: "event 2 began" in said.read_text(), within=10.0)
        assert await worker.end() == 0
    assert said.read_text().count("event 1") == 2


async def test_what_takes_longer_than_the_grace_period_is_cut_and_told(tmp_path: Path, launched: Launched) -> None:
    said = tmp_path / "said"
    async with running(tmp_path, launched(2.5)) as worker:
        await eventually(lambda: said.exists() and "event 1 began" in said.read_text())
        assert await worker.end() == 0
    assert "event 1 cut" in said.read_text()
    assert "orders-1 cuts what did not end within its grace period" in [line["message"] for line in worker.lines]
