"""Who calls a service: told to its handlers, and looked at where an operation asks for scopes."""

import json

import msgspec
import pytest

from atoll import Caller, get, post
from atoll.runtime.context import CurrentCaller
from tests.runtime.raw import served


class Refund(msgspec.Struct):
    order: str


class Till:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.refunds = 0

    @get("/who")
    async def who(self) -> list[str]:
        return [self._caller.subject, *sorted(self._caller.scopes)]

    @post("/refunds", scopes=["orders:write", "refunds:write"])
    async def refund(self, refund: Refund) -> str:
        self.refunds += 1
        return refund.order


async def test_a_handler_knows_who_calls() -> None:
    async with served(Till(CurrentCaller())) as till:
        known = await till.ask("GET", "/who", x_atoll_subject="ada", x_atoll_scopes="b a")
        unknown = await till.ask("GET", "/who")
        # As Envoy sends what is no Latin text: UTF-8.
        of_any_language = await till.ask("GET", "/who", x_atoll_subject="李")
    told = [json.loads(answer.body) for answer in (known, unknown, of_any_language)]
    assert told == [["ada", "a", "b"], [""], ["李"]]


@pytest.mark.parametrize(
    "scopes", ["", "orders:write", "refunds:write", "orders:writer refunds:write", "orders:write,refunds:write"]
)
async def test_who_lacks_a_scope_is_refused_before_anything_is_read(scopes: str) -> None:
    service = Till(CurrentCaller())
    async with served(service) as till:
        answer = await till.ask("POST", "/refunds", b"no JSON", x_atoll_subject="ada", x_atoll_scopes=scopes)
    assert (answer.status, answer.json["type"]) == (403, "urn:atoll:problem:forbidden")
    assert service.refunds == 0


async def test_who_has_all_scopes_is_served() -> None:
    async with served(Till(CurrentCaller())) as till:
        scopes = "x refunds:write orders:write"
        answer = await till.ask("POST", "/refunds", {"order": "7"}, x_atoll_subject="ada", x_atoll_scopes=scopes)
    assert (answer.status, answer.body) == (200, b'"7"')


async def test_outside_of_any_work_nobody_calls() -> None:
    assert (CurrentCaller().subject, CurrentCaller().scopes) == ("", frozenset())
