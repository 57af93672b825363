"""A copy of the boutique that a test may build, deploy and change."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.programs import run

SOURCE = Path(__file__).parents[2] / "examples" / "shop"
WITHIN = 400.0


@dataclass(frozen=True)
class Shop:
    """url: where customers find it."""

    folder: Path
    cluster: Cluster
    url: str

    @classmethod
    def copied(cls, folder: Path, cluster: Cluster, url: str) -> "Shop":
        """With the bases of its images."""
        shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns(".atoll", "__pycache__"))
        for base in ("python", "node"):
            cluster.docker.base(base)
        return cls(folder, cluster, url)

    @property
    def kubectl(self) -> Kubectl:
        return self.cluster.kubectl.in_namespace("shop")

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

    def generations(self) -> dict[str, int]:
        """Of each Deployment but the catalog's, which its autoscaler changes when it likes."""
        found = {each["metadata"]["name"]: each["metadata"] for each in self.kubectl.list("deployments")}
        return {name: described["generation"] for name, described in found.items() if name != "catalog"}
