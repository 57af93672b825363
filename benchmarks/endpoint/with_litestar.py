"""The same endpoint with Litestar and msgspec, as its documentation has it."""

from litestar import Litestar, post

from benchmarks.endpoint.messages import NewOrder, Order, answer


@post("/orders/{order_id:str}", status_code=200)
async def place(order_id: str, data: NewOrder) -> Order:
    return answer(order_id, data)


app = Litestar([place])
