"""The names that a real Envoy answers to, and where it sends who comes without TLS."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from atoll.engines.certificates import Tls
from atoll.engines.doors import HEALTH
from atoll.engines.edge import Policy
from atoll.engines.envoy import Cluster, Endpoint, Gateway
from atoll.engines.rates import Rate
from atoll.engines.routing import Route
from atoll.supervisor.home import Home
from tests.engines.certificates import MountedSecret, trusting_anybody
from tests.engines.exchange import Answer, backends, connection
from tests.engines.merged import in_a_cluster
from tests.ports import free_port

EVERYTHING = Route("/", "frontend", prefix=True, operation="frontend")
HOSTS = ("shop.example.com", "*.shops.example.com")


@asynccontextmanager
async def gateway(
    home: Home,
    *,
    hosts: tuple[str, ...] = (),
    secret: Path | None = None,
    moved: Mapping[int, int] | None = None,
    policy: Policy | None = None,
) -> AsyncIterator[Gateway]:
    """In front of one application that has every path."""
    if secret:
        MountedSecret(secret).renew()
    tls = Tls(free_port(), secret / "tls.crt", secret / "tls.key", home.state / "envoy" / "c.json") if secret else None
    async with backends("frontend") as (frontend,):
        behind = Cluster("frontend", (Endpoint("127.0.0.1", frontend.port),), "")
        made = Gateway(
            free_port(),
            (EVERYTHING,),
            (behind,),
            hosts=hosts,
            tls=tls,
            moved=moved or {},
            policy=policy or Policy(),
        )
        async with in_a_cluster(home, made):
            yield made


async def asked(port: int, host: str, path: str = "/", method: str = "GET", *, by_tls: bool = False) -> Answer:
    async with connection(port, trusting_anybody() if by_tls else None) as client:
        return await client.request(method, path, {"host": host})


async def test_only_its_names_are_answered_whatever_port_they_are_asked_by(home: Home) -> None:
    async with gateway(home, hosts=HOSTS) as made:
        for host in ("shop.example.com", "shop.example.com:30080", "SHOP.example.com", "north.shops.example.com"):
            assert (await asked(made.port, host)).status == 200, host
        for host in ("10.0.0.7", "other.example.com", "shop.example.com.evil.example", "shops.example.com"):
            answer = await asked(made.port, host, "/basket")
            assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json"), host
            assert answer.json["type"] == "urn:atoll:problem:not-found"
            assert answer.json["instance"] == "/basket"
            assert answer.json["trace_id"]
        two = await asked(made.port, "shop.example.com,other.example.com")
        assert (two.status, two.json["type"]) == (400, "urn:atoll:problem:invalid-request")
        assert (await asked(made.port, "other.example.com", method="TRACE")).status == 405


async def test_who_comes_without_tls_is_sent_to_https_with_path_query_and_method(home: Home, tmp_path: Path) -> None:
    async with gateway(home, secret=tmp_path / "tls", moved={30080: 30443}) as made:
        assert made.tls
        for method in ("GET", "POST"):
            answer = await asked(made.port, "shop.example.com", "/basket?a=1", method)
            assert answer.status == 308
            assert answer.headers["location"] == "https://shop.example.com/basket?a=1"
        for host, location in (
            ("shop.example.com:80", "https://shop.example.com/"),
            ("10.0.0.7:30080", "https://10.0.0.7:30443/"),
        ):
            assert (await asked(made.port, host)).headers["location"] == location
        assert (await asked(made.tls.port, "shop.example.com", by_tls=True)).status == 200


async def test_nobody_is_sent_to_a_name_that_is_not_the_gateways(home: Home, tmp_path: Path) -> None:
    async with gateway(home, hosts=HOSTS, secret=tmp_path / "tls") as made:
        assert made.tls
        assert (await asked(made.port, "shop.example.com")).status == 308
        assert (await asked(made.port, "evil.example")).status == 404
        assert (await asked(made.tls.port, "shop.example.com", by_tls=True)).status == 200
        assert (await asked(made.tls.port, "evil.example", by_tls=True)).status == 404


@pytest.mark.parametrize(("hosts", "with_tls"), [(HOSTS, False), ((), True), (HOSTS, True)])
async def test_a_load_balancer_finds_it_healthy_by_an_address_also_at_its_limit(
    home: Home, tmp_path: Path, hosts: tuple[str, ...], with_tls: bool
) -> None:
    limited = Policy(rates=(Rate("whole", 1, 3600, 1), Rate("client", 1, 3600, 1)))
    async with gateway(home, hosts=hosts, secret=tmp_path / "tls" if with_tls else None, policy=limited) as made:
        statuses = {(await asked(made.port, "shop.example.com")).status for _ in range(5)}
        assert 429 in statuses
        for method in ("GET", "HEAD", "GET"):
            assert (await asked(made.port, f"10.0.0.7:{made.port}", HEALTH, method)).status == 200
        assert (await asked(made.port, "10.0.0.7", HEALTH, "POST")).status != 200


async def test_where_nothing_is_asked_for_every_path_under_every_name_is_the_applications(home: Home) -> None:
    async with gateway(home) as made:
        answer = await asked(made.port, "10.0.0.7", HEALTH)
        assert answer.json["path"] == HEALTH
