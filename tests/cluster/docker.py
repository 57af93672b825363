"""A Docker daemon for building images, and a registry to push them to, beside the cluster's containerd."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import images
from tests.cluster.control_plane import Setting
from tests.cluster.daemon import Answers, Listens, Specification
from tests.cluster.place import Place
from tests.cluster.programs import PATH, find, run

# Where both dockerd and containerd find it, each on its own loopback; neither asks localhost for TLS.
REGISTRY_PORT = 5000
REGISTRY = f"localhost:{REGISTRY_PORT}"


def daemon(setting: Setting) -> Specification:
    """dockerd, whose networks are from the range for tests: one without a way out, as the namespace has none itself."""
    place = setting.place
    command = [
        "dockerd",
        f"--host=unix://{place.docker}",
        f"--data-root={place.folder / 'docker'}",
        "--exec-root=/run/docker",
        "--pidfile=/run/docker.pid",
        f"--containerd={place.containerd}",
        f"--cgroup-parent=/{place.group}/docker",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        f"--bip={place.docker_network}",
        f"--default-address-pool=base={place.docker_networks},size=27",
        "--ip6tables=false",
        # It is on already; a dockerd that turns it on forbids what the cluster forwards.
        "--ip-forward=false",
    ]
    return Specification("dockerd", command, Listens(place.docker))


def registry(setting: Setting) -> Specification:
    place = setting.place
    configuration = place.folder / "registry.yml"
    configuration.write_text(registry_configuration(place))
    command = ["docker-registry", "serve", str(configuration)]
    return Specification("docker-registry", command, Answers(f"http://{place.node_address}:{REGISTRY_PORT}/v2/"))


def registry_configuration(place: Place) -> str:
    """A registry's config.yml. Touches nothing."""
    lines = [
        "version: 0.1",
        "storage:",
        "  filesystem:",
        f"    rootdirectory: {place.folder / 'registry'}",
        "http:",
        f"  addr: :{REGISTRY_PORT}",
    ]
    return "\n".join([*lines, ""])


@dataclass(frozen=True)
class Docker:
    """The docker client, for one daemon.

    program: Debian's; a newer one wants a plug-in for BuildKit, which Debian's has built in.
    environment: what a program must be given so that the `docker` it finds is this one, with this daemon.
    """

    program: str
    environment: Mapping[str, str]
    cache: Path
    registry: str = REGISTRY

    @property
    def host(self) -> str:
        return self.environment["DOCKER_HOST"]

    def run(self, *arguments: str | Path, within: float = 120.0) -> str:
        """What it says. Raises programs.Failed."""
        return run([self.program, *arguments], within=within, environment=self.environment)

    def build(self, tag: str, folder: Path, *options: str) -> None:
        """Build an image from the Dockerfile of a folder, which finds no network."""
        self.run("build", "--network=none", f"--tag={tag}", *options, folder, within=300)

    def push(self, tag: str) -> str:
        """Put an image into the registry; returns the name by which the cluster pulls it."""
        pushed = f"{self.registry}/{tag}"
        self.run("tag", tag, pushed)
        self.run("push", pushed)
        return pushed

    def base(self, name: str) -> str:
        """The tag of a base image: "python" or "node". The first call on a machine makes it, which takes minutes."""
        base = images.BASES[name]
        if not self.run("images", "--quiet", base.tag):
            archive = images.bootstrap(self.cache, base, print)
            self.run("import", f"--change=ENV PATH={PATH}", archive, base.tag, within=images.IMPORT_LIMIT)
        return base.tag


def program() -> str:
    return find("docker") or ""


def environment(place: Place) -> Mapping[str, str]:
    """A PATH on which `docker` is Debian's, its daemon, and no setting of the user's own. Touches nothing."""
    folder = _client(place)
    return {
        "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', PATH)}",
        "DOCKER_HOST": f"unix://{place.docker}",
        "DOCKER_BUILDKIT": "1",
        "DOCKER_CONFIG": str(folder),
    }


def place_client(place: Place) -> None:
    """Make the folder that `environment` puts on the PATH."""
    folder = _client(place)
    folder.mkdir()
    folder.joinpath("docker").symlink_to(program())


def _client(place: Place) -> Path:
    return place.folder / "docker-client"
