"""The boutique in containers of Docker Compose: Debian's, which is older than what most people have."""

import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from shop.customers import shop_for
from shop.demo import settle

from tests.cluster.cluster import Cluster
from tests.cluster.conftest import need
from tests.cluster.programs import Failed, find, run
from tests.cluster.shop import Shop
from tests.waiting import eventually, until

PORT, DASHBOARD_PORT = 8080, 8090
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"

pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True)
class Composed:
    """Containers of one compose.yaml."""

    shop: Shop
    folder: Path

    def compose(self, *arguments: str) -> str:
        """What it says. Raises Failed."""
        here = self.shop.cluster.node_address
        addresses = {"GATEWAY_ADDRESS": f"{here}:{PORT}", "DASHBOARD_ADDRESS": f"{here}:{DASHBOARD_PORT}"}
        environment = {**os.environ, **self.shop.cluster.docker.environment, **addresses}
        return run(["docker-compose", *arguments], within=200, environment=environment, folder=self.folder)

    def up(self) -> None:
        """Return when every container is healthy, as `docker compose up --wait` of newer versions does."""
        self.compose("up", "--detach")
        said = ""

        def are_healthy() -> bool:
            nonlocal said
            said = self.compose("ps")
            return "starting" not in said and "unhealthy" not in said

        # One that takes longer than it may is unhealthy until it is healthy.
        until(are_healthy, "all containers are healthy", within=100, every=1.0, why=lambda: said)

    def render(self) -> str:
        return self.shop.atoll("render", "compose", "-e", "test", "--output", str(self.folder))

    def container(self, service: str) -> str:
        """Its id."""
        return self.compose("ps", "-q", service).split()[0]

    def connect(self, service: str, host: str, port: int) -> None:
        """From inside a container of the service. Raises Failed."""
        inside = self.container(service)
        self.shop.cluster.docker.run("exec", inside, "python", "-c", CONNECT, host, str(port))

    def address(self, service: str) -> str:
        inspected = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        found = self.shop.cluster.docker.run("inspect", "--format", inspected, self.container(service))
        return found.split()[0]


@pytest.fixture(scope="module")
def composed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    need([] if find("docker-compose") else ["docker-compose"])
    folder = tmp_path_factory.mktemp("composed")
    shop = Shop.copied(folder / "shop", cluster, f"http://{cluster.node_address}:{PORT}")
    shop.atoll("build", "-e", "test", "--builder", cluster.docker.program)
    made = Composed(shop, folder / "compose")
    made.render()
    try:
        made.up()
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "5")


async def test_customers_buy_and_their_orders_survive_that_every_container_is_made_anew(composed: Composed) -> None:
    await composed.shop.sells()
    summary = await shop_for(composed.shop.url, seconds=5.0, customers=3)
    assert summary.confirmed
    assert summary.failed == ()
    composed.compose("down")
    composed.up()
    outcome = await settle(composed.shop.url, summary.confirmed)
    assert outcome.wrong == ()


def test_a_service_reaches_what_it_calls_and_nothing_else(composed: Composed) -> None:
    composed.connect("checkout", "payment-pods", 8080)
    composed.connect("checkout", "postgres", 5432)
    # The frontend calls neither payment nor a database: not by name, and not by address.
    for host, port in (("payment-pods", 8080), ("postgres", 5432)):
        with pytest.raises(Failed, match="resolution"):
            composed.connect("frontend", host, port)
    for service, port in (("payment", 8080), ("postgres", 5432)):
        with pytest.raises(Failed, match=r"timed out|unreachable"):
            composed.connect("frontend", composed.address(service), port)


def test_what_is_rendered_again_changes_no_file_and_no_container(composed: Composed) -> None:
    before = {path: path.read_bytes() for path in composed.folder.rglob("*") if path.is_file()}
    running = composed.compose("ps", "-q")
    composed.render()
    composed.compose("up", "--detach")
    assert {path: path.read_bytes() for path in composed.folder.rglob("*") if path.is_file()} == before
    assert composed.compose("ps", "-q") == running


def test_the_passwords_are_nobody_elses_to_read(composed: Composed) -> None:
    assert (composed.folder / ".env").stat().st_mode & 0o777 == 0o600
    text = (composed.folder / ".env").read_text()
    secrets = [line.split(":", 2)[2].split("@")[0] for line in text.splitlines() if "postgresql://" in line]
    assert secrets
    for path in composed.folder.rglob("*"):
        if path.is_file() and path.name != ".env":
            assert not any(each in path.read_text() for each in secrets)


async def test_the_dashboard_shows_all_of_it_to_who_has_the_token(composed: Composed) -> None:
    here = f"http://{composed.shop.cluster.node_address}:{DASHBOARD_PORT}"
    (token,) = re.findall(r"^DASHBOARD_TOKEN=(\S+)$", (composed.folder / ".env").read_text(), re.MULTILINE)

    def read(path: str, **headers: str) -> str:
        with urllib.request.urlopen(urllib.request.Request(here + path, headers=headers), timeout=10) as answer:
            return str(answer.read().decode())

    with pytest.raises(urllib.error.HTTPError, match="401"):
        read("/")
    who = {"authorization": f"Bearer {token}"}

    def has(path: str, wanted: str) -> bool:
        with suppress(OSError):
            return re.search(wanted, read(path, **who)) is not None
        return False

    async def is_drawn() -> bool:
        # A minute of calls: among them are those that failed while containers were coming up.
        await shop_for(composed.shop.url, seconds=3.0, customers=2)
        return has("/", r'class="link good \w+"[^>]* data-edge="checkout→payment"')

    await composed.shop.sells()
    await eventually(is_drawn, "the edge from checkout to payment is good", within=120)
    for path, wanted in (
        ("/logs?service=payment&text=charging", r'href="/traces/[0-9a-f]{32}"'),
        ("/events", "email-confirm"),
    ):
        until(partial(has, path, wanted), f"{path} has it", within=30, every=1.0)
