"""Chromium, as the machine has it, that asks nobody but whom a page names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright import async_api, sync_api
from playwright.async_api import Page, async_playwright

from tests.conftest import find_program

# It draws what comes from services, a collector and a broker, beside other tests: five seconds are its default.
for each in (async_api.expect, sync_api.expect):
    each.set_options(timeout=20_000)

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Its options."""


@asynccontextmanager
async def browsing() -> AsyncIterator[Page]:
    """A page of it, while the block lasts."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=find_program("chromium"), args=list(QUIET))
        try:
            yield await browser.new_page(viewport={"width": 1440, "height": 800})
        finally:
            await browser.close()
