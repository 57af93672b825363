"""A gateway that knows no callers, and what asks for them all the same."""

from atoll import Cors, Gateway, RateLimit, Service, System, get, post


class Desk:
    @get("/orders", scopes=["orders:read"])
    async def orders(self) -> list[str]:
        return []

    @post("/orders", scopes=["orders:write", "two words"])
    async def place(self) -> None:
        return None

    @get("/hours", scopes=["hours"], public=True)
    async def hours(self) -> str:
        return ""


desk = Service("desk", Desk)
cellar = Service("cellar", Desk)

system = System(
    "shop",
    services=[desk],
    gateway=Gateway(
        expose=[desk],
        public=[desk, cellar],
        rate_limits=[
            RateLimit("20/s", per="token"),
            RateLimit("20/day"),
            RateLimit("10/s", per="country"),  # type: ignore[arg-type]
            RateLimit("10/s", burst=-1),
        ],
        cors=Cors(["*", "shop.example"], credentials=True, headers=["no header"]),
        body=0,
        headers=100,
    ),
)
