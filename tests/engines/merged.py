"""A real Envoy as a cluster starts it: all that it is told is in one document, and the certificate beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from atoll.engines import envoy, versions
from atoll.engines.certificates import certificate_file
from atoll.engines.engine import File
from atoll.engines.envoy import Gateway, Places, merged
from atoll.provision.programs import find_program
from atoll.supervisor.home import Home
from tests.engines.running import running


@asynccontextmanager
async def in_a_cluster(home: Home, gateway: Gateway) -> AsyncIterator[None]:
    """It serves while the block runs."""
    folder = home.state / "envoy"
    places = Places(folder, folder / "admin.sock", home.logs / "access.jsonl")
    files = [File(places.bootstrap, merged(gateway, places))]
    if gateway.tls:
        files.append(certificate_file(gateway.tls))
    engine = replace(envoy.engine(find_program(versions.ENVOY), gateway, places), files=tuple(files))
    async with running(engine, home.logs / "envoy.log"):
        yield
