"""The mount and network namespaces that a cluster lives in.

They last as long as a process is in them. With the last one the kernel takes back every mount, network device, route
and packet filter that the cluster made, so nothing of it has to be undone one by one.
"""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.cgroup import Group
from tests.cluster.place import Place
from tests.cluster.programs import Failed, run

READY = "ready"
# What a kubelet would set for the whole machine if it did not find it set: it finds it in its own /proc alone.
KERNEL_SETTINGS: Mapping[str, str] = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
# Where programs write whatever their configuration says: /run/containerd, /var/lib/cni, /var/log/containers and more.
PRIVATE_FOLDERS: Sequence[Path] = (Path("/run"), Path("/var/lib"), Path("/var/log"))


def mounting(place: Place, programs: Path) -> list[str]:
    """The commands that make a new mount namespace the cluster's. Touches nothing.

    programs: a folder that is seen at `place.folder / "programs"`, even if it lies in one of the private folders.
    """
    commands = [
        # A container may then be given mounts that are made later, and still none reaches the machine.
        ["mount", "--make-rshared", "/"],
        ["mount", "--bind", str(programs), str(place.folder / "programs")],
    ]
    commands += [["mount", "-t", "tmpfs", "-o", "mode=755,size=256m", "tmpfs", str(path)] for path in PRIVATE_FOLDERS]
    commands += [["mount", "--bind", str(kernel_setting(place, name)), f"/proc/sys/{name}"] for name in KERNEL_SETTINGS]
    return [shlex.join(command) for command in commands]


def networking() -> list[str]:
    """The commands that give a new network namespace no way out. Touches nothing."""
    return [
        "ip link set lo up",
        # Whatever has no other route ends in a bridge without members.
        "ip link add sink type bridge",
        "ip link set sink up",
        "ip route add default dev sink",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
    ]


def kernel_setting(place: Place, name: str) -> Path:
    return place.folder / "kernel" / name.replace("/", "-")


class Namespaces:
    """The namespaces of a running cluster, entered through the process that keeps them."""

    def __init__(self, place: Place, group: Group, keeper: subprocess.Popen[str]) -> None:
        self._place = place
        self._group = group
        self.keeper = keeper

    @classmethod
    def make(cls, place: Place, group: Group, programs: Path, pause: Path) -> "Namespaces":
        """pause: the program that keeps them. Raises Failed with what a step said."""
        place.folder.joinpath("programs").mkdir()
        place.folder.joinpath("kernel").mkdir()
        for name, value in KERNEL_SETTINGS.items():
            kernel_setting(place, name).write_text(value + "\n")
        # The steps are taken by a child of unshare: where unshare fails, none is taken on the machine itself.
        steps = [*networking(), *mounting(place, programs), f"echo {READY}", 'exec "$0" >/dev/null 2>&1']
        unshare = ["unshare", "--mount", "--net", "--propagation", "private", "/bin/sh", "-ec", "\n".join(steps)]
        keeper = subprocess.Popen(
            group.joining([*unshare, str(pause)]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert keeper.stdout is not None
        with keeper.stdout as said:
            lines = []
            for line in said:
                lines.append(line)
                if line.strip() == READY:
                    break
            else:
                raise Failed(f"the namespaces of the cluster could not be made:\n{''.join(lines)}")
        made = cls(place, group, keeper)
        made._link()
        return made

    def entering(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` inside, as a member of the cluster's control group."""
        enter = ["nsenter", f"--target={self.keeper.pid}", "--mount", "--net", "--", *command]
        return self._group.joining(enter)

    def _link(self) -> None:
        """Join them to the machine by a pair of devices; what the machine sends to pods or Services goes in here."""
        place, device = self._place, "uplink"
        inside = ["nsenter", f"--target={self.keeper.pid}", "--net", "ip"]
        run(["ip", "link", "add", place.link, "type", "veth", "peer", device, "netns", str(self.keeper.pid)])
        run([*inside, "address", "add", f"{place.node_address}/30", "dev", device])
        run([*inside, "link", "set", device, "up"])
        run(["ip", "address", "add", f"{place.machine_address}/30", "dev", place.link])
        run(["ip", "link", "set", place.link, "up"])
        for network in (place.pods, place.services):
            run(["ip", "route", "add", network, "via", place.node_address])


def remove_link(place: Place) -> None:
    """The kernel does so too, some time after the namespace ended; the next cluster may need the name at once."""
    device = Path("/sys/class/net", place.link)
    if device.exists():
        try:
            run(["ip", "link", "delete", place.link])
        except Failed:
            if device.exists():
                raise
