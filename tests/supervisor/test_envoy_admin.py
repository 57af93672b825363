import asyncio
from pathlib import Path

from atoll.engines import envoy, versions
from atoll.engines.envoy import Cluster, Endpoint, Gateway, Places
from atoll.engines.routing import Route
from atoll.provision.programs import find_program
from atoll.supervisor.envoy_admin import bound_access_log, drain
from atoll.supervisor.home import Home
from tests.engines.exchange import backends, connection, read_chunk, request
from tests.engines.running import running
from tests.ports import free_port
from tests.waiting import eventually


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def until_refused(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:  # it waited to be accepted when the door was closed
                continue
            writer.close()


async def test_a_request_in_flight_is_answered_before_the_gateway_stops(home: Home) -> None:
    folder = home.state / "envoy"
    places = Places(folder, folder / "admin.sock", home.logs / "access.jsonl")
    async with backends("catalog") as (catalog,):
        only = Cluster("catalog", (Endpoint("127.0.0.1", catalog.port),), "")
        gateway = Gateway(free_port(), (Route("/events", "catalog", ("GET",), timeout=0),), (only,))
        engine = envoy.engine(find_program(versions.ENVOY), gateway, places)
        async with running(engine, home.logs / "envoy.log") as process, connection(gateway.port) as client:
            # Given an answer of which a part is on its way
            await client.send("GET", "/events")
            catalog.events.put_nowait("first")
            await client.head()
            assert await read_chunk(client.reader) == b"data: first\n\n"
            # When the gateway is drained
            drained = asyncio.create_task(drain(places, within=10))
            await until_refused(gateway.port)
            assert not drained.done()
            # Then the rest of it arrives, and only then the drain is over
            catalog.events.put_nowait("last")
            assert await read_chunk(client.reader) == b"data: last\n\n"
            catalog.events.put_nowait("")
            assert await read_chunk(client.reader) == b""
            assert await drained
            await process.stop()
        assert not await drain(places)


async def test_the_access_log_begins_anew_at_its_limit(home: Home) -> None:
    folder = home.state / "envoy"
    log, older = home.logs / "access.jsonl", home.logs / "access.jsonl.1"
    places = Places(folder, folder / "admin.sock", log)
    gateway = Gateway(free_port(), (), ())
    async with running(envoy.engine(find_program(versions.ENVOY), gateway, places), home.logs / "envoy.log"):
        await request(gateway.port, "GET", "/first")
        await eventually(lambda: size(log) > 0)
        assert not await bound_access_log(places)
        assert await bound_access_log(places, limit=10)
        await request(gateway.port, "GET", "/second")
        await eventually(lambda: size(log) > 0)
    assert '"/first"' in older.read_text()
    assert '"/second"' in log.read_text()
    assert '"/first"' not in log.read_text()
