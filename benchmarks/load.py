"""A load generator that costs less than any server: fixed request bytes, answers counted by their size.

python -m benchmarks.load PORT SECONDS CONNECTIONS FILE-WITH-THE-REQUEST; prints the number of answers.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import cast

import uvloop


class Connection(asyncio.Protocol):
    """Sends the request, waits for the answer, sends it again. Every answer must be as long as the first."""

    def __init__(self, request: bytes, size: int) -> None:
        self._request, self._size = request, size
        self._have = 0
        self.answers = 0
        self.failed = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._have += len(data)
        if self._have >= self._size:
            if self._have > self._size or not data.rstrip().endswith(b"}"):
                self.failed = f"an answer of {self._have} bytes instead of {self._size}"
                self._transport.close()
                return
            self._have = 0
            self.answers += 1
            self._transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        self.failed = self.failed or (f"the connection ended: {error}" if error else "")


async def answer_size(port: int, request: bytes) -> int:
    """How long one whole answer is. Raises RuntimeError if it is none with status 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise RuntimeError(f"not what was expected: {head.decode()}")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    body = await reader.readexactly(int(length.split(b":")[1]))
    writer.close()
    return len(head) + len(body)


async def load(port: int, seconds: float, connections: int, request: bytes) -> int:
    """Answers within so many seconds, over so many connections at once."""
    size = await answer_size(port, request)
    loop = asyncio.get_running_loop()
    pairs = [
        await loop.create_connection(lambda: Connection(request, size), "127.0.0.1", port) for _ in range(connections)
    ]
    started = time.perf_counter()
    await asyncio.sleep(seconds)
    answers = sum(connection.answers for _, connection in pairs)
    elapsed = time.perf_counter() - started
    failed = [connection.failed for _, connection in pairs if connection.failed]
    for transport, _ in pairs:
        transport.abort()
    if failed:
        raise RuntimeError(f"{len(failed)} of {connections} connections failed: {failed[0]}")
    return round(answers * seconds / elapsed)


if __name__ == "__main__":
    print(uvloop.run(load(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]).read_bytes())))
