"""What tests of images and manifests share: the shop, as its declaration says it."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from atoll.supervisor.children import Python, describe
from atoll.wire.description import Description

SHOP = Path(__file__).parents[2] / "examples" / "shop"


@pytest.fixture(scope="session")
def shop() -> Description:
    return asyncio.run(describe(Python(dict(os.environ), sys.executable), "shop.system:shop", SHOP))
