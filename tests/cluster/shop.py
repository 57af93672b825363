"""A copy of the boutique that a test may build, deploy and change."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shop.customers import Summary, shop_for
from shop.demo import settle

from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.programs import run

SOURCE = Path(__file__).parents[2] / "examples" / "shop"
WITHIN = 400.0


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

    def atoll(self, *arguments: str, within: float = WITHIN) -> str:
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

    def deployments(self) -> dict[str, dict[str, Any]]:
        return {each["metadata"]["name"]: each for each in self.kubectl.list("deployments")}

    def generations(self) -> dict[str, int]:
        """Of each Deployment but the catalog's, which its autoscaler changes when it likes."""
        found = {name: each["metadata"]["generation"] for name, each in self.deployments().items()}
        return {name: generation for name, generation in found.items() if name != "catalog"}

    def rolled_out(self, name: str) -> None:
        """Wait until all pods of a Deployment are new and ready."""
        self.kubectl.run("rollout", "status", f"deployment/{name}", "--timeout=90s", within=100)

    @asynccontextmanager
    async def customers(self, seconds: float, count: int = 4) -> AsyncIterator["asyncio.Task[Summary]"]:
        """Steady traffic while the block runs, and for as long as `seconds` says; every order is then looked at."""
        buying = asyncio.create_task(shop_for(self.url, seconds=seconds, customers=count))
        yield buying
        summary = await buying
        outcome = await settle(self.url, summary.confirmed)
        assert outcome.wrong == ()
        assert summary.confirmed
