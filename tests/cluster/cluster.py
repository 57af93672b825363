"""What a test does with a cluster that is up, whoever made it."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import docker, images, node
from tests.cluster.binaries import Binaries, cache_folder
from tests.cluster.kubectl import Kubectl
from tests.cluster.place import Place
from tests.cluster.programs import Failed, piped

KUBECONFIG = "ATOLL_TEST_KUBECONFIG"
IMPORT = "ATOLL_TEST_IMPORT"


@dataclass(frozen=True)
class Cluster:
    """A node, an administrator's kubectl, and a Docker daemon to build images with.

    node_address: where NodePorts are reached. importing: the command that takes the archive of an image
    on its standard input and gives it to the node.
    """

    kubectl: Kubectl
    docker: docker.Docker
    node_address: str
    importing: Sequence[str | Path]

    @property
    def kubeconfig(self) -> Path:
        return self.kubectl.kubeconfig

    def load(self, *tags: str) -> None:
        """Copy images from Docker into the node, sooner together than one by one.

        A pod then runs one with imagePullPolicy Never or IfNotPresent.
        """
        save = [self.docker.program, "save", *tags]
        piped(save, self.importing, within=images.IMPORT_LIMIT, environment=self.docker.environment)


def of_place(place: Place, binaries: Binaries) -> Cluster:
    """The cluster that is, or will be, at a place of this machine."""
    return Cluster(
        Kubectl(binaries.path("kubectl"), place.kubeconfig),
        docker.Docker(docker.program(), docker.environment(place), binaries.cache),
        place.node_address,
        [*node.importing(place), "-"],
    )


def elsewhere(environment: Mapping[str, str]) -> Cluster:
    """A contributor's own cluster and Docker: kind, k3d or whatever ATOLL_TEST_KUBECONFIG leads to.

    ATOLL_TEST_IMPORT is the command that imports an image, such as
    "docker exec -i kind-control-plane ctr --namespace=k8s.io images import -".
    """
    kubectl, client = shutil.which("kubectl"), shutil.which("docker")
    if kubectl is None or client is None or IMPORT not in environment:
        raise Failed(f"a cluster of one's own needs kubectl and docker on the PATH, and {IMPORT}")
    own = Kubectl(Path(kubectl), Path(environment[KUBECONFIG]))
    addresses = own.list("nodes")[0]["status"]["addresses"]
    return Cluster(
        own,
        docker.Docker(client, {"DOCKER_BUILDKIT": "1"}, cache_folder(environment), registry=""),
        next(each["address"] for each in addresses if each["type"] == "InternalIP"),
        shlex.split(environment[IMPORT]),
    )
