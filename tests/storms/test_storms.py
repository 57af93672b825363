"""What is at the bottom fails under traffic: who needs it fails fast, who does not is as quick as ever."""

import asyncio
import json
import re
import shutil
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.runtime.peer import Asked, Wire, answering
from tests.storms.traffic import BUYERS, GOOD, PAUSE, Bank, Buyers, slower, window
from tests.system.runs import Run, ask, atoll
from tests.waiting import eventually

STORM = Path(__file__).parent / "storm" / "storm"
TARGET = "storm.system:system"
VISITED = ("/home", "/products")
OUTAGE = 20.0
"""Seconds. A breaker whose pauses double would by then be in one of sixteen."""
RECOVERY = 5.0
"""Seconds from the return of what failed to the first good answer, across all tiers."""
WINDOWS = 4

pytestmark = [pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Storm:
    run: Run
    bank: Bank

    @property
    def address(self) -> str:
        return self.run.url.removeprefix("http://")

    async def atoll(self, *arguments: str) -> str:
        found = await asyncio.to_thread(atoll, self.run.folder, *arguments)
        assert found.returncode == 0, found.stderr
        return found.stdout

    async def fault(self, *what: str) -> None:
        await self.atoll("fault", *what, "--system", TARGET)

    async def breakers(self) -> dict[str, dict[str, str]]:
        """Those that are not closed, by process and destination."""
        rows = json.loads(await self.atoll("status", TARGET, "--json"))["processes"]
        return {row["name"]: row["breakers"] for row in rows if row["breakers"]}

    async def windows(self) -> list[dict[str, float]]:
        return [await window(self.address, VISITED) for _ in range(WINDOWS)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def storm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Storm]:
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(STORM, folder / "storm", ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
    async with Bank() as bank:
        system = folder / "storm" / "system.py"
        system.write_text(system.read_text().replace("127.0.0.1:9", f"127.0.0.1:{bank.port}"))
        with Run(folder, target=TARGET) as run:
            await asyncio.to_thread(run.ready)
            yield Storm(run, bank)


async def late(_: Asked, wire: Wire) -> None:
    """The right answer after five seconds, to who still waits."""
    try:
        await asyncio.wait_for(wire.closed_by_caller(), 5.0)
    except TimeoutError:
        await GOOD(_, wire)


FAULTS = {
    "dead": None,
    "slow": late,
    "refusing with 500": answering(status=500),
    "refusing with 503": answering(status=503, headers={"Retry-After": "1"}),
}


@asynccontextmanager
async def failing(bank: Bank, fault: str) -> AsyncIterator[None]:
    behaviour = FAULTS[fault]
    if behaviour is None:
        await bank.stop()
    else:
        bank.now = behaviour
    try:
        yield
    finally:
        bank.now = GOOD
        if behaviour is None:
            await bank.start()


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_long_outage_at_the_bottom_takes_nothing_from_others_and_is_over_within_seconds(
    storm: Storm, fault: str
) -> None:
    bank = storm.bank
    async with Buyers(storm.address) as buyers:
        await buyers.sells(time.monotonic(), within=10)
        started = time.monotonic()
        calm = await storm.windows()
        normal = len([at for at in bank.times if at >= started]) / (time.monotonic() - started)
        # When the bottom fails
        failed_at = time.monotonic()
        async with failing(bank, fault):
            stormy = await storm.windows()
            # Then the breaker beside it opens, and no other: the status shows it, and the map.
            await eventually(lambda: shown(storm))
            assert list(await storm.breakers()) == ["payment-1"]
            assert "breaker of bank" in await storm.atoll("status", TARGET)
            await eventually(lambda: drawn(storm))
            # Who does not need it is as quick as before, who does is told at once.
            stormy += await storm.windows()
            late_in_it = time.monotonic()
            await asyncio.sleep(max(1.0, failed_at + OUTAGE - late_in_it))
            told = buyers.since(late_in_it)
        # When it is back, what was broken is whole within seconds, and everything else still is.
        back_at = time.monotonic()
        took = await buyers.sells(back_at, within=2 * RECOVERY)
        calm += await storm.windows()
        after = buyers.since(back_at + took + 0.5)
        # The machine may have been busier with others then than now: some more of both tells.
        for _ in range(2):
            if not slower(stormy, calm):
                break
            async with failing(bank, fault):
                stormy += await storm.windows()
            await buyers.sells(time.monotonic(), within=2 * RECOVERY)
            calm += await storm.windows()
    assert {each.status for each in told} <= {502, 504}
    assert statistics.median(each.took for each in told) < 0.1
    assert {each.status for each in after} == {200}
    assert took <= RECOVERY
    assert slower(stormy, calm) == {}
    # No second brought it more requests than a good one did, or would have on a machine without other work.
    assert bank.busiest(failed_at) <= 1.5 * max(normal, BUYERS / PAUSE)
    assert await storm.breakers() == {}


async def shown(storm: Storm) -> bool:
    return await storm.breakers() in ({"payment-1": {"bank": "open"}}, {"payment-1": {"bank": "half-open"}})


async def drawn(storm: Storm) -> bool:
    """On the map the line from payment to the bank is red, and says why."""
    status, page = await asyncio.to_thread(ask, storm.run.status["watching"]["dashboard"])
    assert status == 200
    return re.search(r'class="link bad call"[^>]*data-edge="payment→bank"', page) is not None and (
        re.search(r"<li>payment → bank: [^<]*the breaker is (half-)?open", page) is not None
    )


@pytest.mark.parametrize("what", ["latency=5", "errors=1"])
async def test_a_service_that_is_told_to_fail_opens_the_breaker_beside_it_until_it_is_told_to_stop(
    storm: Storm, what: str
) -> None:
    async with Buyers(storm.address) as buyers:
        await buyers.sells(time.monotonic(), within=10)
        await storm.fault("payment", what)
        await eventually(lambda: broken(storm))
        assert list(await storm.breakers()) == ["checkout-1"]
        await storm.fault("payment", "off")
        assert await buyers.sells(time.monotonic(), within=2 * RECOVERY) <= RECOVERY
    assert await storm.breakers() == {}


async def broken(storm: Storm) -> bool:
    return "payment" in (await storm.breakers()).get("checkout-1", {})


async def test_a_killed_service_is_missed_for_no_longer_than_its_start_and_a_few_seconds(storm: Storm) -> None:
    async with Buyers(storm.address) as buyers:
        await buyers.sells(time.monotonic(), within=10)
        pid = storm.run.row("payment-1")["pid"]
        await storm.fault("payment", "kill")
        assert {(await asyncio.to_thread(ask, f"{storm.run.url}{path}"))[0] for path in VISITED} == {200}
        await asyncio.to_thread(storm.run.until_back, "payment-1", pid)
        assert await buyers.sells(time.monotonic(), within=2 * RECOVERY) <= RECOVERY
