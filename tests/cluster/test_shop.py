"""The boutique in a cluster: built, deployed, changed and broken under the eyes of its customers."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from shop.customers import Summary, shop_for
from shop.demo import settle

from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.programs import Failed, run

SOURCE = Path(__file__).parents[2] / "examples" / "shop"
DEPLOYED_WITHIN = 400.0
CUSTOMERS = 4

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Shop:
    """A copy of the boutique that a test may change, and where it is deployed to."""

    folder: Path
    cluster: Cluster
    url: str

    @property
    def kubectl(self) -> Kubectl:
        return self.cluster.kubectl.in_namespace("shop")

    def atoll(self, *arguments: str, within: float = DEPLOYED_WITHIN) -> str:
        """What the command prints. Raises programs.Failed with all that it says."""
        environment = {
            **os.environ,
            **self.cluster.docker.environment,
            "KUBECONFIG": str(self.cluster.kubeconfig),
            "PYTHONPATH": str(self.folder),
        }
        command = [sys.executable, "-m", "atoll.cli.main", *arguments]
        return run(command, within=within, environment=environment, folder=self.folder)

    def build(self, *services: str) -> None:
        """Build what is new, and give it to the node."""
        built = self.atoll("build", "-e", "test", "--builder", self.cluster.docker.program, "--json", *services)
        self.cluster.load(*json.loads(built).values())

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / "shop" / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    def generations(self) -> dict[str, int]:
        """Of each Deployment but the catalog's, which its autoscaler changes when it likes."""
        found = {each["metadata"]["name"]: each["metadata"] for each in self.kubectl.list("deployments")}
        return {name: described["generation"] for name, described in found.items() if name != "catalog"}


@pytest.fixture(scope="module")
def shop(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("boutique") / "shop"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
    made = Shop(folder, cluster, f"http://{cluster.node_address}:30080")
    for base in ("python", "node"):
        cluster.docker.base(base)
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


async def test_customers_buy_and_every_order_is_paid_once_and_mailed_once(shop: Shop) -> None:
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
    async with customers(shop, 30.0) as buying:
        for name in ("payment", "checkout", "cart"):
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
