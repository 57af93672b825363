"""Payment fails while customers are about in the shop: who only looks around does not notice."""

import asyncio
import os
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio
from shop.browser import Browser
from shop.customers import shop_for
from shop.payment.contract import GOOD_CARD

from tests.storms.traffic import slower, window
from tests.system.runs import Run, atoll
from tests.waiting import eventually

EXAMPLE = Path(__file__).parents[2] / "examples" / "shop"
TARGET = "shop.system:shop"
CUSTOMERS = 4
VISITED = ("/shelf", "/products/harbour-teapot")
"""A page of the frontend, which asks catalog, currency and ads for it, and the catalog itself."""
EVERY = 0.02
"""Seconds between two visits: with the customers that is half of what two cores can do."""
WINDOWS = 4
RECOVERY = 5.0
"""Seconds from the return of payment to the first order."""

pytestmark = [pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Run]:
    folder = tmp_path_factory.mktemp("shop") / "shop"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
    with Run(folder, target=TARGET) as run:
        yield await asyncio.to_thread(run.ready)


async def told(run: Run, *arguments: str) -> None:
    found = await asyncio.to_thread(atoll, run.folder, *arguments)
    assert found.returncode == 0, found.stderr


async def windows(run: Run) -> list[dict[str, float]]:
    return [await window(run.url.removeprefix("http://"), VISITED, EVERY) for _ in range(WINDOWS)]


@asynccontextmanager
async def customers(run: Run) -> AsyncIterator[None]:
    """They look around, fill baskets and pay, or try to."""
    closing = asyncio.Event()
    about = asyncio.create_task(shop_for(run.url, seconds=150, customers=CUSTOMERS, closing=closing))
    try:
        yield
    finally:
        closing.set()
        summary = await about
    assert summary.confirmed


@asynccontextmanager
async def failing(run: Run, fault: str) -> AsyncIterator[None]:
    """Payment is dead, or slow, or refuses."""
    if fault == "dead":
        killing = asyncio.create_task(killed(run))
        try:
            yield
        finally:
            killing.cancel()
        await eventually(lambda: run.row("payment-1")["state"] == "ready")
    else:
        await told(run, "fault", "payment", fault, "--system", TARGET)
        try:
            yield
        finally:
            await told(run, "fault", "payment", "off", "--system", TARGET)


async def killed(run: Run) -> None:
    """As soon as it is started, again and again."""
    while True:
        if pid := run.pids().get("payment-1"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.05)


async def buys(run: Run) -> bool:
    """Whether somebody new is sold a teapot."""
    async with Browser(run.url, 10.0, lambda _: None) as browser:
        await browser.post("/basket", {"product_id": "harbour-teapot", "quantity": "1"})
        basket = re.search(r'name="basket_id" value="(\w+)"', (await browser.get("/checkout")).text)
        assert basket
        form = {"basket_id": basket[1], "email": "ada@example.org", "name": "Ada", "street": "Kade 7"}
        paid = await browser.post("/checkout", {**form, "city": "Hoorn", "country": "Holland", "card": GOOD_CARD})
        return "data-order=" in paid.text


async def fails(run: Run) -> bool:
    return not await buys(run)


@pytest.mark.parametrize("fault", ["dead", "latency=5", "errors=1"])
async def test_who_only_looks_around_does_not_notice_that_payment_fails(run: Run, fault: str) -> None:
    async with customers(run):
        await eventually(lambda: buys(run))
        calm = await windows(run)
        async with failing(run, fault):
            await eventually(lambda: fails(run))
            stormy = await windows(run)
        back_at = time.monotonic()
        await eventually(lambda: buys(run), within=2 * RECOVERY)
        took = time.monotonic() - back_at
        calm += await windows(run)
        # The machine may have been busier with others then than now: some more of both tells.
        for _ in range(2):
            if not slower(stormy, calm):
                break
            async with failing(run, fault):
                stormy += await windows(run)
            await eventually(lambda: buys(run), within=2 * RECOVERY)
            calm += await windows(run)
    assert slower(stormy, calm) == {}
    assert took <= RECOVERY
