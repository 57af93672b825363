"""Why something does not come up is told soon after the cluster knows it."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.shop import ATOLL, Shop

pytestmark = pytest.mark.timeout(400)

SOON = 15.0


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with a service. says: how `atoll deploy` tells it. event: the reason of the cluster's own, of an
    object whose name begins with the service's, and how its message begins. path, old, new: an edit, or a new file
    where nothing is old.
    """

    service: str
    says: str
    event: tuple[str, str]
    path: str = ""
    old: str = ""
    new: str = ""
    environment: str = ""
    is_built: bool = True


TROUBLES = {
    "image": Trouble(
        "users", "can't be had", ("Failed", ""), "users/service.py", '"""', '"""(Never built.) ', is_built=False
    ),
    "crash": Trouble(
        "payment",
        "payment ended with",
        ("BackOff", ""),
        "payment/service.py",
        "self._database = database",
        'raise RuntimeError("the terminal is gone")',
    ),
    "unschedulable": Trouble(
        "payment",
        "no machine has room for it",
        ("FailedScheduling", ""),
        environment='\n[services.payment]\ncpu = "64"\n',
        is_built=False,
    ),
    # It starts, which may take a while in which nobody answers, and then is well no more, nor is it when it was
    # started again for that: what is in /tmp stays.
    "probe": Trouble(
        "recommendation",
        "a probe fails",
        ("Unhealthy", "Readiness probe failed"),
        "recommendation/server.js",
        'if (url.pathname === "/health")',
        'const files = await import("node:fs"), isFirst = !files.existsSync("/tmp/asked");\n'
        '  files.writeFileSync("/tmp/asked", "");\n'
        '  if (url.pathname === "/health" && isFirst)',
    ),
    "migration": Trouble(
        "cart",
        "0002_wrong.sql:1",
        ("PodFailurePolicy", ""),
        "cart/migrations/0002_wrong.sql",
        new="ALTER TABLE no_such_table ADD COLUMN x int;\n",
    ),
}


@contextmanager
def troubled(shop: Shop, trouble: Trouble) -> Iterator[str]:
    """The name of the environment in which it goes wrong."""
    if trouble.old:
        with shop.edited(trouble.path, trouble.old, trouble.new):
            yield "test"
    elif trouble.path:
        file: Path = shop.folder / "shop" / trouble.path
        file.write_text(trouble.new)
        try:
            yield "test"
        finally:
            file.unlink()
    else:
        yield shop.environment("troubled", more=trouble.environment)


@pytest.mark.parametrize("name", TROUBLES)
async def test_a_reason_is_told_within_fifteen_seconds_of_the_clusters_own_event(shop: Shop, name: str) -> None:
    trouble = TROUBLES[name]
    with troubled(shop, trouble) as environment:
        # Given what goes wrong, built where it can be
        if trouble.is_built:
            await asyncio.to_thread(shop.build, trouble.service)
        # When it is deployed, and no pod of another version has anything to say any more
        await asyncio.to_thread(shop.left, trouble.service)
        begun = time.time() - 1.0  # the cluster's clock is the same, and tells seconds
        try:
            told = await told_at(shop, trouble, environment)
            known = min(each for each in event_times(shop, trouble) if each > begun)
        finally:
            await asyncio.to_thread(shop.atoll, "rollback", "-e", "test")
    # Then it is told soon after the cluster knew it
    assert told
    assert told - known < SOON
    # And nothing is left of it that would be told as the system's state.
    await asyncio.to_thread(shop.standing)


async def told_at(shop: Shop, trouble: Trouble, environment: str) -> float:
    """When the reason was told first, of a deployment that fails; 0 if it never was."""
    deploying = await asyncio.create_subprocess_exec(
        *(*ATOLL, "deploy", trouble.service, "-e", environment, "--timeout", "45"),
        cwd=shop.folder,
        env={**os.environ, "KUBECONFIG": str(shop.cluster.kubeconfig), "PYTHONPATH": str(shop.folder)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert deploying.stderr is not None
    told = 0.0
    async for line in deploying.stderr:
        if not told and trouble.says in line.decode():
            told = time.time()
    assert await deploying.wait() == 1
    return told


def event_times(shop: Shop, trouble: Trouble) -> list[float]:
    return [
        datetime.fromisoformat(at).timestamp()
        for each in shop.kubectl.list("events")
        if is_of(each, trouble) and (at := each.get("firstTimestamp") or each.get("eventTime"))
    ]


def is_of(event: dict[str, Any], trouble: Trouble) -> bool:
    named = event["involvedObject"]["name"].startswith(f"{trouble.service}-")
    reason, begins = trouble.event
    return bool(event["reason"] == reason and event["message"].startswith(begins) and named)
