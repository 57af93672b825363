import msgspec

from atoll import Database, Postgres, Process, Secret, Service, System, every, get, post


class Order(msgspec.Struct):
    id: str


class Settings(msgspec.Struct):
    key: Secret


class Checkout:
    def __init__(self, database: Database, settings: Settings) -> None:
        self._given = (database, settings)

    @post("/orders", idempotency_key=True)
    async def place(self, order: Order) -> Order:
        return order

    @every(minutes=5)
    async def expire(self) -> None:
        str(self._given)


class Fine:
    @get("/fine")
    async def fine(self) -> str:
        return ""


shop = System(
    "shop",
    services=[
        Service("checkout", Checkout, settings=Settings(Secret("tax-key"))),
        Service("missing", Fine, database=Postgres(migrations="nowhere")),
        Service("gaps", Fine, database=Postgres(migrations="migrations_with_gaps")),
        Service("text", Fine, settings="text"),
        Process("paid", ["paid"], environment={"MODE": "fast", "STRIPE_KEY": Secret("stripe", key="api-key")}),
    ],
)
