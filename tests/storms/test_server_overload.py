"""A server that is asked for several times what it can do."""

import asyncio
import re
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from atoll import get
from atoll.runtime.faults import Faults
from atoll.runtime.health import LARGEST_ORDER, Admin, Health
from atoll.runtime.listener import Listener
from atoll.runtime.resilience.shedding import FEWEST
from tests.runtime.raw import Answer, Peer, Served, served
from tests.waiting import eventually

CALLERS = 150
WORK = 0.002
PAUSE = 0.1


class Busy:
    @get("/work")
    async def work(self) -> str:
        await asyncio.sleep(0)
        until = time.thread_time() + WORK
        while time.thread_time() < until:
            pass
        return "done"


class Load:
    """Callers that ask again at once when they are answered, and after a moment when they are refused."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.refused: list[Answer] = []

    async def call(self, peer: Peer) -> None:
        while True:
            began = time.monotonic()
            answer = await peer.ask("GET", "/work")
            if answer.status == 200:
                self.taken.append(time.monotonic() - began)
                continue
            self.refused.append(answer)
            await asyncio.sleep(PAUSE)


@asynccontextmanager
async def load(service: Served) -> AsyncIterator[Load]:
    made, peers = Load(), [await service.peer() for _ in range(CALLERS)]
    tasks = [asyncio.create_task(made.call(peer)) for peer in peers]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for peer in peers:
            await peer.__aexit__()


def limit(service: Served) -> int:
    found = re.search(r"^atoll_server_limit (\d+)", service.telemetry.metrics.render(), re.MULTILINE)
    assert found is not None
    return int(found[1])


async def test_what_is_taken_stays_quick_and_nearly_as_much_while_the_rest_is_refused_at_once() -> None:
    async with served(Busy(), concurrency=1024) as service:
        # Given a service that takes whatever comes
        assert limit(service) == 1024
        admin = Listener("127.0.0.1:0", Admin(Health("ready"), service.telemetry.metrics, Faults()), LARGEST_ORDER)
        await admin.open()
        try:
            async with load(service) as made, await Peer.connect(admin.address) as inside:
                # When many more ask than it can answer in time
                await eventually(lambda: limit(service) < CALLERS // 3 and bool(made.refused))
                made.taken.clear()
                began, spent = time.monotonic(), time.process_time()
                await eventually(lambda: len(made.taken) >= 400)
                rate = len(made.taken) / (time.monotonic() - began)
                worked = len(made.taken) * WORK / (time.process_time() - spent)
                # Then most of the processor's time goes into what is taken, which waits less than in a queue of all
                assert worked > 0.6
                assert statistics.median(made.taken) < CALLERS / rate / 2
                assert limit(service) >= FEWEST
                # And who is refused knows when to come back, while the admin port answers everybody
                assert {(each.status, each.headers["retry-after"]) for each in made.refused} == {(503, "1")}
                assert {each.json["type"] for each in made.refused} == {"urn:atoll:problem:overloaded"}
                for path in ("/health/live", "/health/ready", "/metrics"):
                    assert (await inside.ask("GET", path)).status == 200
                assert "atoll_server_shed_total" in service.telemetry.metrics.render()
        finally:
            admin.abort()
        # When they have gone it takes as many again
        async with await service.peer() as peer:
            async with asyncio.timeout(30):
                while limit(service) <= CALLERS:
                    assert (await peer.ask("GET", "/work")).status == 200


async def test_waiting_for_somebody_else_is_no_overload() -> None:
    proceed = asyncio.Event()

    class Patient:
        @get("/wait")
        async def wait(self) -> str:
            await proceed.wait()
            return "done"

        @get("/now")
        async def now(self) -> str:
            return "now"

    async with served(Patient(), concurrency=400) as service:
        waiting = [asyncio.create_task(service.ask("GET", "/wait")) for _ in range(300)]
        await eventually(lambda: "http_server_active_requests 300" in service.telemetry.metrics.render())
        for _ in range(100):
            assert (await service.ask("GET", "/now")).status == 200
        proceed.set()
        assert {(await answer).status for answer in waiting} == {200}
        assert "atoll_server_shed_total 0" in service.telemetry.metrics.render()
