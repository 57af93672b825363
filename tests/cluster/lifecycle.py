"""Bringing a cluster up, and everything that it made down again."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import addons, control_plane, docker, images, node, volumes
from tests.cluster.binaries import Binaries
from tests.cluster.certificates import Certificates
from tests.cluster.cgroup import Group
from tests.cluster.control_plane import Setting
from tests.cluster.daemon import Daemon, Specification
from tests.cluster.kubectl import Kubectl
from tests.cluster.namespaces import Namespaces, remove_link
from tests.cluster.place import NODE, Place
from tests.cluster.programs import Failed, find, run

Say = Callable[[str], None]
PROGRAMS: Sequence[str] = (
    *("etcd", "containerd", "containerd-shim-runc-v2", "ctr", "runc", "nft"),
    *("docker", "dockerd", "docker-registry", "debootstrap"),
    *("ip", "mount", "nsenter", "openssl", "unshare"),
)


class InUse(Exception):
    """Another run uses the cluster."""


def lacking() -> list[str]:
    """What this machine lacks to run a cluster; empty if nothing."""
    found = [name for name in PROGRAMS if find(name) is None]
    if node.plugin_folder() is None:
        found.append("CNI plug-ins")
    if os.geteuid() != 0:
        found.append("the rights of root")
    return found


@contextmanager
def using(place: Place) -> Iterator[None]:
    """The right to make, use and end the cluster of a place; the kernel takes it back from a run that is killed.

    Raises InUse while another process has it.
    """
    place.home.mkdir(mode=0o755, exist_ok=True)
    owner = place.home.lstat()
    if owner.st_uid != os.geteuid() or place.home.is_symlink():
        raise PermissionError(f"{place.home} is not ours")
    with place.lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise InUse(f"cluster {place.number} is in use by process {lock.read().strip() or '?'}") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def keep(place: Place) -> None:
    """Say that the cluster, which is up, stays after this run."""
    place.kept.touch()


def is_kept(place: Place) -> bool:
    """Whether a cluster is up that was made to stay; one that did not survive the machine's restart is not."""
    return place.kept.exists() and bool(Group(place.group).members())


@contextmanager
def borrowed(place: Place, binaries: Binaries, say: Say) -> Iterator[None]:
    """A cluster for one run: the one that was made to stay, or else one that ends with the run. Raises InUse."""
    if is_kept(place):
        volumes.stock(place, Kubectl(binaries.path("kubectl"), place.kubeconfig))
        yield
        return
    with using(place):
        try:
            up(place, binaries, say)
            yield
        finally:
            down(place)


def down(place: Place) -> bool:
    """End everything of a place's cluster, whoever made it and however far they came. Returns whether anything was.

    Only for the one who is `using` the place.
    """
    group = Group(place.group)
    found = group.exists or place.folder.exists()
    if group.exists:
        group.end()
    remove_link(place)
    if place.folder.exists():
        _remove(place.folder)
    return found


def _remove(folder: Path) -> None:
    """No mount of ours is ever made outside the cluster's own namespace; what is found here is not ours to empty."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    if inside := [path for path in mounts if Path(path).is_relative_to(folder)]:
        raise Failed(f"unmount these, then try again: {', '.join(inside)}")
    shutil.rmtree(folder)


def up(place: Place, binaries: Binaries, say: Say) -> None:
    """Make a cluster, with nothing left of one before. Only for the one who is `using` the place.

    say: told each step with its seconds. What it made remains after an error, with its logs; `down` clears it.
    """
    down(place)
    Bringing(place, binaries, say).up()


class Bringing:
    """The steps, in the order in which each finds what it needs."""

    def __init__(self, place: Place, binaries: Binaries, say: Say) -> None:
        place.logs.mkdir(parents=True)
        certificates = Certificates(place.folder / "certificates")
        certificates.make(place)
        shutil.copy(certificates.kubeconfig("admin"), place.kubeconfig)
        docker.place_client(place)
        group = Group(place.group)
        group.make()
        programs = {name: place.folder / "programs" / path for name, path in binaries.programs.items()}
        self._place = place
        self._binaries = binaries
        self._say = say
        self._namespaces = Namespaces.make(place, group, binaries.cache, programs["pause"])
        self._setting = Setting(place, certificates, programs)
        self._kubectl = Kubectl(binaries.path("kubectl"), place.kubeconfig)

    def up(self) -> None:
        begun, setting = time.monotonic(), self._setting
        plugins = node.plugin_folder()
        assert plugins is not None
        self._start(control_plane.etcd(setting), node.containerd(setting, plugins))
        self._import_pause()
        self._start(control_plane.api_server(setting), docker.daemon(setting), docker.registry(setting))
        self._kubectl.in_namespace(addons.SYSTEM).apply(*addons.objects(self._place))
        self._start(
            *(control_plane.controller_manager(setting), control_plane.scheduler(setting)),
            *(node.kubelet(setting), node.proxy(setting), addons.dns(setting), addons.metrics(setting)),
        )
        self._kubectl.define(self._binaries.definitions)
        self._kubectl.apply(volumes.storage_class())
        volumes.stock(self._place, self._kubectl)
        self._kubectl.wait("condition=Ready", f"node/{NODE}")
        self._kubectl.wait("create", "serviceaccount/default")
        self._say(f"node {NODE} is Ready and all is in place after {time.monotonic() - begun:.1f} s")

    def _start(self, *specifications: Specification) -> None:
        """Start these at once, and wait until all are ready."""
        daemons = [Daemon(each, self._namespaces, self._place.logs) for each in specifications]
        took = [f"{each.specification.name} {each.until_ready():.1f} s" for each in daemons]
        self._say(f"ready: {', '.join(took)}")

    def _import_pause(self) -> None:
        archive = self._place.folder / "pause.tar"
        archive.write_bytes(images.archive_of_program(self._binaries.path("pause"), node.PAUSE))
        run([*node.importing(self._place), archive])
