"""aiohttp, as its documentation has it, with msgspec for the bodies."""

import contextlib

import aiohttp
import msgspec

from benchmarks.call.client import Calls, main
from benchmarks.endpoint.messages import NewOrder, Order

ENCODE = msgspec.json.Encoder().encode
DECODE = msgspec.json.Decoder(Order).decode


@contextlib.asynccontextmanager
async def connected(port: int) -> Calls:
    async with aiohttp.ClientSession(headers={"content-type": "application/json"}) as session:

        async def call(order: NewOrder) -> Order:
            async with session.post(f"http://127.0.0.1:{port}/orders/42", data=ENCODE(order)) as response:
                return DECODE(await response.read())

        yield call


if __name__ == "__main__":
    main(connected)
