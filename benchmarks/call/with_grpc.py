"""grpc.aio, with msgspec in place of protobuf: its transport is what is measured."""

import contextlib

import grpc.aio
import msgspec

from benchmarks.call.client import Calls, main
from benchmarks.endpoint.messages import NewOrder, Order

METHOD = "/benchmark.Orders/Place"


@contextlib.asynccontextmanager
async def connected(port: int) -> Calls:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        place = channel.unary_unary(
            METHOD,
            request_serializer=msgspec.msgpack.Encoder().encode,
            response_deserializer=msgspec.msgpack.Decoder(Order).decode,
        )

        async def call(order: NewOrder) -> Order:
            answered: Order = await place(order)
            return answered

        yield call


if __name__ == "__main__":
    main(connected)
