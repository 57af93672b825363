"""What goes wrong in a deployment is said, with its reason and what to do, while the old version serves."""

import asyncio
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cluster.programs import Failed
from tests.cluster.shop import Shop

pytestmark = pytest.mark.timeout(400)


def redeploy(shop: Shop, service: str) -> None:
    shop.build(service)
    shop.atoll("deploy", service, "-e", "test")


async def fails(shop: Shop, service: str, says: str, *, within: int = 60, environment: str = "test") -> None:
    """It is deployed and fails with these words; customers go on."""
    with pytest.raises(Failed, match=says):
        await asyncio.to_thread(shop.atoll, "deploy", service, "-e", environment, "--timeout", str(within))
    async with shop.customers():
        pass


async def test_an_image_that_nobody_has_is_named(shop: Shop) -> None:
    with shop.edited("users/service.py", '"""', '"""(Never built.) '):
        await fails(shop, "users", r"users\S* does not come up: the image .*/users:\w+ can't be had")
    shop.atoll("deploy", "users", "-e", "test")


def test_who_deploys_is_told_to_another_who_is_refused(shop: Shop) -> None:
    # Given a Lease that somebody holds and has renewed now
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    spec = {"holderIdentity": "mia at desk", "leaseDurationSeconds": 60, "acquireTime": now, "renewTime": now}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "atoll-deploying"}}
    last = json.loads(shop.atoll("rollback", "-e", "test", "--list", "--json"))[-1]["revision"]
    shop.kubectl.apply({**lease, "spec": spec})
    try:
        for command in (["deploy"], ["rollback", str(last)]):
            with pytest.raises(Failed, match=r"ATL5109 .*shop is being deployed to the namespace shop by mia at desk"):
                shop.atoll(*command, "-e", "test")
    finally:
        shop.kubectl.delete("lease", "atoll-deploying")


async def test_a_deployment_that_failed_is_rolled_back_to_the_last_that_did_not(shop: Shop) -> None:
    whole = shop.atoll("rollback", "-e", "test", "--list", "--json")
    last = json.loads(whole)[-1]["revision"]
    # Given a deployment that failed
    with shop.edited("users/service.py", '"""', '"""(Never built.) '):
        await fails(shop, "users", "can't be had", within=30)
    # When it has failed, and is rolled back
    assert shop.atoll("rollback", "-e", "test", "--list", "--json") == whole
    await asyncio.to_thread(shop.atoll, "rollback", "-e", "test")
    # Then what was there before it is there again, and nothing is in the way of the next
    notes = [each["note"] for each in json.loads(shop.atoll("rollback", "-e", "test", "--list", "--json"))]
    assert notes[-1] == f"back to {last}"
    assert shop.kubectl.list("leases") == []
    shop.rolled_out("users")
    assert json.loads(shop.atoll("deploy", "-e", "test", "--json", "--timeout", "60"))["revision"] >= last


async def test_a_migration_that_fails_is_named_with_its_line(shop: Shop) -> None:
    wrong = shop.folder / "shop" / "cart" / "migrations" / "0002_wrong.sql"
    wrong.write_text("SELECT 1;\nALTER TABLE no_such_table ADD COLUMN x int;\n")
    try:
        await asyncio.to_thread(shop.build, "cart")
        await fails(shop, "cart", r"0002_wrong\.sql:2")
    finally:
        wrong.unlink()
        shop.atoll("deploy", "cart", "-e", "test")


async def test_a_migration_that_hangs_is_told_when_the_time_is_over(shop: Shop) -> None:
    # Given one that takes longer than anybody waits for, and comes to nothing
    slow = shop.folder / "shop" / "cart" / "migrations" / "0002_slow.sql"
    slow.write_text("SELECT pg_sleep(45);\nSELECT 1 / 0;\n")
    try:
        await asyncio.to_thread(shop.build, "cart")
        await fails(shop, "cart", r"Job cart-prepare-\w+ does not come up: it still runs(.|\n)*--timeout", within=20)
    finally:
        slow.unlink()
        shop.atoll("deploy", "cart", "-e", "test")


async def test_a_service_that_ends_at_once_is_told_with_its_last_words(shop: Shop) -> None:
    broken = 'raise RuntimeError("the terminal is gone")\n        self._database = database'
    with shop.edited("payment/service.py", "self._database = database", broken):
        await asyncio.to_thread(shop.build, "payment")
        await fails(shop, "payment", r"(?s)payment does not come up: payment ended with .*the terminal is gone")
    redeploy(shop, "payment")


async def test_a_probe_that_fails_is_told(shop: Shop) -> None:
    with shop.edited("recommendation/server.js", '"/health"', '"/healthy"'):
        await asyncio.to_thread(shop.build, "recommendation")
        await fails(shop, "recommendation", r"a probe fails: .*404", within=30)
    redeploy(shop, "recommendation")


async def test_a_pod_that_no_machine_has_room_for_is_told(shop: Shop) -> None:
    name = shop.environment("greedy", more='\n[services.payment]\ncpu = "64"\n')
    await fails(shop, "payment", r"no machine has room for it: .*Insufficient cpu", within=20, environment=name)
    shop.atoll("deploy", "payment", "-e", "test")


async def test_a_pod_that_the_namespace_does_not_admit_is_told(shop: Shop) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}}}
    shop.kubectl.apply(quota)
    try:
        with shop.edited("payment/service.py", '"""', '"""(Refused.) '):
            await asyncio.to_thread(shop.build, "payment")
            await fails(shop, "payment", r"its pods are refused: .*exceeded quota: few")
    finally:
        shop.kubectl.delete("resourcequota", "few")
        shop.atoll("deploy", "payment", "-e", "test")


async def test_a_contract_that_breaks_a_deployed_consumer_is_refused_with_method_and_field(shop: Shop) -> None:
    before = shop.generations()
    catalog = shop.folder / "shop" / "catalog"
    texts = {path: path.read_text() for path in catalog.glob("*.py")}
    try:
        for path, text in texts.items():
            path.write_text(text.replace("def product(", "def one_product("))
        with pytest.raises(Failed, match=r"catalog would break .*, which is deployed: .*product"):
            shop.atoll("deploy", "catalog", "-e", "test")
    finally:
        for path, text in texts.items():
            path.write_text(text)
    contract = "catalog/contract.py"
    with shop.edited(contract, "    name: str\n", "    title: str\n    name: str = ''\n"):
        text = (shop.folder / "shop" / contract).read_text()
        (shop.folder / "shop" / contract).write_text(text.replace("    name: str = ''\n", ""))
        try:
            with pytest.raises(Failed, match=r"catalog would break .*name"):
                shop.atoll("deploy", "catalog", "-e", "test")
            # Together with its consumers it is told what breaks until all of them are new.
            with pytest.raises(Failed, match=r"While it rolls out, \w+ breaks where the new catalog meets .*name"):
                shop.atoll("deploy", "-e", "test", "--diff")
        finally:
            (shop.folder / "shop" / contract).write_text(text)
    assert shop.generations() == before


def test_an_event_that_a_deployed_consumer_can_not_read_is_refused_with_topic_and_field(shop: Shop) -> None:
    before = shop.generations()
    old, new = (
        "    order_id: str\n    email: str\n    name: str\n",
        "    order_id: str\n    address: str\n    name: str\n",
    )
    says = r"checkout would break email, which is deployed: order-placed lacks the field event\.email"
    with shop.edited("checkout/contract.py", old, new), pytest.raises(Failed, match=says):
        shop.atoll("deploy", "checkout", "-e", "test")
    assert shop.generations() == before


def test_a_wrong_environment_is_told_with_all_that_is_wrong_in_it(shop: Shop) -> None:
    wrong = '\n[services.chekout]\nreplicas = 0\n\n[services.payment]\nmemory = "lots"\n'
    name = shop.environment("wrong", old='way_in = "nodeport"', new='way_in = "tunnel"', more=wrong)
    with pytest.raises(Failed) as raised:
        shop.atoll("deploy", "-e", name)
    said = str(raised.value)
    for expected in ("[services.chekout]", "checkout", "services.payment.memory", "'tunnel'", "nodeport"):
        assert expected in said


def test_a_service_alone_where_the_system_never_was_is_refused_at_once_with_what_it_lacks(shop: Shop) -> None:
    name = shop.environment("fresh")
    file = shop.folder / "shop" / "environments" / f"{name}.toml"
    file.write_text('[cluster]\nnamespace = "fresh"\n' + file.read_text())
    with pytest.raises(
        Failed, match=r"ATL5112 .*catalog alone(.|\n)*no setup, no postgres, no nats(.|\n)*`atoll deploy`"
    ):
        shop.atoll("deploy", "catalog", "-e", name, within=30)
    with pytest.raises(Failed, match="NotFound"):
        shop.cluster.kubectl.run("get", "namespace", "fresh")


def test_who_has_no_right_is_told_which_one_is_missing(shop: Shop, tmp_path: Path) -> None:
    # Given an account that may do nothing, and a kubeconfig for it
    kubectl = shop.kubectl
    kubectl.run("create", "serviceaccount", "nobody")
    try:
        token = kubectl.run("create", "token", "nobody").strip()
        configuration = json.loads(kubectl.run("config", "view", "--raw", "--minify", "--output=json"))
        configuration["users"][0]["user"] = {"token": token}
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(configuration))
        for command in (["deploy"], ["status"], ["rollback"]):
            ended = subprocess.run(
                [sys.executable, "-m", "atoll.cli.main", *command, "-e", "test"],
                cwd=shop.folder,
                env={**os.environ, "KUBECONFIG": str(path), "PYTHONPATH": str(shop.folder)},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert ended.returncode == 1
            assert re.search(r"ATL5102 .*does not allow GET .*nobody", ended.stderr), ended.stderr
    finally:
        kubectl.delete("serviceaccount", "nobody")
