"""Where a service is found, and which connections to it are kept."""

import asyncio
import random
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from atoll import Unreachable
from atoll.runtime.discovery import Address, Endpoint, look_up, read_address
from atoll.runtime.replicas import IDLE, PERIOD, Replica, Replicas
from atoll.runtime.resilience.policy import Policy
from tests.runtime.calling import Item, calling
from tests.runtime.peer import Peer, answering
from tests.waiting import eventually

HAT = {"id": "hat", "price": 7}


@pytest.mark.parametrize(
    ("text", "host", "port", "authority", "base"),
    [
        ("http://users:3000", "users", 3000, b"users:3000", b""),
        ("http://users", "users", 80, b"users", b""),
        ("https://tax.example/v1/", "tax.example", 443, b"tax.example", b"/v1"),
        ("https://me:secret@tax.example:8443", "tax.example", 8443, b"tax.example:8443", b""),
        ("http://[::1]:3000", "::1", 3000, b"[::1]:3000", b""),
    ],
)
def test_an_address_is_read_as_a_browser_would(text: str, host: str, port: int, authority: bytes, base: bytes) -> None:
    address = read_address(text)
    assert (address.host, address.port, address.authority, address.base) == (host, port, authority, base)


def test_the_name_in_the_certificate_is_the_addresss_not_the_replicas() -> None:
    assert read_address("https://tax.example").at("10.0.0.7").server == "tax.example"
    assert read_address("http://tax.example").at("10.0.0.7").server == ""


@pytest.mark.parametrize("text", ["", "users:3000", "ftp://users", "http://", "http:///path", "http://users:port"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not like|[Pp]ort"):
        read_address(text).at("127.0.0.1")


async def test_a_name_is_looked_up_and_an_ip_address_is_not() -> None:
    addresses = [read_address(text) for text in ("http://127.0.0.2:1", "http://localhost:2", "http://no.invalid:3")]
    found, missing = await look_up(addresses)
    assert found[0] == Endpoint("127.0.0.2", 1, "", b"127.0.0.2:1", b"", "")
    assert "127.0.0.1" in {endpoint.host for endpoint in found[1:]}
    assert missing == ["no.invalid"]


class Names:
    """Stands for a name server whose answer the test decides."""

    def __init__(self, *hosts: str) -> None:
        self.hosts: Sequence[str] = hosts
        self.asked = 0

    async def __call__(self, addresses: Sequence[Address]) -> tuple[list[Endpoint], list[str]]:
        self.asked += 1
        (address,) = addresses
        return [address.at(host) for host in self.hosts], [] if self.hosts else [address.host]


@asynccontextmanager
async def replicas_of(address: str, names: Names) -> AsyncIterator[Replicas]:
    replicas = Replicas("items", [address], Policy(), random.random, names)
    await replicas.open()
    try:
        yield replicas
    finally:
        await replicas.close()


def picked(replicas: Replicas) -> Replica:
    replica = replicas.pick(time.monotonic(), None)
    assert replica is not None
    return replica


def host_of(replicas: Replicas) -> str:
    replica = replicas.pick(time.monotonic(), None)
    return "" if replica is None else replica.endpoint.host


async def test_replicas_that_moved_are_found_soon_when_they_can_not_be_reached() -> None:
    names = Names("127.0.0.1")
    async with replicas_of("http://items:80", names) as replicas:
        assert host_of(replicas) == "127.0.0.1"
        names.hosts = ["127.0.0.2"]
        started = time.monotonic()
        replicas.failed(picked(replicas), started, reached=False)
        await eventually(lambda: host_of(replicas) == "127.0.0.2")
        assert time.monotonic() - started < 2.0


async def test_the_first_replica_of_a_service_is_found_soon_after_it_came_up() -> None:
    names = Names()
    async with replicas_of("http://items:80", names) as replicas:
        assert host_of(replicas) == ""
        names.hosts = ["127.0.0.1"]
        started = time.monotonic()
        await eventually(lambda: host_of(replicas) == "127.0.0.1")
        assert time.monotonic() - started < PERIOD / 2


async def test_a_name_server_that_knows_nothing_does_not_make_replicas_go_away() -> None:
    names = Names("127.0.0.1")
    async with replicas_of("http://items:80", names) as replicas:
        names.hosts = []
        replicas.failed(picked(replicas), time.monotonic(), reached=False)
        await eventually(lambda: names.asked >= 2)
        await asyncio.sleep(0)
        assert host_of(replicas) == "127.0.0.1"


async def test_connections_to_a_replica_that_is_gone_are_closed() -> None:
    async with Peer(answering(HAT)) as peer:
        port, names = peer.address.rpartition(":")[2], Names("127.0.0.1")
        async with replicas_of(f"http://items:{port}", names) as replicas:
            replica = picked(replicas)
            free, used = await replicas.connect(replica, 1.0), await replicas.connect(replica, 1.0)
            replicas.give(replica, free, time.monotonic())
            names.hosts = ["127.0.0.2"]
            replicas.failed(replica, time.monotonic(), reached=False)
            await eventually(lambda: host_of(replicas) == "127.0.0.2")
            assert free.closed
            assert not used.closed
            replicas.give(replica, used, time.monotonic())
            assert used.closed


async def test_a_connection_that_was_not_used_for_long_is_not_used_again() -> None:
    async with Peer(answering(HAT)) as peer:
        port = peer.address.rpartition(":")[2]
        async with replicas_of(f"http://items:{port}", Names("127.0.0.1")) as replicas:
            replica, now = picked(replicas), time.monotonic()
            connections = [await replicas.connect(replica, 1.0) for _ in range(3)]
            for connection in connections:
                replicas.give(replica, connection, now)
            assert replicas.take(replica, now + IDLE - 0.1) is connections[-1]
            assert replicas.take(replica, now + IDLE + 0.1) is None
            assert [connection.closed for connection in connections] == [True, True, False]
            connections[-1].abort()


async def test_a_connection_that_its_peer_is_closing_is_not_used_again() -> None:
    async with Peer(answering(HAT)) as peer:
        port = peer.address.rpartition(":")[2]
        async with replicas_of(f"http://items:{port}", Names("127.0.0.1")) as replicas:
            replica, now = picked(replicas), time.monotonic()
            connection = await replicas.connect(replica, 1.0)
            replicas.give(replica, connection, now)
            # In the moment between the end of what comes and the transport's own end, what is written goes nowhere
            connection.eof_received()
            assert replicas.take(replica, now) is None


async def test_free_connections_are_closed_after_a_while_even_if_nobody_calls() -> None:
    async with Peer(answering(HAT)) as peer:
        port = peer.address.rpartition(":")[2]
        async with replicas_of(f"http://items:{port}", Names("127.0.0.1")) as replicas:
            replica = picked(replicas)
            connection = await replicas.connect(replica, 1.0)
            replicas.give(replica, connection, time.monotonic() - IDLE)
            replicas.failed(replica, time.monotonic(), reached=False)
            await eventually(lambda: connection.closed)
            assert replica.resources == []


async def test_the_end_closes_the_connections_that_are_free() -> None:
    async with Peer(answering(HAT)) as peer:
        async with calling(peer.address) as called:
            await asyncio.gather(*(called.items.item("hat") for _ in range(5)))
            assert peer.open == 5
        await eventually(lambda: peer.open == 0)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return certificate, key


def server_side(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


async def test_tls_is_spoken_where_the_address_says_https(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with Peer(answering(HAT), tls=server_side(certificate)) as peer:
        port = peer.address.rpartition(":")[2]
        async with calling(f"https://localhost:{port}") as called:
            assert await called.items.item("hat") == Item("hat", 7)


async def test_a_certificate_that_nobody_vouches_for_is_refused_before_a_byte_is_sent(
    certificate: tuple[Path, Path],
) -> None:
    async with Peer(answering(HAT), tls=server_side(certificate)) as peer:
        port = peer.address.rpartition(":")[2]
        async with calling(f"https://localhost:{port}") as called:
            with pytest.raises(Unreachable, match="certificate"):
                await called.items.item("hat")
        assert peer.asked == []
