"""A cluster leaves nothing on the machine, however the run that made it ended."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster import lifecycle
from tests.cluster.binaries import Binaries
from tests.cluster.cgroup import Group
from tests.cluster.cluster import Cluster, of_place
from tests.cluster.place import PLACES, Place
from tests.cluster.programs import run
from tests.waiting import until

ROOT = Path(__file__).parents[2]
# The last one: beside the one that the other tests use.
PLACE = Place(PLACES - 1)

# Another cluster comes up and goes, while the one of the other tests works.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def place() -> Iterator[Place]:
    yield PLACE
    with lifecycle.using(PLACE):
        lifecycle.down(PLACE)


def command(name: str) -> list[str]:
    return [sys.executable, "-m", "tests.cluster", f"--place={PLACE.number}", name]


def namespaces(pid: int) -> set[str]:
    """The namespaces of a process, such as net:[4026532177]."""
    found = set()
    for kind in ("mnt", "net", "pid"):
        with suppress(OSError):
            found.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
    return found


def own_namespaces(place: Place) -> set[str]:
    """Those that only processes of the cluster are in."""
    return set().union(*(namespaces(pid) for pid in Group(place.group).members())) - namespaces(os.getpid())


def remains(place: Place, owned: set[str]) -> list[str]:
    """What the machine still has of a cluster that had these namespaces."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
            group = f"/{place.group}/" in process.joinpath("cgroup").read_text().replace("\n", "/\n")
            if group or str(place.folder) in line or namespaces(int(process.name)) & owned:
                found.append(f"process {process.name} {line}")
            if str(place.folder) in process.joinpath("mountinfo").read_text():
                found.append(f"a mount that process {process.name} sees")
    found += [f"control group {path}" for path in Path("/sys/fs/cgroup").rglob(place.group)]
    found += [f"file {path}" for path in [place.folder, Path("/sys/class/net", place.link)] if path.exists()]
    found += [f"route {line}" for line in run(["ip", "route"]).splitlines() if place.link in line]
    return found


def holds_nothing(place: Place, owned: set[str]) -> None:
    """A moment is for the machine's first process, which has to take note of each orphan's end."""
    left = remains(place, owned)
    until(lambda: not remains(place, owned), "nothing is left", within=20, why=lambda: "\n".join(left))


def test_nothing_is_left_of_a_cluster_with_running_pods_and_a_build_after_down(
    place: Place, binaries: Binaries, tmp_path: Path
) -> None:
    # Given a cluster that stays up after its command, with a pod, a volume and an image
    run(command("up"), within=150, folder=ROOT)
    cluster = of_place(place, binaries)
    start_pod(cluster, tmp_path)
    owned = own_namespaces(place)
    # The cluster's own of mounts and of the network, and the pod's of each kind: all that a process can outlive.
    assert len(owned) >= 5
    # When it is taken down
    said = run(command("status"), folder=ROOT)
    assert f"KUBECONFIG={place.kubeconfig}" in said
    run(command("down"), folder=ROOT)
    # Then nothing is left, and it is known to be down
    holds_nothing(place, owned)
    assert not lifecycle.is_kept(place)


def start_pod(cluster: Cluster, folder: Path) -> None:
    folder.joinpath("Dockerfile").write_text(f"FROM {cluster.docker.base('python')}\nRUN sleep 0.1\n")
    cluster.docker.build("lifecycle:1", folder)
    cluster.load("lifecycle:1")
    cluster.kubectl.run("create", "deployment", "pod", "--image=lifecycle:1", "--replicas=2", "--", "sleep", "600")
    cluster.kubectl.wait("condition=Available", "deployment/pod")


def test_nothing_is_left_of_a_run_that_was_killed_after_down(place: Place, binaries: Binaries) -> None:
    # Given a run that is killed while it brings a cluster up
    bringing = subprocess.Popen(command("up"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    until((place.logs / "kubelet.log").exists, "the kubelet is started", within=60)
    bringing.kill()
    bringing.wait()
    owned = own_namespaces(place)
    assert remains(place, owned)
    # When it is taken down
    run(command("down"), folder=ROOT)
    # Then nothing is left
    holds_nothing(place, owned)


def test_a_cluster_in_use_is_neither_ended_nor_made_by_another_run(place: Place, binaries: Binaries) -> None:
    with lifecycle.using(place):
        for name in ("up", "down"):
            ended = subprocess.run(command(name), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
            assert ended.returncode == 1
            assert f"cluster {place.number} is in use by process {os.getpid()}" in ended.stderr
