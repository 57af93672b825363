"""What every client program does: so many calls, so many at once, and the CPU that one costs."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import uvloop

from benchmarks.endpoint.messages import Item, NewOrder, Order

ORDER = NewOrder("ada", [Item("a", 2), Item("b", 3)])
WARM = 30

Call = Callable[[NewOrder], Awaitable[Order]]
Connected = Callable[[int], AbstractAsyncContextManager[Call]]
Calls = AsyncIterator[Call]


async def measured(connected: Connected, port: int, calls: int, concurrency: int) -> float:
    """CPU microseconds a call, of this whole process. Every answer is looked at."""

    async def worker(call: Call, count: int) -> None:
        for _ in range(count):
            order = await call(ORDER)
            if order.total != 5:
                raise RuntimeError(f"a wrong answer: {order}")

    async with connected(port) as call:
        await asyncio.gather(*[worker(call, WARM) for _ in range(concurrency)])
        each = calls // concurrency
        before = time.process_time()
        await asyncio.gather(*[worker(call, each) for _ in range(concurrency)])
        return (time.process_time() - before) / (each * concurrency) * 1e6


def main(connected: Connected) -> None:
    port, calls, concurrency = (int(word) for word in sys.argv[1:4])
    print(uvloop.run(measured(connected, port, calls, concurrency)))
