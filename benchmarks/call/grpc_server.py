"""The server that the gRPC client calls."""

import asyncio
import sys

import grpc.aio
import msgspec

from benchmarks.endpoint.messages import NewOrder, Order, answer


async def place(order: NewOrder, context: object) -> Order:
    del context
    return answer("42", order)


async def main(port: int) -> None:
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        place,
        request_deserializer=msgspec.msgpack.Decoder(NewOrder).decode,
        response_serializer=msgspec.msgpack.Encoder().encode,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("benchmark.Orders", {"Place": handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
