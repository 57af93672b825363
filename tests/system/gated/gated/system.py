"""A system whose gateway knows its callers. The issuer's public keys are in keys.json, which each test makes."""

from atoll import ApiKeys, Asgi, Cors, Gateway, Jwt, Limits, RateLimit, Secret, Service, System
from gated.services import DeskService, LedgerService

desk = Service("desk", DeskService)
ledger = Service("ledger", LedgerService)
echo = Asgi("echo", "gated.echo:app", path="/echo", limits=Limits(deadline=0.5))
office = Asgi("office", "gated.echo:app", path="/office")
shut = Asgi("shut", "gated.shut:app", path="/shut")

system = System(
    "gated",
    services=[desk, ledger, echo, office, shut],
    gateway=Gateway(
        expose=[desk, echo, office, shut],
        auth=[
            Jwt(issuer="https://login.gated.example", audience="desk", jwks="keys.json"),
            ApiKeys(Secret("api-keys"), scopes={"partner": ["orders:write"]}),
        ],
        public=[echo, shut],
        rate_limits=[RateLimit("200/s", per="client"), RateLimit("5/min", per="token")],
        cors=Cors(["https://shop.example"]),
        body=10_000,
        headers=8_192,
    ),
)
