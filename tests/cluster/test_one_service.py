"""One service is deployed with what it needs of others, and keeps that until its next version is up."""

import asyncio
import json
import time

import pytest

from atoll.collector.values import Log
from tests.cluster.programs import Failed
from tests.cluster.shop import Shop
from tests.waiting import until

pytestmark = pytest.mark.timeout(400)

IMPORTED = """\
from .contract import Ad, Ads
import logging
from atoll import consumes
from ..checkout.contract import OrderPlaced, order_placed
"""
HEARING = """\
    @consumes(order_placed, idempotent=True)
    async def hear(self, event: OrderPlaced) -> None:
        logging.getLogger("shop.ads").warning("heard of an order")

    async def ads("""


async def test_a_service_that_begins_to_consume_gets_what_it_needs_and_keeps_it_until_its_next_version_is_up(
    shop: Shop,
) -> None:
    # Given that all is as it is declared, without what a rollback left behind
    shop.atoll("deploy", "-e", "test")
    before = shop.generations()
    source = "ads/service.py"
    try:
        with (
            shop.edited(source, "from .contract import Ad, Ads\n", IMPORTED),
            shop.edited(source, "    async def ads(", HEARING),
        ):
            await asyncio.to_thread(shop.build, "ads")
            # When it is deployed alone, with a first topic
            applied = json.loads(await asyncio.to_thread(shop.atoll, "deploy", "ads", "-e", "test", "--json"))
        # Then it comes up, hears of orders, and no other service is touched
        assert {"StatefulSet nats", "NetworkPolicy nats", "Role setup"} <= set(applied["applied"])
        after = shop.generations()
        assert after.pop("ads") > before.pop("ads")
        assert after == before
        assert "ads" in let_in(shop)
        await hears(shop)
        # When the next version needs it no more, and does not come up
        with shop.edited(source, '"""', '"""(Never built.) '), pytest.raises(Failed, match="can't be had"):
            await asyncio.to_thread(shop.atoll, "deploy", "ads", "-e", "test", "--timeout", "30")
        # Then the old one hears on
        assert "ads" in let_in(shop)
        await hears(shop)
    finally:
        await asyncio.to_thread(shop.atoll, "deploy", "ads", "-e", "test")
    # When one does, then it is taken away, and everything is as it was
    assert "ads" not in let_in(shop)
    after = shop.generations()
    del after["ads"]
    assert after == before
    # But what was set up is kept until everything is deployed, which changes nothing else.
    left = json.loads(shop.atoll("deploy", "-e", "test", "--json"))
    assert {each.split()[1].partition("-")[0] for each in (*left["applied"], *left["removed"])} == {"setup"}


def let_in(shop: Shop) -> list[str]:
    """Whose pods may connect to the broker."""
    rules = shop.kubectl.get("networkpolicy", "nats")["spec"]["ingress"]
    peers = [peer for rule in rules for peer in rule.get("from", [])]
    return [peer["podSelector"]["matchLabels"].get("app", "") for peer in peers]


async def hears(shop: Shop) -> None:
    """Wait until the service has heard of orders that are placed now."""
    began = time.time_ns()
    async with shop.customers():
        pass
    what = "ads hears of orders"
    # The broker has just been started again, and begins with all that there was.
    until(lambda: heard(shop, began), what, within=150, every=1, why=lambda: standing(shop, began))


def heard(shop: Shop, since: int) -> int:
    """How often since then (nanoseconds), as its collector has it: a pod's own log begins anew with each container, and
    when it is long."""
    lines = f"query.logs(LogFilter(services=('ads',), text='heard of an order', since={since}))"
    return len(shop.asked(lines, list[Log]))


def standing(shop: Shop, began: int) -> str:
    pods = [each for each in shop.kubectl.list("pods") if each["metadata"]["labels"].get("app") == "ads"]
    restarts = {
        each["metadata"]["name"]: [container["restartCount"] for container in each["status"]["containerStatuses"]]
        for each in pods
    }
    said = "\n".join(shop.kubectl.logs(name)[-4_000:] for name in restarts)
    return f"heard since {began}: {heard(shop, began)}, ever: {heard(shop, 0)}, restarts: {restarts}\n{said}"
