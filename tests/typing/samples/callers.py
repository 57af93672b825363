"""Who calls, and how often: the gateway's policies, and the caller as a service has it."""

from typing import Protocol

from atoll import ApiKeys, Caller, Cors, Gateway, Jwt, RateLimit, Secret, Service, System, get, post


class Desk(Protocol):
    @get("/me", public=True)
    async def me(self) -> str: ...

    @post("/orders", scopes=["orders:write"])
    async def place(self) -> None: ...


class DeskService(Desk):
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def me(self) -> str:
        return self._caller.subject

    async def place(self) -> None:
        allowed: frozenset[str] = self._caller.scopes
        assert allowed
        self._caller.subject = "root"  # expect: misc | reportAttributeAccessIssue


desk = Service("desk", DeskService)
tokens = Jwt(issuer="https://login.example", audience="desk", jwks="https://login.example/jwks.json")
keys = ApiKeys(Secret("api-keys"), scopes={"partner": ["orders:write"]})
limits = [RateLimit("20/s", per="client"), RateLimit("600/min", per="token", burst=20)]
System("one", services=[desk], gateway=Gateway([desk], auth=tokens, public=[desk], rate_limits=limits))
System("two", services=[desk], gateway=Gateway([desk], auth=[tokens, keys], cors=Cors(["https://shop.example"])))

get("/x", scopes="orders:write", public="yes")  # expect: arg-type | reportArgumentType
RateLimit("20/s", per="country")  # expect: arg-type | reportArgumentType
Jwt(issuer="https://login.example")  # expect: call-arg | reportCallIssue
ApiKeys("api-keys")  # expect: arg-type | reportArgumentType
Gateway([desk], auth="bearer")  # expect: arg-type | reportArgumentType
