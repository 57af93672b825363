"""httpx, as its documentation has it, with msgspec for the bodies."""

import contextlib

import httpx
import msgspec

from benchmarks.call.client import Calls, main
from benchmarks.endpoint.messages import NewOrder, Order

ENCODE = msgspec.json.Encoder().encode
DECODE = msgspec.json.Decoder(Order).decode


@contextlib.asynccontextmanager
async def connected(port: int) -> Calls:
    async with httpx.AsyncClient(headers={"content-type": "application/json"}) as client:

        async def call(order: NewOrder) -> Order:
            response = await client.post(f"http://127.0.0.1:{port}/orders/42", content=ENCODE(order))
            return DECODE(response.content)

        yield call


if __name__ == "__main__":
    main(connected)
