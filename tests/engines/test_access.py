"""Who may come in, as Envoy is told, and as a real one keeps it."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from atoll.engines import envoy, versions
from atoll.engines.access import Access, ClientKeys, Issuer, ways
from atoll.engines.cors import Cors
from atoll.engines.edge import Policy
from atoll.engines.envoy import Gateway, Places
from atoll.engines.rates import Rate
from atoll.engines.routing import Route, route_table
from atoll.engines.xds import named
from atoll.provision.client_keys import known_as, new_client_key
from atoll.provision.issuer import LOCAL_ISSUER, new_key, public_keys, sign
from atoll.provision.programs import find_program
from atoll.supervisor.home import Home
from atoll.supervisor.install import check_envoy
from tests.engines.exchange import Backend, backends, request
from tests.engines.running import running
from tests.engines.test_envoy import cluster
from tests.ports import free_port

KEY = new_key()
NOW = 1_800_000_000
TOKENS = Access((Issuer(LOCAL_ISSUER, "shop", public_keys(KEY)),))
KEYS = Access((), ClientKeys("x-api-key", {"partner": ("a", "b")}, variable="KEYS"))
BOTH = Access(TOKENS.issuers, KEYS.keys)
RATES = (
    Rate("client", 1_000, 1, 1_000),
    Rate("token", 1_000, 1, 1_000),
    Rate("route", 3, 3_600, 3),
    Rate("whole", 5_000, 1, 5_000),
)


def forwarding(table: dict[str, Any]) -> list[dict[str, Any]]:
    """The routes of a table that lead somewhere."""
    return [each for host in table["virtual_hosts"] for each in host["routes"] if "route" in each]


@pytest.mark.parametrize(
    ("access", "public", "scopes"), list(product((TOKENS, KEYS, BOTH), (False, True), ((), ("a",), ("a", "b"))))
)
def test_no_way_into_what_is_not_public_is_open(access: Access, public: bool, scopes: tuple[str, ...]) -> None:
    # Given a route of each kind, which may lead to a path or to all below a prefix
    is_public = public and not scopes
    routes = [
        Route("/a", "one", ("GET",), public=is_public, scopes=scopes),
        Route("/b", "one", prefix=True, public=is_public, scopes=scopes),
    ]
    for made in forwarding(route_table(routes, Policy(access))):
        settings = made.get("typed_per_filter_config", {})
        tokens = settings.get("envoy.filters.http.jwt_authn", {})
        has_key_check = "envoy.filters.http.basic_auth" in settings
        # Then a token or a key is looked at, and the scopes are
        assert has_key_check or tokens.get("requirement_name") == "known" or is_public
        assert ("envoy.filters.http.rbac" in settings) == bool(scopes)


def test_without_auth_a_route_has_one_way_and_no_filter() -> None:
    (way,) = ways(Access(), public=False, scopes=())
    assert (way.headers, way.filters) == ((), {})


def test_what_no_client_has_the_scopes_for_is_open_to_none() -> None:
    (way,) = ways(KEYS, public=False, scopes=("c",))
    assert '"not_id": {"any": true}' in json.dumps(way.filters["envoy.filters.http.rbac"])


def test_each_of_several_gateways_has_its_share_of_a_rate() -> None:
    policy = Policy(rates=(Rate("client", 5, 1, 5, share=2),))
    made = json.loads(envoy.merged(gateway_of(8080, policy), places(PurePosixPath("/x"))))
    (manager,) = made["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    (limit,) = [each for each in manager["typed_config"]["http_filters"] if each["name"] == "atoll.limit.client"]
    bucket = limit["typed_config"]["descriptors"][0]["token_bucket"]
    assert bucket == {"max_tokens": 3, "tokens_per_fill": 5, "fill_interval": "2s"}


def gateway_of(port: int, policy: Policy, *replicas: Backend) -> Gateway:
    routes = (
        Route("/open", "one", ("GET",), operation="one.open", public=True),
        Route("/known", "one", ("GET",), operation="one.known"),
        Route("/scoped", "one", ("GET",), operation="one.scoped", scopes=("a",)),
    )
    return Gateway(port, routes, (cluster("one", *replicas),), policy=policy)


def places(folder: PurePosixPath | Path) -> Places:
    return Places(folder, folder / "admin.sock", folder / "access.jsonl")


@asynccontextmanager
async def front(home: Home, policy: Policy, *replicas: Backend) -> AsyncIterator[int]:
    """The port of an Envoy with this policy."""
    gateway = gateway_of(free_port(), policy, *replicas)
    where = replace(places(home.state / "envoy"), access_log=home.logs / "access.jsonl")
    async with running(envoy.engine(find_program(versions.ENVOY), gateway, where), home.logs / "envoy.log"):
        yield gateway.port


def bearer(*scopes: str, key: str = KEY, audience: str = "shop") -> dict[str, str]:
    token = sign(key, [audience], "ada", scopes, now=NOW, expires=10**9)
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("access", [TOKENS, KEYS, BOTH], ids=["tokens", "keys", "both"])
async def test_a_whole_configuration_of_each_kind_is_one_that_envoy_takes(home: Home, access: Access) -> None:
    (home.secrets / "keys").write_text(known_as(new_client_key("partner")))
    keys = replace(access.keys, variable="", file=home.secrets / "keys") if access.keys else None
    remote = Issuer("https://login.example", "shop", url="https://login.example:8443/keys")
    full = Policy(Access((*access.issuers, remote) if access.issuers else (), keys), RATES, Cors(("*",), False, ("a",)))
    gateway = replace(gateway_of(free_port(), full), trusted_hops=1)
    # Raises with Envoy's own words.
    await check_envoy(find_program(versions.ENVOY), envoy.merged(gateway, places(home.state)), home.state)
    assert (home.state / "check.json").exists()


async def test_keys_that_an_issuer_changes_are_taken_over_from_its_address(home: Home) -> None:
    following = new_key()
    served = [public_keys(KEY)]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = served[-1].encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    issuer = Issuer(LOCAL_ISSUER, "shop", url=f"http://127.0.0.1:{port}/keys")
    policy = Policy(Access((issuer,), waits=True))
    async with server, backends("one") as (one,):
        # Ready means that the keys are there.
        async with front(home, policy, one) as gateway:
            assert (await request(gateway, "GET", "/known", bearer())).status == 200
            assert (await request(gateway, "GET", "/known", bearer(key=following))).status == 401
        # An Envoy that starts anew fetches them anew; one that runs does so every five minutes.
        served.append(public_keys(following))
        async with front(home, policy, one) as gateway:
            assert (await request(gateway, "GET", "/known", bearer(key=following))).status == 200
            assert (await request(gateway, "GET", "/known", bearer())).status == 401


def certificate_for(name: str, folder: Path) -> Path:
    """A file with a certificate of this name, which vouches for itself, and one beside it with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    form = serialization.PrivateFormat.PKCS8
    pem = serialization.Encoding.PEM
    (folder / f"{name}.key").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    (folder / f"{name}.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem))
    return folder / f"{name}.pem"


@pytest.mark.parametrize(("name", "trusted"), [("localhost", True), ("elsewhere.example", False)])
async def test_keys_are_taken_from_an_address_that_proves_its_name_alone(home: Home, name: str, trusted: bool) -> None:
    shown = certificate_for(name, home.state)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(shown, shown.with_suffix(".key"))
    asked = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        body = public_keys(KEY).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "localhost", 0, ssl=tls, family=socket.AF_INET)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/keys"
    access = Access((Issuer(LOCAL_ISSUER, "shop", url=url),), certificates=shown, waits=True)
    async with server, backends("one") as (one,), front(home, Policy(access), one) as gateway:
        known = await request(gateway, "GET", "/known", bearer())
    assert known.status == (200 if trusted else 401)
    assert asked.is_set() == trusted


@pytest.mark.parametrize("waits", [False, True])
async def test_an_issuer_whose_name_nobody_resolves_holds_up_no_start_for_long(home: Home, waits: bool) -> None:
    # Given a server of names that never answers
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        away = Issuer("https://login.example", "shop", url="https://login.example/keys")
        async with backends("one") as (one,):
            gateway = gateway_of(free_port(), Policy(Access((away,), waits=waits)), one)
            made = envoy.engine(find_program(versions.ENVOY), gateway, places(home.state / "envoy"))
            *changing, bootstrap = made.files
            told = json.loads(bootstrap.content)
            _, cluster_of_issuer = told["static_resources"]["clusters"]
            asked = {"address": "127.0.0.1", "port_value": silent.getsockname()[1], "protocol": "UDP"}
            resolver = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
            by_default = named("envoy.network.dns_resolver.cares", resolver)
            dns = cluster_of_issuer["cluster_type"]["typed_config"]
            names = dns.setdefault("typed_dns_resolver_config", by_default)["typed_config"]
            names["resolvers"] = [{"socket_address": asked}]
            changed = replace(made, files=(*changing, replace(bootstrap, content=json.dumps(told))))
            # Then it is ready all the same, and serves
            async with asyncio.timeout(15 if waits else 5), running(changed, home.logs / "envoy.log"):
                assert (await request(gateway.port, "GET", "/open")).status == 200


async def test_an_issuer_that_is_away_closes_what_needs_a_token_and_nothing_else(home: Home) -> None:
    away = Issuer("https://login.example", "shop", url=f"http://127.0.0.1:{free_port()}/keys")
    async with backends("one") as (one,), front(home, Policy(Access((away, *TOKENS.issuers))), one) as gateway:
        assert (await request(gateway, "GET", "/open")).status == 200
        assert (await request(gateway, "GET", "/known")).status == 401
        # The machine's own tokens are good all the same.
        assert (await request(gateway, "GET", "/scoped", bearer("a"))).status == 200


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/known", bearer(), 200),
        ("/known", bearer(audience="elsewhere"), 401),
        ("/scoped", bearer("a"), 200),
        ("/scoped", bearer("ab", "b"), 403),
        ("/scoped", {"x-atoll-scopes": "a", "x-atoll-subject": "root"}, 401),
    ],
)
async def test_a_service_is_told_who_calls_by_what_verified_it(
    home: Home, path: str, headers: dict[str, str], status: int
) -> None:
    async with backends("one") as (one,), front(home, Policy(TOKENS), one) as gateway:
        answer = await request(gateway, "GET", path, headers)
    assert answer.status == status
    assert [each.headers["x-atoll-subject"] for each in one.requests] == (["ada"] if status == 200 else [])


async def test_a_limit_by_route_counts_all_clients_of_one_operation(home: Home) -> None:
    async with backends("one") as (one,), front(home, Policy(TOKENS, RATES), one) as gateway:
        opened = [(await request(gateway, "GET", "/open")).status for _ in range(5)]
        other = await request(gateway, "GET", "/known", bearer())
    assert opened == [200, 200, 200, 429, 429]
    assert other.status == 200
    assert other.headers["ratelimit-policy"] == (
        '"client";q=1000;w=1, "token";q=1000;w=1, "route";q=3;w=3600, "whole";q=5000;w=1'
    )
    assert len(one.requests) == 4


async def test_guesses_at_tokens_count_before_the_token_is_looked_at(home: Home) -> None:
    policy = Policy(TOKENS, (Rate("client", 2, 3_600, 2),))
    async with backends("one") as (one,), front(home, policy, one) as gateway:
        statuses = [(await request(gateway, "GET", "/known", {"authorization": "Bearer x"})).status for _ in range(3)]
    assert statuses == [401, 401, 429]


async def test_memory_that_runs_out_is_answered_for_and_not_died_of(home: Home) -> None:
    gateway = gateway_of(free_port(), Policy())
    small = replace(gateway, limits=replace(gateway.limits, heap=2**20))
    where = replace(places(home.state / "envoy"), access_log=home.logs / "access.jsonl")
    async with backends("one") as (one,):
        told = replace(small, clusters=(cluster("one", one),))
        async with running(envoy.engine(find_program(versions.ENVOY), told, where), home.logs / "envoy.log"):
            statuses: list[int] = []
            async with asyncio.timeout(10):
                while 503 not in statuses:
                    statuses.append((await request(told.port, "GET", "/open")).status)
    assert set(statuses) <= {200, 503}


def test_what_stands_in_a_secret_is_no_key(tmp_path: Path) -> None:
    key = new_client_key("partner")
    (tmp_path / "keys").write_text(known_as(key))
    assert key.partition(".")[2] not in (tmp_path / "keys").read_text()
    assert known_as(key).startswith("partner:{SHA}")
    assert known_as(key) != known_as(new_client_key("partner"))
