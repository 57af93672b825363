"""The same request and answer for every contender."""

import msgspec


class Item(msgspec.Struct):
    sku: str
    qty: int


class NewOrder(msgspec.Struct):
    customer: str
    items: list[Item]


class Order(msgspec.Struct):
    id: str
    customer: str
    total: int


def answer(order_id: str, order: NewOrder) -> Order:
    return Order(order_id, order.customer, sum(item.qty for item in order.items))
