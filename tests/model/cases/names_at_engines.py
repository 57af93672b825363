from dataclasses import dataclass

from atoll import Postgres, Publisher, Service, System, Topic, consumes, get, publishes


@dataclass
class Happened:
    id: int


happened = Topic("happened", Happened)
dead = Topic("dead", Happened)


@publishes(happened, dead)
class Sending:
    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher

    @get("/sending")
    async def sending(self) -> str:
        return ""


class Hearing:
    @consumes(happened, idempotent=True)
    async def heard(self, event: Happened) -> None: ...


class Keeping:
    @get("/keeping")
    async def keeping(self) -> str:
        return ""


shop = System(
    "shop",
    services=[
        Service("sending", Sending),
        Service("admin", Hearing),
        Service("postgres", Keeping, database=Postgres()),
        Service("template1", Keeping, database=Postgres()),
        Service("public", Keeping, database=Postgres()),
        Service("pg-monitor", Keeping, database=Postgres()),
        # Those that ask no engine may be called so.
        Service("none", Keeping),
        Service("template0", Hearing),
    ],
)
