"""The gateway's own pods come and go under customers, who notice nothing."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.cluster.kept import Kept, kept_connection
from tests.cluster.shop import Shop

GATEWAY = "deployment/gateway"
RESTARTED = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": None}}}}}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
async def two_gateways(shop: Shop) -> AsyncIterator[Shop]:
    """The boutique with two of them; with its one again afterwards."""
    name = shop.environment("two-gateways", old="replicas = 1", new="replicas = 2")
    await asyncio.to_thread(shop.atoll, "deploy", "-e", name)
    try:
        yield shop
    finally:
        # What `kubectl rollout restart` has noted is another's, which a deployment leaves as it is.
        shop.kubectl.run("patch", GATEWAY, "--type=merge", f"--patch={json.dumps(RESTARTED)}")
        shop.atoll("deploy", "-e", "test")
        shop.left("gateway")


def held(client: Kept) -> None:
    """No request failed, and it was the gateways that moved it from one to the next."""
    assert client.failed == []
    assert client.answered > 10
    assert client.connections > 1, "its gateway never left"


async def test_a_restart_of_all_gateways_fails_no_request_and_cuts_no_connection(two_gateways: Shop) -> None:
    shop = two_gateways
    before = set(shop.pods("gateway"))
    assert len(before) == 2
    async with shop.customers(), kept_connection(shop.url) as client:
        await asyncio.to_thread(shop.kubectl.run, "rollout", "restart", GATEWAY)
        await asyncio.to_thread(shop.rolled_out, "gateway")
        await asyncio.to_thread(shop.left, "gateway")
    held(client)
    assert before.isdisjoint(shop.pods("gateway"))


async def test_the_deletion_of_each_gateway_in_turn_fails_no_request_and_cuts_no_connection(two_gateways: Shop) -> None:
    shop = two_gateways
    async with shop.customers(), kept_connection(shop.url) as client:
        for pod in shop.pods("gateway"):
            await asyncio.to_thread(shop.kubectl.run, "delete", "pod", pod, "--wait=false")
            await asyncio.to_thread(shop.rolled_out, "gateway")
            await asyncio.to_thread(shop.left, "gateway")
    held(client)
