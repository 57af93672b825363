"""The boutique in a cluster, watched: collector, dashboard, and a failure from the red edge to the calm after it."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from shop.customers import shop_for

from atoll.collector.values import Log, Trace
from tests.cluster.programs import Failed
from tests.cluster.prometheus import alerting, beside
from tests.cluster.shop import ATOLL, Shop
from tests.conftest import find_program
from tests.ports import free_port
from tests.system.browsing import browsing
from tests.system.webhook import Webhook
from tests.tools.hops import ONE_CHECKOUT, Hop, mails
from tests.waiting import eventually, until

PAGES = ("/", "/services", "/services/checkout", "/traces", "/logs", "/events", "/alerts", "/apis", "/limits")

USED = {
    *("gateway→frontend", "frontend→checkout", "checkout→payment", "frontend→recommendation"),
    *("payment→payment-settled", "payment-settled→shipping", "order-placed→email"),
}

# The collector's own lines are none of its store's; the other has nothing to say while all is well.
SILENT = {"collector", "figures"}

MAILED = "[query.trace(each.id) for each in query.traces(TraceFilter(service='email', limit=10))]"

# An event that no handler can read, by who may publish it.
POISON = """
import asyncio, os, nats
async def main():
    broker = await nats.connect("nats://nats:4222", user="checkout", password=os.environ["NATS_PASSWORD"])
    await broker.publish("evt.shop.order-placed", b"no event at all")
    await broker.drain()
asyncio.run(main())
"""

# So that no later test finds it.
FORGET = """
import asyncio, os
from atoll.runtime.events.deadletters import dead, discard
from atoll.runtime.events.inspect import admin_connection
async def main():
    async with admin_connection("nats://nats:4222", "collector", os.environ["NATS_PASSWORD"]) as broker:
        for letter in await dead(broker, "shop"):
            await discard(broker, "shop", letter)
asyncio.run(main())
"""

pytestmark = pytest.mark.timeout(400)


@contextmanager
def dashboard(shop: Shop, environment: str = "test") -> Iterator[str]:
    """Its address here, while `atoll dashboard` forwards a port to it; Ctrl-C ends that."""
    command = [*ATOLL, "dashboard", "-e", environment, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=shop.folder, env=shop.variables) as process:
        try:
            assert process.stdout is not None
            yield str(json.loads(process.stdout.readline())["url"])
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return str(answer.read().decode())


async def draws_what_was_used(url: str) -> bool:
    """Whether the map has a purchase's edges, calls and events, and nothing says that they are idle."""
    page = await asyncio.to_thread(read, f"{url}/?window=5%20min")
    edges = dict(reversed(each) for each in re.findall(r'class="link (\w+) \w+"[^>]* data-edge="([^"]*)"', page))
    return {edge for edge, health in edges.items() if health != "idle"} >= USED


async def test_one_purchase_is_one_trace_from_the_gateway_to_both_mails(shop: Shop) -> None:
    async with shop.customers(count=2):
        pass
    found: list[list[list[str]]] = []

    def is_whole() -> bool:
        traces = shop.asked(MAILED, list[Trace])
        found[:] = [mails([Hop(s.span, s.parent, s.service, s.kind) for s in each.spans]) for each in traces]
        return any(each in found for each in ONE_CHECKOUT)

    until(is_whole, "both mails are in the trace of the purchase", within=30, every=1.0, why=lambda: str(found))


async def test_the_lines_of_every_pod_are_followed_by_who_may_read_nothing_else(shop: Shop) -> None:
    async with shop.customers(count=2):
        pass
    pods = {
        pod["metadata"]["name"]
        for pod in shop.kubectl.list("pods")
        if pod["status"]["phase"] == "Running" and pod["metadata"]["labels"]["app"] not in SILENT
    }
    question = "sorted({each.replica for each in query.logs(LogFilter(limit=100_000))})"
    missing: list[str] = []

    def are_there() -> bool:
        replicas = shop.asked(question, list[str])
        missing[:] = sorted(pods - set(replicas))
        return not missing

    # Services, a program in another language, Envoy, PostgreSQL and NATS: of each something is there.
    until(are_there, "each pod has lines", within=30, every=1.0, why=lambda: f"none of {missing}")
    question = "query.logs(LogFilter(services=('payment',), text='charging', limit=5))"
    charged = until(lambda: shop.asked(question, list[Log]), "charges are told", within=30, every=1.0)
    assert all(each.trace for each in charged)
    who = "--as=system:serviceaccount:shop:collector"
    assert shop.kubectl.run("auth", "can-i", "get", "pods", "--subresource=log", who).strip() == "yes"
    for forbidden in (("get", "secrets"), ("delete", "pods"), ("create", "pods/exec"), ("list", "configmaps")):
        with pytest.raises(Failed, match="no"):
            shop.kubectl.run("auth", "can-i", *forbidden, who)


async def test_the_dashboard_is_reached_by_a_forwarded_port_and_knows_pods_and_events(shop: Shop) -> None:
    async with shop.customers(count=2):
        pass
    with dashboard(shop) as url:
        for page in PAGES:
            assert "</html>" in await asyncio.to_thread(read, url + page), page
        # What services tell and how pods stand is known a few seconds later.
        await eventually(lambda: draws_what_was_used(url), "all that was used is on the map", within=30, every=1.0)
        await asyncio.to_thread(shop.left, "users")
        pods = shop.pods("users")
        assert len(pods) == 3
        page = ""

        async def names_all() -> bool:
            nonlocal page
            page = await asyncio.to_thread(read, f"{url}/services/users")
            return all(pod in page for pod in pods)

        await eventually(names_all, "each pod is on the page", within=30, every=1.0, why=lambda: page)
        assert "Restart" not in page
        events = await asyncio.to_thread(read, f"{url}/events")
        assert "email-confirm" in events
    # It is what the flag of the command line makes too. A rollback before leaves Jobs of what it went back to behind.
    shop.atoll("deploy", "-e", "test")
    answer = json.loads(shop.atoll("deploy", "-e", "test", "--with-dashboard", "--diff", "--json"))
    assert answer["changes"] == answer["removed"] == []


async def test_an_event_that_is_given_up_is_seen_and_sent_again_from_the_page(shop: Shop) -> None:
    async with browsing() as page:
        with dashboard(shop) as url:
            await page.goto(f"{url}/events")
            await expect(page.locator(".state.live")).to_have_count(1)
            publisher, *_ = shop.pods("checkout")
            await asyncio.to_thread(shop.kubectl.exec, publisher, "python", "-c", POISON)
            # It comes by itself; and its consumer gives it up.
            await expect(page.locator(".logs", has_text="no event at all")).to_be_visible()
            await given_up(page, f"{url}/events")
            await page.get_by_role("button", name="Send again").first.click()
            await expect(page.locator("main")).to_contain_text("Sent 1 again")
            await given_up(page, f"{url}/events")
    shop.kubectl.exec("deployment/collector", "python", "-c", FORGET)


async def given_up(page: Page, url: str) -> None:
    """Load the page until a dead letter is there."""
    async with asyncio.timeout(60):
        await page.goto(url)
        while not await page.locator("summary.bad").count():
            await page.wait_for_timeout(500)
            await page.goto(url)


@pytest.mark.needs_program("prometheus", "prometheus-alertmanager", "chromium")
async def test_a_failure_is_red_wakes_somebody_leads_to_its_reason_and_is_calm_after(
    shop: Shop, tmp_path: Path
) -> None:
    # Given a boutique with customers, and Prometheus and Alertmanager beside it
    at = f"{towards(shop.cluster.node_address)}:{free_port()}"
    with Webhook() as webhook:
        watching = f'\n[monitoring]\npage = "{webhook.url}/page"\nalertmanager = "http://{at}"\n'
        name = shop.environment("watched", more=watching)
        shop.atoll("render", "prometheus", "-e", name, "--scale", "60", "--output", str(tmp_path))
        shop.atoll("deploy", "collector", "-e", name)
        customers = asyncio.create_task(shop_for(shop.url, seconds=600.0, customers=3))
        try:
            with (
                alerting(tmp_path, find_program("prometheus-alertmanager"), at),
                beside(shop.kubectl, tmp_path, find_program("prometheus"), at),
                dashboard(shop, name) as url,
            ):
                async with browsing() as page:
                    await failing(shop, page, url, webhook)
        finally:
            customers.cancel()
            shop.atoll("fault", "payment", "off", "-e", "test")
            shop.atoll("deploy", "collector", "-e", "test")


async def failing(shop: Shop, page: Page, url: str, webhook: Webhook) -> None:
    """From calm to calm."""
    who = {"alertname": "ErrorBudgetBurn", "service": "payment", "slo": "availability", "severity": "page"}

    def told(status: str, within: float) -> None:
        until(
            lambda: webhook.has("/page", status, **who), f"it is {status}", within=within, why=lambda: str(webhook.told)
        )

    await page.goto(url)
    calm = page.locator("p.calm", has_text="Nothing is wrong.")
    await expect(page.locator('.link.good[data-edge="checkout→payment"]')).to_have_count(1, timeout=30_000)
    await expect(calm).to_be_visible(timeout=90_000)
    assert not webhook.has("/page", "firing", alertname="ErrorBudgetBurn")
    # When half of the charges fail, then the edge is red, and somebody is woken within a minute
    await asyncio.to_thread(shop.atoll, "fault", "payment", "errors=0.5", "-e", "test", "--yes")
    page_arrives = asyncio.create_task(asyncio.to_thread(told, "firing", 60.0))
    await expect(page.locator('.link.bad[data-edge="checkout→payment"]')).to_have_count(1, timeout=60_000)
    await page_arrives
    await page.goto(f"{url}/alerts")
    await expect(page.locator("main")).to_contain_text("ErrorBudgetBurn", timeout=20_000)
    # One: the red edge's label. Two: a failing trace. Three: the line that says why.
    await page.goto(url)
    await page.locator('.label.bad[href*="service=payment"]').first.click()
    await page.locator("table.traces tbody tr.failed a").first.click()
    await page.locator(".waterfall > .log a", has_text="Payment.charge failed").first.click()
    await expect(page.locator("main")).to_contain_text("Payment.charge failed: answered 500 on purpose")
    # When it is over, then all is calm
    await asyncio.to_thread(shop.atoll, "fault", "payment", "off", "-e", "test")
    await asyncio.to_thread(told, "resolved", 120.0)
    await page.goto(url)
    await expect(calm).to_be_visible(timeout=90_000)
    await expect(page.locator('.link.good[data-edge="checkout→payment"]')).to_have_count(1)


def towards(host: str) -> str:
    """The address of this machine that leads there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))
        return str(probe.getsockname()[0])


async def test_a_collector_that_is_killed_disturbs_nobody_and_what_was_sent_meanwhile_arrives(shop: Shop) -> None:
    began = time.time_ns()
    closing = asyncio.Event()
    buying = asyncio.create_task(shop_for(shop.url, seconds=300.0, customers=3, closing=closing))
    try:
        await asyncio.sleep(3.0)  # of ordinary business before
        (pod,) = shop.pods("collector")
        await asyncio.to_thread(shop.kubectl.run, "delete", "pod", pod, "--grace-period=0", "--force")
        await asyncio.to_thread(shop.rolled_out, "collector")
        await asyncio.sleep(3.0)  # and after
    finally:
        closing.set()
        summary = await buying
    assert (summary.failed, summary.unfinished) == ((), 0)
    question = f"len(query.traces(TraceFilter(service='email', since={began}, limit=10_000)))"

    def traced() -> int:
        return shop.asked(question, int)

    wanted = len(summary.confirmed)
    until(lambda: traced() >= wanted, f"{wanted} orders are traced", within=30, every=1.0, why=lambda: str(traced()))
    assert shop.asked("[each.name for each in query.limits()]", list[str]) == []
