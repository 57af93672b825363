"""What a system is made of: the declaration rejects what is no member, and takes Protocols as contracts."""

from dataclasses import dataclass, field
from typing import Protocol

from atoll import Asgi, External, Gateway, Postgres, Process, Replicas, Secret, Service, System, get


@dataclass(frozen=True)
class Settings:
    tax_key: Secret = field(default_factory=lambda: Secret("tax-key"))


class Tax(Protocol):
    @get("/tax/{country}")
    async def rate(self, country: str) -> float: ...


class TaxService(Tax):
    def __init__(self, settings: Settings) -> None:
        self._key: str = settings.tax_key.reveal()

    async def rate(self, country: str) -> float:
        return float(len(self._key + country))


here = Service("here", TaxService, database=Postgres(migrations="migrations"), settings=Settings(), replicas=2)
lazy = Service("lazy", "package.module:Class", replicas=Replicas(2, 20))
page = Asgi("page", "shop.frontend:create", path="/", calls=[Tax, here])
node = Process("node", ["node", "server.js"], directory="node", contract=Tax, calls=[Tax])
paid = Process("paid", ["paid"], environment={"STRIPE_KEY": Secret("stripe-key"), "MODE": "fast"})
plain: dict[str, str] = {"MODE": "fast"}
admin = Asgi("admin", "shop.admin:app", path="/admin", environment=plain)
there = External("there", contract=Tax, url="https://tax.example")
shop = System("shop", services=[here, lazy, page, node, there], gateway=Gateway(expose=[page, here]))

Service("x", TaxService(Settings()))  # expect: arg-type | reportArgumentType
Service("x", TaxService, database="postgres://")  # expect: arg-type | reportArgumentType
Service("x", TaxService, replica=2)  # expect: call-arg | reportCallIssue
Process("x", "node server.js", port="80")  # expect: arg-type | reportArgumentType
Process("x", ["paid"], environment={"STRIPE_KEY": 3})  # expect: dict-item | reportArgumentType
System("x", services=[TaxService])  # expect: list-item | reportArgumentType
Gateway(expose=["here"])  # expect: list-item | reportArgumentType
here.name = "other"  # expect: misc | reportAttributeAccessIssue
