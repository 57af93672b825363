"""A gateway that can't verify what it asks for."""

from atoll import ApiKeys, Cors, Gateway, Jwt, Secret, Service, System, get


class Desk:
    @get("/orders", scopes=["orders:read"])
    async def orders(self) -> list[str]:
        return []


desk = Service("desk", Desk)

system = System(
    "shop",
    services=[desk],
    gateway=Gateway(
        expose=[desk],
        auth=[
            Jwt(issuer="https://one.example", audience="", jwks="https://one.example/keys"),
            Jwt(issuer="https://two.example", audience="shop", jwks="http://two.example/keys"),
            Jwt(issuer="https://three.example", audience="shop", jwks="missing.json"),
            Jwt(issuer="https://four.example", audience="shop", jwks="callers.py"),
            Jwt(issuer="https://five.example", audience="shop", jwks="callers_private.json"),
            ApiKeys(Secret("api-keys"), header="authorization"),
            ApiKeys(Secret("api-keys"), scopes={"Partner 1": ["orders read"]}),
        ],
        cors=Cors([]),
    ),
)
