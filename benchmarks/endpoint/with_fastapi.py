"""The same endpoint with FastAPI and pydantic, as its documentation has it."""

import pydantic
from fastapi import FastAPI

app = FastAPI()


class Item(pydantic.BaseModel):
    sku: str
    qty: int


class NewOrder(pydantic.BaseModel):
    customer: str
    items: list[Item]


class Order(pydantic.BaseModel):
    id: str
    customer: str
    total: int


@app.post("/orders/{order_id}")
async def place(order_id: str, order: NewOrder) -> Order:
    return Order(id=order_id, customer=order.customer, total=sum(item.qty for item in order.items))
