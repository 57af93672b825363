"""A socket that is listened on."""

import asyncio
import contextlib
import stat
from pathlib import Path

from atoll.errors import PORT_TAKEN
from atoll.runtime.connections import Connections
from atoll.runtime.exchanges import Application
from atoll.runtime.http import Connection

BACKLOG = 1_024
"""Connections that the kernel keeps until they are accepted."""


class Listener:
    """Accepts connections for an application at one address.

    address: "127.0.0.1:3000", "[::1]:3000", port 0 for any free one; or "unix:/path".
    share_port: other processes of ours may listen there too.
    """

    def __init__(self, address: str, application: Application, body_limit: int, *, share_port: bool = False) -> None:
        self.address = address
        self.connections = Connections(body_limit)
        self._application = application
        self._share_port = share_port
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """From now on connections are accepted; `address` has the port. Raises AtollError PORT_TAKEN."""
        loop = asyncio.get_running_loop()
        if self.address.startswith("unix:"):
            path = Path(self.address.removeprefix("unix:"))
            remove_stale(path)
            self._server = await loop.create_unix_server(self._connect, str(path), backlog=BACKLOG)
            path.chmod(0o600)
            return
        host, port = split(self.address)
        try:
            self._server = await loop.create_server(
                self._connect, host, port, backlog=BACKLOG, reuse_port=self._share_port or None
            )
        except OSError as error:
            raise PORT_TAKEN.error(port=self.address) from error
        bound = self._server.sockets[0].getsockname()[1]
        self.address = f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"

    def _connect(self) -> Connection:
        return Connection(self._application, self.connections)

    def close(self) -> None:
        """Accept no more; the connections stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
            if self.address.startswith("unix:"):
                Path(self.address.removeprefix("unix:")).unlink(missing_ok=True)

    async def drain(self, timeout: float) -> bool:
        """Accept no more, answer what is there, close each connection after its answer. False if time ran out."""
        self.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.connections.drain()
        return not self.connections

    def abort(self) -> None:
        """Close everything now."""
        self.close()
        self.connections.abort()


def split(address: str) -> tuple[str, int]:
    """ "[::1]:3000" → ("::1", 3000)."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def remove_stale(path: Path | str) -> None:
    """The socket of a process that was killed stays behind."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(Path(path).stat().st_mode):
            Path(path).unlink()
