"""What a cluster does to pods by itself, under customers: engines end, machines are emptied, load comes and goes."""

import asyncio
import json
import subprocess

import pytest

from tests.cluster.programs import Failed
from tests.cluster.shop import Shop
from tests.waiting import until

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("engine", ["postgres", "nats"])
async def test_an_engine_that_is_killed_loses_and_repeats_no_confirmed_order(shop: Shop, engine: str) -> None:
    killed = shop.kubectl.get("pod", f"{engine}-0")["metadata"]["uid"]
    # `customers` looks at every confirmed order, at the end.
    async with shop.customers(at_least=30.0, may_be_disturbed=True):
        await asyncio.sleep(5.0)  # of ordinary business before
        await asyncio.to_thread(shop.kubectl.run, "delete", "pod", f"{engine}-0", "--grace-period=0", "--force")
        await asyncio.to_thread(
            shop.kubectl.run, "rollout", "status", f"statefulset/{engine}", "--timeout=90s", within=100
        )
    assert shop.kubectl.get("pod", f"{engine}-0")["metadata"]["uid"] != killed
    # And afterwards all is well without anybody's help, once whoever avoided it has asked it again.
    await shop.sells()
    async with shop.customers():
        pass


def test_a_pod_is_not_evicted_while_the_one_that_replaces_another_is_not_ready(shop: Shop) -> None:
    def evict(pod: str) -> str:
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "shop"}}
        path = f"/api/v1/namespaces/shop/pods/{pod}/eviction"
        return shop.kubectl.run("create", "--raw", path, "--filename=-", stdin=json.dumps(eviction))

    def may_be_evicted() -> bool:
        return bool(shop.kubectl.get("poddisruptionbudget", "payment")["status"]["disruptionsAllowed"])

    def rest() -> None:
        """Both are ready, and the budget knows it."""
        shop.rolled_out("payment")
        until(may_be_evicted, "one may be evicted", within=30, every=0.5)

    # Given a machine that takes no new pods
    rest()
    first, second = shop.pods("payment")
    shop.kubectl.run("cordon", "node1")
    try:
        # When one of two is evicted, then the other is kept
        evict(first)
        with pytest.raises(Failed, match="disruption budget"):
            evict(second)
    finally:
        shop.kubectl.run("uncordon", "node1")
    # Until there are two again
    rest()
    evict(second)
    rest()


# Asked from inside, for the gateway would hold back who asks so often. It ends by itself, or when it is told.
ASK = """
import pathlib, time, urllib.request
end = time.monotonic() + 100
while time.monotonic() < end and not pathlib.Path("/tmp/enough").exists():
    urllib.request.urlopen("http://catalog:8080/products?limit=100", timeout=10).read()
"""


def test_the_catalog_follows_its_load_up_and_down(shop: Shop) -> None:
    # Given an autoscaler that waits for seconds instead of minutes before it takes pods away
    quick = {"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}}}
    scaler = "horizontalpodautoscaler/catalog"
    shop.kubectl.run("patch", scaler, "--type=merge", f"--patch={json.dumps(quick)}")

    def ready() -> int:
        return int(shop.deployments()["catalog"]["status"].get("readyReplicas", 0))

    until(lambda: ready() == 2, "the catalog is at rest", within=120, every=1.0)
    try:
        # When it is asked without a pause, then more pods serve
        pod, *_ = shop.pods("frontend")
        command = shop.kubectl.command("exec", pod, "--", "python", "-c", ASK)
        asking = [subprocess.Popen(command) for _ in range(2)]
        try:
            until(lambda: ready() >= 3, "more pods serve", within=90, every=1.0)
        finally:
            shop.kubectl.exec(pod, "touch", "/tmp/enough")
            codes = [each.wait(30) for each in asking]
            shop.kubectl.exec(pod, "rm", "/tmp/enough")
        assert codes == [0, 0]
        # And when they are gone, then these go too
        until(lambda: ready() == 2, "they are gone", within=150, every=1.0)
    finally:
        shop.atoll("deploy", "catalog", "-e", "test")
