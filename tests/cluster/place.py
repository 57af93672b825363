"""Where on this machine a test cluster is: its folder, its names, its addresses."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOME = Path("/var/tmp/atoll-cluster")
# A number is a byte of an address, and a quarter of the last byte of another.
PLACES = 48
CHOICE = "ATOLL_TEST_PLACE"
NODE = "node1"


@dataclass(frozen=True)
class Place:
    """One of the clusters that can be on a machine at a time. Touches nothing.

    number: 0 is the one that tests share; another is for a test that ends its cluster.
    Addresses are from 198.18.0.0/15 alone, which is reserved for tests of networks, so nothing real is ever met.
    """

    number: int = 0
    home: Path = HOME

    def __post_init__(self) -> None:
        if not 0 <= self.number < PLACES:
            raise ValueError(f"a place has a number from 0 to {PLACES - 1}, not {self.number}")

    @property
    def folder(self) -> Path:
        """Everything that the cluster writes; gone after `down`."""
        return self.home / str(self.number)

    @property
    def lock(self) -> Path:
        """Locked by the run that uses the cluster."""
        return self.home / f"{self.number}.lock"

    @property
    def kept(self) -> Path:
        """Is there if the cluster outlives the run that made it."""
        return self.folder / "kept"

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    @property
    def group(self) -> str:
        """The control group, of the same name in each hierarchy, that all its processes are in."""
        return f"atoll-cluster-{self.number}"

    @property
    def link(self) -> str:
        """The network device by which the machine reaches the cluster."""
        return f"atoll{self.number}"

    @property
    def machine_address(self) -> str:
        return f"198.18.255.{4 * self.number + 1}"

    @property
    def node_address(self) -> str:
        """Where the API server, NodePorts and the image registry are reached."""
        return f"198.18.255.{4 * self.number + 2}"

    @property
    def pods(self) -> str:
        return f"198.18.{self.number}.0/24"

    @property
    def services(self) -> str:
        return f"198.19.{self.number}.0/24"

    @property
    def docker_network(self) -> str:
        """dockerd's own address, and its network for containers that name none."""
        return f"198.18.{64 + self.number}.1/24"

    @property
    def docker_networks(self) -> str:
        """Where it takes networks from that a Compose file asks for."""
        return f"198.19.{64 + 4 * self.number}.0/22"

    @property
    def api_service(self) -> str:
        """The Service `kubernetes`: always the first address of the range."""
        return f"198.19.{self.number}.1"

    @property
    def dns_service(self) -> str:
        return f"198.19.{self.number}.10"

    @property
    def containerd(self) -> Path:
        return self.folder / "containerd.sock"

    @property
    def docker(self) -> Path:
        return self.folder / "docker.sock"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "kubeconfig"


def chosen(environment: Mapping[str, str]) -> Place:
    """The place that tests share, or the one of this number: two checkouts can then be tested at a time."""
    return Place(int(environment.get(CHOICE, "0")))


def places(home: Path = HOME) -> list[Place]:
    """Those where a cluster was ever made on this machine."""
    return [Place(int(lock.stem), home) for lock in sorted(home.glob("*.lock"))]
