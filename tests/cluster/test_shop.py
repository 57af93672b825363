"""The boutique in a cluster: built, deployed, changed and broken under the eyes of its customers."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from shop.customers import Summary, shop_for
from shop.demo import settle

from tests.cluster.cluster import Cluster
from tests.cluster.programs import Failed
from tests.cluster.shop import Shop

CUSTOMERS = 4

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def shop(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = Shop.copied(tmp_path_factory.mktemp("boutique") / "shop", cluster, f"http://{cluster.node_address}:30080")
    made.build()
    made.atoll("deploy", "-e", "test")
    try:
        yield made
    finally:
        made.atoll("destroy", "-e", "test", "--data", "--yes")


@asynccontextmanager
async def customers(shop: Shop, seconds: float) -> AsyncIterator["asyncio.Task[Summary]"]:
    """Steady traffic while the block runs, and for as long as `seconds` says; every order is then looked at."""
    buying = asyncio.create_task(shop_for(shop.url, seconds=seconds, customers=CUSTOMERS))
    yield buying
    summary = await buying
    outcome = await settle(shop.url, summary.confirmed)
    assert outcome.wrong == ()
    assert summary.confirmed
    assert summary.unfinished == 0


async def test_customers_buy_and_every_order_is_paid_once_and_sent_once_and_told_of_once(shop: Shop) -> None:
    async with customers(shop, 8.0) as buying:
        summary = await buying
    assert summary.errors == 0


async def test_a_deployment_that_changes_nothing_touches_nothing(shop: Shop) -> None:
    # A rollback before it leaves the Jobs of what it went back to behind: nothing was prepared again.
    shop.atoll("deploy", "-e", "test")
    before = shop.generations()
    answer = json.loads(shop.atoll("deploy", "-e", "test", "--json"))
    assert answer["applied"] == []
    assert answer["removed"] == []
    assert shop.generations() == before


async def test_a_new_version_and_its_rollback_fail_no_request_and_touch_no_other_service(shop: Shop) -> None:
    before = shop.generations()
    shop.edit("payment/service.py", '"""', '"""(Again.) ')
    await asyncio.to_thread(shop.build, "payment")
    async with customers(shop, 75.0) as buying:
        await asyncio.to_thread(shop.atoll, "deploy", "payment", "-e", "test")
        after = shop.generations()
        await asyncio.to_thread(shop.atoll, "rollback", "-e", "test")
        summary = await buying
    assert summary.errors == 0
    assert after.pop("payment") > before.pop("payment")
    assert after == before
    shop.edit("payment/service.py", '"""(Again.) ', '"""')


async def test_pods_that_are_deleted_fail_no_request_where_there_are_two(shop: Shop) -> None:
    async with customers(shop, 40.0) as buying:
        for name in ("payment", "checkout", "cart", "shipping"):
            running = [
                each["metadata"]["name"]
                for each in shop.kubectl.list("pods")
                if each["metadata"]["labels"]["app"] == name and each["status"]["phase"] == "Running"
            ]
            assert len(running) >= 2
            await asyncio.to_thread(shop.kubectl.run, "delete", "pod", running[0], "--wait=true")
            await asyncio.to_thread(shop.kubectl.run, "rollout", "status", f"deployment/{name}", "--timeout=60s")
        summary = await buying
    assert summary.errors == 0


async def test_an_image_that_nobody_has_is_named_and_the_old_version_serves_on(shop: Shop) -> None:
    shop.edit("users/service.py", '"""', '"""(Never built.) ')
    try:
        with pytest.raises(Failed, match=r"users\S* does not come up: the image .*/users:\w+ can't be had"):
            await asyncio.to_thread(shop.atoll, "deploy", "users", "-e", "test", "--timeout", "60")
        async with customers(shop, 3.0) as buying:
            assert (await buying).errors == 0
    finally:
        shop.edit("users/service.py", '"""(Never built.) ', '"""')
        await asyncio.to_thread(shop.atoll, "deploy", "users", "-e", "test")


async def test_a_migration_that_fails_is_named_with_its_line_and_the_old_version_serves_on(shop: Shop) -> None:
    wrong = shop.folder / "shop" / "cart" / "migrations" / "0002_wrong.sql"
    wrong.write_text("SELECT 1;\nALTER TABLE no_such_table ADD COLUMN x int;\n")
    try:
        await asyncio.to_thread(shop.build, "cart")
        with pytest.raises(Failed, match=r"0002_wrong\.sql:2"):
            await asyncio.to_thread(shop.atoll, "deploy", "cart", "-e", "test", "--timeout", "60")
        async with customers(shop, 3.0) as buying:
            assert (await buying).errors == 0
    finally:
        wrong.unlink()
        await asyncio.to_thread(shop.atoll, "deploy", "cart", "-e", "test")
