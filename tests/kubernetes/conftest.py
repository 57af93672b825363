"""What tests of images and manifests share: the shop, as its declaration says it, and a stand-in for the API server."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from atoll.kubernetes.client import Api
from atoll.supervisor.children import Python, describe
from atoll.wire.description import Description
from tests.kubernetes.api_server import Server, connected, serving

SHOP = Path(__file__).parents[2] / "examples" / "shop"


@pytest.fixture(scope="session")
def shop() -> Description:
    return asyncio.run(describe(Python(dict(os.environ), sys.executable), "shop.system:shop", SHOP))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
async def api(server: Server, tmp_path: Path) -> AsyncIterator[Api]:
    async with connected(server, tmp_path) as made:
        yield made
