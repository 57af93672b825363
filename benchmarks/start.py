"""From nothing to all ready: the shop (eleven services, its office, the engines), with fresh data and with the last."""

import asyncio
import os
import shutil
import statistics
import tempfile
from pathlib import Path

from atoll.testing.running import running
from benchmarks.figures import Result
from benchmarks.processes import ROOT

SHOP = ROOT / "examples" / "shop"


def run(rounds: int) -> Result:
    """Each round starts a fresh copy, stops it, and starts it again."""
    samples: dict[str, list[float]] = {"cold": [], "warm": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "shop"
            shutil.copytree(SHOP, folder, ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
            samples["cold"].append(asyncio.run(seconds_to_ready(folder)))
            samples["warm"].append(asyncio.run(seconds_to_ready(folder)))
    figures = {f"{name}_seconds": round(statistics.median(values), 3) for name, values in samples.items()}
    return Result("start", "seconds until all is ready", samples, smaller_is_better=True, figures=figures)


async def seconds_to_ready(folder: Path) -> float:
    async with running("shop.system:shop", folder, variables=os.environ) as system:
        return system.seconds_to_ready
