"""One takes over from another: who deploys, by force; and who says how many pods there are, of which none goes."""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from atoll.kubernetes.names import MANAGER
from tests.cluster.programs import Failed
from tests.cluster.shop import Shop

pytestmark = pytest.mark.timeout(600)


async def test_who_forces_a_deployment_takes_over_and_the_other_is_told_and_stops(shop: Shop) -> None:
    # Given a deployment that waits for what will never be
    name = shop.environment("greedy", more='\n[services.payment]\ncpu = "64"\n')
    command = [sys.executable, "-m", "atoll.cli.main", "deploy", "payment", "-e", name, "--timeout", "120"]
    environment = {**os.environ, "KUBECONFIG": str(shop.cluster.kubeconfig), "PYTHONPATH": str(shop.folder)}
    first = await asyncio.create_subprocess_exec(
        *command, cwd=shop.folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        assert first.stdout is not None
        async with asyncio.timeout(60):
            async for line in first.stdout:
                if b"no machine has room for it" in line:
                    break
        # When another wants to deploy, it has to force it
        with pytest.raises(Failed, match="ATL5109"):
            await asyncio.to_thread(shop.atoll, "deploy", "payment", "-e", "test")
        await asyncio.to_thread(shop.atoll, "deploy", "payment", "-e", "test", "--force")
        # Then the first is told so, and nobody is left to wait for
        async with asyncio.timeout(30):
            said = await first.stdout.read()
            assert await first.wait() == 1
        assert b"ATL5110  Another took over what is deployed to the namespace shop" in said
        assert shop.kubectl.list("leases") == []
    finally:
        if first.returncode is None:
            first.kill()
            await first.wait()
        await asyncio.to_thread(shop.atoll, "deploy", "payment", "-e", "test", "--force")


def test_the_number_of_pods_passes_to_an_autoscaler_and_back_and_is_never_less(shop: Shop) -> None:
    shop.rolled_out("users")
    assert len(shop.pods("users")) == 3
    watching = shop.kubectl.command("get", "deployment", "users", "--watch", "--output=jsonpath={.spec.replicas} ")
    with subprocess.Popen(watching, stdout=subprocess.PIPE, text=True) as watch:
        try:
            # When an autoscaler is to say how many there are, with a change that replaces all of them
            name = shop.environment("scaled", more='\n[services.users]\nreplicas = [3, 4]\nmemory = "65Mi"\n')
            shop.atoll("deploy", "users", "-e", name)
            # Then it has been handed over, and nobody else says it
            scaler = shop.kubectl.get("horizontalpodautoscaler", "users")["spec"]
            assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 4)
            assert MANAGER not in holders(shop)
        finally:
            # And back
            shop.atoll("deploy", "users", "-e", "test")
            watch.terminate()
            counts, _ = watch.communicate(timeout=10)
    assert MANAGER in holders(shop)
    assert [each["metadata"]["name"] for each in shop.kubectl.list("horizontalpodautoscalers")] == ["catalog"]
    assert set(counts.split()) in ({"3"}, {"3", "4"})


def holders(shop: Shop) -> set[str]:
    """Who says how many pods of the users there are."""
    found = json.loads(shop.kubectl.run("get", "deployment", "users", "--output=json", "--show-managed-fields"))
    managed = found["metadata"]["managedFields"]
    return {each["manager"] for each in managed if "f:replicas" in each["fieldsV1"].get("f:spec", {})}
