"""The dashboard of the boutique, in a real browser."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import pytest_asyncio
from playwright.async_api import Page, Response, expect
from shop.customers import shop_for

from atoll.model.launch import InjectedFault
from atoll.runtime.events.inspect import admin_connection
from atoll.supervisor.administrator import administrator
from atoll.supervisor.control import ControlClient
from atoll.supervisor.faults import FaultAsked
from atoll.testing import Running, running
from atoll.wire import subjects
from tests.system.browsing import browsing

EXAMPLE = Path(__file__).parents[2] / "examples" / "shop"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\\u001b[31m"

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs_program("chromium"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("seen") / "shop"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
    async with running("shop.system:shop", folder, variables=os.environ) as system:
        yield system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page() -> AsyncIterator[Page]:
    async with browsing() as page:
        yield page


@asynccontextmanager
async def customers(shop: Running) -> AsyncIterator[None]:
    """They buy as long as somebody looks whether they do."""
    closing = asyncio.Event()
    about = asyncio.create_task(shop_for(shop.url, seconds=120.0, customers=2, closing=closing))
    try:
        yield
    finally:
        closing.set()
        await about


async def test_the_map_shows_who_asks_whom_and_asks_nobody_elsewhere(shop: Running, page: Page) -> None:
    url = shop.status().dashboard
    asked: list[str] = []

    def heard(answer: Response) -> None:
        asked.append(answer.url)

    page.on("response", heard)
    async with customers(shop):
        await page.goto(url)
        # It draws itself while one looks: nothing is loaded again.
        for edge in ("gateway→frontend", "frontend→catalog", "checkout→payment", "payment→payment-settled"):
            await expect(page.locator(f'.link:not(.idle)[data-edge="{edge}"]')).to_have_count(1, timeout=30_000)
        await expect(page.locator('[data-node="checkout"] .store')).to_contain_text("postgresql")
    assert asked
    assert all(each.startswith(url) for each in asked)


async def test_a_failing_call_is_red_and_its_trace_and_log_line_are_three_clicks_away(
    shop: Running, page: Page
) -> None:
    control = ControlClient(Path(shop.status().state))

    def fail(share: float) -> None:
        control.fault(FaultAsked(("payment",), InjectedFault(errors=share)))

    await asyncio.to_thread(fail, 0.5)
    async with customers(shop):
        await page.goto(shop.status().dashboard)
        await expect(page.locator('.link.bad[data-edge="checkout→payment"]')).to_have_count(1, timeout=40_000)
        await expect(page.locator('[data-node="payment"].bad')).to_have_count(1)
    # One: the red edge's label. Two: a failing trace, whose lines have come by now. Three: the line that says why.
    await page.locator('.label.bad[href*="service=payment"]').first.click()
    await page.locator("table.traces tbody tr.failed a").last.click()
    await expect(page.locator(".waterfall .span.failed").first).to_be_visible()
    await page.locator(".waterfall > .log a", has_text="Payment.charge failed").first.click()
    await expect(page.locator("main")).to_contain_text("Payment.charge failed: answered 500 on purpose")
    await asyncio.to_thread(fail, 0.0)


async def test_nothing_that_a_sender_says_is_run_or_drawn(shop: Running, page: Page) -> None:
    collector = next(each for each in shop.status().processes if each.name == "collector")
    now = time.time_ns()
    name = HOSTILE.replace('"', '\\"')
    service = f'[{{"key": "service.name", "value": {{"stringValue": "{name}"}}}}]'
    ids = '"traceId": "00000000000000000000000000abcdef", "spanId": "00000000000000ab"'
    spans = (
        f'{{"resourceSpans": [{{"resource": {{"attributes": {service}}}, "scopeSpans": [{{"spans": [{{{ids}, "name": '
        f'"{name}", "kind": 2, "startTimeUnixNano": "{now}", "endTimeUnixNano": "{now + 10**6}"}}]}}]}}]}}'
    )
    logs = (
        f'{{"resourceLogs": [{{"resource": {{"attributes": {service}}}, "scopeLogs": [{{"logRecords": [{{{ids}, '
        f'"timeUnixNano": "{now}", "severityNumber": 17, "body": {{"stringValue": "{name}"}}}}]}}]}}]}}'
    )

    def send(signal: str, body: str) -> int:
        headers = {"content-type": "application/json"}
        request = Request(f"http://127.0.0.1:{collector.port}/v1/{signal}", body.encode(), headers)
        with urlopen(request, timeout=10) as answer:
            return int(answer.status)

    assert await asyncio.to_thread(send, "traces", spans) == 200
    assert await asyncio.to_thread(send, "logs", logs) == 200
    url = shop.status().dashboard
    for path in ("/", "/services", "/traces", "/traces/00000000000000000000000000abcdef", "/logs?severity=error"):
        await page.goto(url + path)
        await expect(page.locator("main")).to_contain_text("<img src=x")
        assert await page.title() != "owned"
        assert await page.locator("main img").count() == 0
        assert "\x1b" not in await page.content()


async def test_log_lines_and_events_come_by_themselves(shop: Running, page: Page) -> None:
    url = shop.status().dashboard
    await page.goto(f"{url}/events")
    await expect(page.locator(".state.live")).to_have_count(1)
    async with customers(shop):
        await expect(page.locator(".logs .log", has_text="order-placed").first).to_be_visible(timeout=30_000)
    await page.goto(f"{url}/logs?service=ads")
    await expect(page.locator(".state.live")).to_have_count(1)
    # The button of a page restarts a service; what its successor writes is seen.
    assert page.context.browser is not None
    other = await page.context.browser.new_page()
    await other.goto(f"{url}/services/ads")
    before = await page.locator(".logs .log").count()
    await other.get_by_role("button", name="Restart").click()
    await other.wait_for_url(f"{url}/services/ads")
    await expect(page.locator(".logs .log").nth(before)).to_be_visible(timeout=20_000)
    await other.close()


async def test_a_dead_letter_is_sent_again_by_its_button_to_the_consumer_that_gave_it_up(
    shop: Running, page: Page
) -> None:
    # Given an event that nobody can read, and so is given up at once
    who, subject = administrator(Path(shop.status().state)), subjects.subject("shop", "order-shipped")
    headers = {"ce-id": "unread", "ce-type": "order-shipped", "ce-source": "/shop/nobody"}
    async with admin_connection(who.url, who.user, who.password) as broker:
        await (await broker.publish(subject, b'"no shipment"', headers))
    url = f"{shop.status().dashboard}/events"
    await page.goto(url)
    letter = page.locator("tr", has=page.get_by_role("button", name="Send again"))

    async def number_of_letter() -> int:
        """Of the only one, once it is there."""
        async with asyncio.timeout(20):
            while await letter.count() == 0:
                await page.goto(url)
        await expect(letter).to_contain_text("its value can't be read")
        return int(await letter.locator("td").first.inner_text())

    number = await number_of_letter()
    # Its row tells what it was, and of whom
    await expect(letter).to_contain_text("email")
    await letter.locator("summary").click()
    await expect(letter.locator("pre").last).to_have_text('"no shipment"')
    # When it is sent again, then its consumer has it, and gives it up once more
    await letter.get_by_role("button", name="Send again").click()
    await expect(page.locator("main")).to_contain_text("Sent 1 again.")
    await page.goto(url)
    assert await number_of_letter() > number
