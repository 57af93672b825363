"""A renewed certificate is served by the Envoy that runs, without a connection less."""

import asyncio
import ssl
from pathlib import Path

from atoll.engines.certificates import Tls
from atoll.engines.envoy import Cluster, Endpoint, Gateway
from atoll.engines.routing import Route
from atoll.supervisor.home import Home
from tests.engines.certificates import MountedSecret, serial_of, trusting_anybody
from tests.engines.exchange import Backend, Connection, backends, connection
from tests.engines.merged import in_a_cluster
from tests.ports import free_port
from tests.waiting import eventually

EVERYTHING = Route("/", "frontend", prefix=True, operation="frontend")


def gateway_of(frontend: Backend, secret: Path, documents: Path) -> Gateway:
    tls = Tls(free_port(), secret / "tls.crt", secret / "tls.key", documents / "certificate.json")
    behind = Cluster("frontend", (Endpoint("127.0.0.1", frontend.port),), "")
    return Gateway(free_port(), (EVERYTHING,), (behind,), tls=tls)


def shown(client: Connection) -> int:
    """The serial number of the certificate with which the connection was opened."""
    transport = client.writer.get_extra_info("ssl_object")
    assert isinstance(transport, ssl.SSLObject)
    return serial_of(transport)


async def shown_to_a_new_client(port: int) -> int:
    async with connection(port, trusting_anybody()) as client:
        assert (await client.request("GET", "/")).status == 200
        return shown(client)


async def served(port: int, serial: int) -> None:
    """Wait until new clients are shown this certificate."""

    async def is_served() -> bool:
        return await shown_to_a_new_client(port) == serial

    await eventually(is_served, "the renewed certificate is served")


async def test_a_renewed_certificate_is_served_and_no_connection_is_dropped(home: Home, tmp_path: Path) -> None:
    # Given a gateway with a certificate as Kubernetes mounts it, and a client that keeps its connection
    secret = MountedSecret(tmp_path / "tls")
    first = secret.renew()
    async with backends("frontend") as (frontend,):
        gateway = gateway_of(frontend, secret.folder, home.state / "envoy")
        assert gateway.tls
        port = gateway.tls.port
        async with in_a_cluster(home, gateway), connection(port, trusting_anybody()) as kept:
            assert (await kept.request("GET", "/")).status == 200
            assert shown(kept) == await shown_to_a_new_client(port) == first
            # When it is renewed under traffic, and renewed again
            answered, closing = [], asyncio.Event()

            async def go_on() -> None:
                while not closing.is_set():
                    answered.append((await kept.request("GET", "/")).status)

            asking = asyncio.create_task(go_on())
            try:
                for _ in range(2):
                    # Then new clients are shown the new one,
                    await served(port, secret.renew())
            finally:
                closing.set()
                await asking
            # and who was there keeps his connection, on which every request was answered.
            assert shown(kept) == first
            assert set(answered) == {200}


async def test_half_a_renewal_leaves_the_certificate_that_is_served(home: Home, tmp_path: Path) -> None:
    secret = MountedSecret(tmp_path / "tls")
    first = secret.renew()
    async with backends("frontend") as (frontend,):
        gateway = gateway_of(frontend, secret.folder, home.state / "envoy")
        assert gateway.tls
        async with in_a_cluster(home, gateway):
            assert await shown_to_a_new_client(gateway.tls.port) == first
            secret.spoil()
            log = home.logs / "envoy.log"
            await eventually(lambda: "KEY_VALUES_MISMATCH" in log.read_text(), "Envoy says what is wrong")
            assert await shown_to_a_new_client(gateway.tls.port) == first
            await served(gateway.tls.port, secret.renew())
