"""The office of the boutique: a FastAPI application as anyone would have written it, without a word of atoll.

It asks the other services over plain HTTP and JSON, at the addresses in its environment. It is read-only, and shows
nothing by which a customer could be recognised, for nobody has to log in here yet.
"""

import html
import json
import os
from typing import Annotated, Any
from urllib.parse import urlencode
from urllib.request import urlopen

from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel

from .money import Money

PATIENCE = 2.5

app = FastAPI(title="Sandpiper, the office")


class Amount(BaseModel):
    """So many of a currency's smallest units."""

    currency: str
    minor: int


class Audit(BaseModel):
    """What became of an order: each charge, each parcel's number, and the kind of each mail."""

    order_id: str
    status: str
    total: Amount
    charges: list[Amount]
    shipments: list[str]
    mails: list[str]


def ask(service: str, path: str, **query: Any) -> Any:
    """The JSON answer of another service; its address comes from the environment."""
    url = os.environ[f"{service.upper()}_URL"] + path
    with urlopen(f"{url}?{urlencode(query, doseq=True)}", timeout=PATIENCE) as answer:  # noqa: S310 - our own services
        return json.load(answer)


@app.exception_handler(OSError)
def unreachable(_: Request, error: OSError) -> JSONResponse:
    """A service that does not answer is not a failure of the office."""
    return JSONResponse({"detail": f"A service does not answer: {error}"}, status_code=503)


@app.get("/", response_class=HTMLResponse)
def office() -> str:
    """The latest orders and how many users there are."""
    orders, users = ask("checkout", "/orders", limit=50), ask("users", "/users", limit=100)
    rows = "".join(
        f"<tr><td>{order['placed_at'][:19].replace('T', ' ')}<td><code>{order['id'][:8]}</code>"
        f"<td>{html.escape(order['address']['country'])}<td class=n>{sum(line['quantity'] for line in order['lines'])}"
        f"<td class=n>{Money(**order['total'])}"
        f"<td class={order['status']}>{order['status']}"
        for order in orders
    )
    count = f"{len(users)} users" if len(users) < 100 else "100 users or more"
    return PAGE.format(rows=rows, orders=len(orders), users=count)


@app.get("/orders")
def orders(limit: Annotated[int, Query(ge=1, le=100)] = 50) -> list[dict[str, Any]]:
    """The latest orders, without the people."""
    shown = ("status", "total", "placed_at")
    return [
        {"id": order["id"][:8], **{name: order[name] for name in shown}}
        for order in ask("checkout", "/orders", limit=limit)
    ]


@app.get("/audit")
def audit(order_id: Annotated[list[str], Query(max_length=50)]) -> list[Audit]:
    """Whether these orders were paid, sent and mailed. Only who knows the id of an order can ask about it."""
    charges = ask("payment", "/charges", order_ids=order_id)
    shipments = ask("shipping", "/shipments", order_ids=order_id)
    mails = ask("email", "/mails", order_ids=order_id)
    found = []
    for each in order_id:
        order = ask("checkout", f"/orders/{each}")
        found.append(
            Audit(
                order_id=each,
                status=order["status"],
                total=order["total"],
                charges=[charge["amount"] for charge in charges if charge["order_id"] == each],
                shipments=[shipment["tracking"] for shipment in shipments if shipment["order_id"] == each],
                mails=[mail["kind"] for mail in mails if mail["order_id"] == each],
            )
        )
    return found


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>The office · Sandpiper</title>
<style>
  :root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
  body {{ max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }}
  table {{ border-collapse: collapse; width: 100%; }}
  th, td {{ text-align: left; padding: .45rem .6rem; border-bottom: 1px solid #8884; }}
  .n {{ text-align: right; font-variant-numeric: tabular-nums; }}
  .confirmed {{ color: #2a9d6f; }} .declined {{ color: #d0553a; }} .pending {{ color: #b8860b; }}
</style>
<h1>The office</h1>
<p>{users}, and the last {orders} orders:</p>
<table><tr><th>Placed<th>Order<th>To<th class=n>Things<th class=n>Total<th>Status</tr>{rows}</table>
"""
