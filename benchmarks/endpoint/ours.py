"""Ours, with everything on that a service has by default."""

from atoll import post
from benchmarks.endpoint.messages import NewOrder, Order, answer


class Orders:
    @post("/orders/{order_id}")
    async def place(self, order_id: str, order: NewOrder) -> Order:
        return answer(order_id, order)
