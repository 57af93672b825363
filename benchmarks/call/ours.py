"""Ours, with everything on that a call has by default: deadline, breaker, bulkhead, retries, trace, span, balancing."""

import contextlib
from typing import Protocol, cast

from atoll import post
from atoll.model.contract import read_contract
from atoll.runtime.client import Destination, client_of
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.metrics import Metrics
from atoll.runtime.telemetry.traces import Recorder
from benchmarks.call.client import Calls, main
from benchmarks.endpoint.messages import NewOrder, Order


class Orders(Protocol):
    @post("/orders/{order_id}")
    async def place(self, order_id: str, order: NewOrder) -> Order: ...


@contextlib.asynccontextmanager
async def connected(port: int) -> Calls:
    telemetry = Telemetry(Recorder(), Metrics(), "benchmark", "benchmark-1")
    destination = Destination("orders", [f"http://127.0.0.1:{port}"], telemetry)
    await destination.open()
    contract, _ = read_contract(Orders)
    orders = cast(Orders, client_of(contract, destination))

    async def call(order: NewOrder) -> Order:
        return await orders.place("42", order)

    try:
        yield call
    finally:
        await destination.close()


if __name__ == "__main__":
    main(connected)
