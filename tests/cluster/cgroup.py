"""The control group of a cluster: the kernel's own record of every process that belongs to it.

A process is born into the group of its parent and cannot be missed, whatever becomes of the run that started it: so a
killed run is cleared as well as one that ended. The kubelet and dockerd put their containers below the same group.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tests.waiting import until

MOUNTS = Path("/proc/self/mounts")
PATIENCE = 20.0


def hierarchies(mounts: str) -> list[Path]:
    """Where control groups are mounted, the one that can name any process first.

    mounts: lines like `cgroup2 /sys/fs/cgroup cgroup2 rw 0 0`. Version 2 has one hierarchy, version 1 one per
    controller, and a machine can have both.
    """
    found = [line.split() for line in mounts.splitlines()]
    first = [Path(where) for _, where, kind, *_ in found if kind == "cgroup2"]
    others = [Path(where) for _, where, kind, *_ in found if kind == "cgroup"]
    # The group that is left for daemons must not ask for settings before it takes a process, as that of cpuset does.
    others.sort(key=lambda where: where.name != "pids")
    return list(dict.fromkeys([*first, *others]))


class Group:
    """A control group of this name, in every hierarchy."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._hierarchies = hierarchies(MOUNTS.read_text())
        if not self._hierarchies:
            raise RuntimeError("no control groups are mounted on this machine")

    def make(self) -> None:
        for hierarchy in self._hierarchies:
            group = hierarchy / self._name
            group.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):
                # In version 1 a new group has no processors and can take no process.
                if hierarchy.joinpath(setting).exists() and not (group / setting).read_text().strip():
                    (group / setting).write_text((hierarchy / setting).read_text())
        # In version 2 only a group without groups below it may hold processes.
        self._daemons.mkdir(exist_ok=True)

    def joining(self, command: Sequence[str]) -> list[str]:
        """The command line of a process that is in the group before it becomes `command`."""
        return ["/bin/sh", "-ec", 'echo 0 > "$0"; exec "$@"', str(self._daemons / "cgroup.procs"), *command]

    def members(self) -> set[int]:
        """The processes in it and in the groups below it, such as those of containers."""
        pids: set[int] = set()
        for group in self._groups():
            with suppress(OSError):  # it may be removed while we look
                pids.update(map(int, (group / "cgroup.procs").read_text().split()))
        return pids

    def end(self) -> None:
        """Kill every member at once, so that none can bring up another, and remove the group."""
        left: set[int] = set()

        def empty() -> bool:
            nonlocal left
            self._thaw()
            left = self.members()
            for pid in left:
                self._kill(pid)
            return not left

        until(empty, "all processes of the cluster end", within=PATIENCE, why=lambda: f"left: {sorted(left)}")
        until(self._removed, f"the control groups {self._name} can be removed", within=PATIENCE)

    @property
    def exists(self) -> bool:
        return any(hierarchy.joinpath(self._name).exists() for hierarchy in self._hierarchies)

    @property
    def _daemons(self) -> Path:
        return self._hierarchies[0] / self._name / "daemons"

    def _groups(self) -> Iterator[Path]:
        for hierarchy in self._hierarchies:
            for folder, _, _ in os.walk(hierarchy / self._name, topdown=False):
                yield Path(folder)

    def _kill(self, pid: int) -> None:
        """A number may belong to a stranger by now; a descriptor keeps it while we look whose it is."""
        with suppress(OSError):
            process = os.pidfd_open(pid)
            try:
                if f"/{self._name}/" in Path(f"/proc/{pid}/cgroup").read_text().replace("\n", "/\n"):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
            finally:
                os.close(process)

    def _thaw(self) -> None:
        """A group may have been left frozen, and in version 1 the frozen cannot die."""
        for group in self._groups():
            state = group / "freezer.state"
            if state.exists() and state.read_text().strip() != "THAWED":
                state.write_text("THAWED")

    def _removed(self) -> bool:
        for group in self._groups():
            with suppress(OSError):  # busy for a moment after its last process
                group.rmdir()
        return not self.exists
