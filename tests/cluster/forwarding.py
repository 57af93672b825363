"""Connections to a registry under one name that this machine and the cluster's Docker both know."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def forwarded(address: tuple[str, int], to: tuple[str, int]) -> Iterator[None]:
    """What connects to `address` here, speaks with `to`."""

    class Pass(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(to, timeout=60) as far:
                back = threading.Thread(target=_copy, args=(far, self.request))
                back.start()
                _copy(self.request, far)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        # Connections of a run just before this one keep the port for a minute otherwise.
        allow_reuse_address = True

    with Server(address, Pass) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def _copy(source: socket.socket, place: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            place.sendall(content)
    with suppress(OSError):
        place.shutdown(socket.SHUT_WR)
