"""A copy of the boutique that a test may build, deploy and change."""

import asyncio
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import pytest
from shop.customers import shop_for
from shop.demo import settle

from atoll.collector.values import Log, Span, Trace
from atoll.kubernetes.collector import STORE
from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.programs import Failed, run
from tests.waiting import until

SOURCE = Path(__file__).parents[2] / "examples" / "shop"
WITHIN = 400.0
T = TypeVar("T")

# Asked in the collector's own pod, where the store is.
ASK = f"""
import pathlib, msgspec
from atoll.collector.query import LogFilter, Query, TraceFilter
query = Query(pathlib.Path("{STORE}"))
print(msgspec.json.encode({{}}).decode())
"""

ATOLL = (sys.executable, "-m", "atoll.cli.main")


@dataclass(frozen=True)
class Shop:
    """url: where customers find it. namespace: of its objects, which has the system's name."""

    folder: Path
    cluster: Cluster
    url: str
    namespace: str = "shop"

    @classmethod
    def copied(cls, folder: Path, cluster: Cluster, url: str) -> "Shop":
        """With the bases of its images."""
        shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
        for base in ("python", "node"):
            cluster.docker.base(base)
        return cls(folder, cluster, url)

    @property
    def kubectl(self) -> Kubectl:
        return self.cluster.kubectl.in_namespace(self.namespace)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of commands."""
        return {
            **os.environ,
            **self.cluster.docker.environment,
            "KUBECONFIG": str(self.cluster.kubeconfig),
            "PYTHONPATH": str(self.folder),
        }

    def atoll(self, *arguments: str, within: float = WITHIN) -> str:
        """What the command prints. Raises programs.Failed with all that it says."""
        return run([*ATOLL, *arguments], within=within, environment=self.variables, folder=self.folder)

    def build(self, *services: str) -> None:
        """Build what is new, and give it to the node."""
        built = self.atoll("build", "-e", "test", "--builder", self.cluster.docker.program, "--json", *services)
        self.cluster.load(*json.loads(built).values())

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / "shop" / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    @contextmanager
    def edited(self, path: str, old: str, new: str) -> Iterator[None]:
        """Another source while the block runs; whoever deploys it in there deploys again after."""
        self.edit(path, old, new)
        try:
            yield
        finally:
            self.edit(path, new, old)

    def environment(self, name: str, *, old: str = "", new: str = "", more: str = "") -> str:
        """A file beside environments/test.toml, the same but for this; returns its name."""
        folder = self.folder / "shop" / "environments"
        text = folder.joinpath("test.toml").read_text()
        assert old in text
        folder.joinpath(f"{name}.toml").write_text(text.replace(old, new, 1) + more)
        return name

    def pods(self, app: str) -> list[str]:
        """Names of those that run and are not told to stop."""
        return [
            each["metadata"]["name"]
            for each in self.kubectl.list("pods")
            if each["metadata"]["labels"].get("app") == app
            and each["status"]["phase"] == "Running"
            and "deletionTimestamp" not in each["metadata"]
        ]

    def left(self, app: str) -> None:
        """Wait until no pod of a service is leaving any more."""
        until(lambda: not self._leaving(app), f"the pods of {app} that were told to stop have left", within=90, every=1)

    def _leaving(self, app: str) -> bool:
        pods = [each["metadata"] for each in self.kubectl.list("pods")]
        return any("deletionTimestamp" in each for each in pods if each["labels"].get("app") == app)

    def deployments(self) -> dict[str, dict[str, Any]]:
        return {each["metadata"]["name"]: each for each in self.kubectl.list("deployments")}

    def generations(self) -> dict[str, int]:
        """Of each Deployment but the catalog's, which its autoscaler changes when it likes."""
        found = {name: each["metadata"]["generation"] for name, each in self.deployments().items()}
        return {name: generation for name, generation in found.items() if name != "catalog"}

    def asked(self, question: str, kind: type[T]) -> T:
        """What the store of its collector answers to an expression about `query`."""
        said = self.kubectl.exec("deployment/collector", "python", "-c", ASK.format(question))
        return msgspec.json.decode(said, type=kind)

    def complaints(self, since: float) -> str:
        """What failed since then by the traces and by the warnings of its pods, those that are gone too."""
        nanoseconds = int(since * 1e9)
        traces = f"[query.trace(each.id) for each in query.traces(TraceFilter(failed=True, since={nanoseconds}))]"
        lines = f"query.logs(LogFilter(severity='warning', since={nanoseconds}))"
        try:
            failed = [span for trace in self.asked(traces, list[Trace]) for span in trace.spans if span.error]
            warned = self.asked(lines, list[Log])
            return "\n".join(told(each.start, each) for each in failed) + "\n".join(
                told(each.time, each) for each in warned
            )
        except Failed as error:
            return f"its collector was asked why, and did not say: {error}"

    def rolled_out(self, name: str) -> None:
        """Wait until all pods of a Deployment are new and ready, and no more than are wanted.

        One may have been deleted just now, or how many are wanted may have changed.
        """

        def are_all_there() -> bool:
            wanted: int = self.deployments()[name]["spec"]["replicas"]
            return len(self.pods(name)) == wanted

        until(are_all_there, f"{name} has as many pods as it wants", within=90, every=0.5)
        self.kubectl.run("rollout", "status", f"deployment/{name}", "--timeout=90s", within=100)

    def standing(self, environment: str = "test") -> dict[str, Any]:
        """What `atoll status` says once everything is ready: an autoscaler may add a pod whenever it likes."""
        said: list[str] = []

        def is_ready() -> bool:
            try:
                said.append(self.atoll("status", "-e", environment, "--json"))
            except Failed as error:
                said.append(str(error))
                return False
            return True

        until(is_ready, "everything is ready", within=60, every=1, why=lambda: said[-1])
        found: dict[str, Any] = json.loads(said[-1])
        return found

    def opened(self) -> None:
        """Wait until its way in lets somebody in: a node's proxy learns of ready pods a moment after the others do."""
        where = urlsplit(self.url)
        assert where.hostname is not None
        assert where.port is not None
        address = where.hostname, where.port
        until(lambda: _is_open(address), f"{self.url} is open", within=30)

    async def sells(self) -> None:
        """Wait until a first customer has bought something: services keep for a while that a name is nobody's."""
        async with asyncio.timeout(60):
            summary = await shop_for(self.url, seconds=2.0, customers=1)
            while summary.errors or not summary.confirmed:
                summary = await shop_for(self.url, seconds=2.0, customers=1)

    @asynccontextmanager
    async def customers(
        self, *, at_least: float = 5.0, count: int = 4, may_be_disturbed: bool = False
    ) -> AsyncIterator[None]:
        """Steady traffic while the block runs, and for `at_least` seconds: no request fails, every order is sound.

        may_be_disturbed: requests may fail, and orders be given up of which that was told; the others are sound still.
        """
        began, closing = time.time(), asyncio.Event()
        buying = asyncio.create_task(shop_for(self.url, seconds=600.0, customers=count, closing=closing))
        lasting = asyncio.create_task(asyncio.sleep(at_least))
        try:
            yield
            await lasting
        finally:
            lasting.cancel()
            closing.set()
            summary = await buying
        assert summary.unfinished <= summary.errors, str(summary)
        outcome = await settle(self.url, summary.confirmed)
        wrong = [*outcome.wrong, *(summary.failed if not may_be_disturbed else ())]
        if wrong:
            pytest.fail("\n".join([*wrong, self.complaints(began)]))
        assert summary.confirmed


def told(nanoseconds: int, what: Log | Span) -> str:
    return f"{datetime.fromtimestamp(nanoseconds / 1e9, UTC):%H:%M:%S.%f} {what}"


def _is_open(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=1.0):
            return True
    except OSError:
        return False
