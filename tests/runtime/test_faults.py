"""Faults on purpose: what is asked for at the admin port happens to requests, and nothing more."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from atoll import get
from atoll.model.launch import FaultOrder, InjectedFault
from atoll.model.references import Literal
from atoll.runtime.faults import Faults
from tests.runtime import asgi_applications as applications
from tests.runtime.raw import Peer, served
from tests.runtime.test_asgi import made, serving
from tests.runtime.test_host import ask, launch_of, running

TOKEN = "t0ken"


class Numbers:
    @get("/one")
    async def one(self) -> int:
        return 1

    @get("/all")
    async def all(self) -> AsyncIterator[int]:
        for number in (1, 2):
            yield number


def order(fault: InjectedFault, token: str = TOKEN) -> bytes:
    return msgspec.json.encode(FaultOrder(token, fault))


def alternating() -> Iterator[float]:
    while True:
        yield from (0.1, 0.9)


async def test_the_asked_share_of_requests_is_answered_500_with_its_own_name() -> None:
    draws = alternating()
    faults = Faults(TOKEN, InjectedFault(errors=0.5), lambda: next(draws))
    async with served(Numbers(), faults=faults) as server:
        answers = [await server.ask("GET", "/one") for _ in range(4)]
        assert [answer.status for answer in answers] == [500, 200, 500, 200]
        assert answers[0].json["type"] == "urn:atoll:problem:injected"
        # It is measured and recorded as any answer of the operation.
        page = server.telemetry.metrics.render()
        labels = 'http_request_method="GET",http_response_status_code="500",http_route="/one"'
        assert f"http_server_request_duration_seconds_count{{{labels}}} 2" in page
        assert [span.error for span in server.telemetry.recorder.take()] == ["Injected", "", "Injected", ""]


async def test_a_fault_comes_and_goes_while_the_service_serves_also_for_streams() -> None:
    faults = Faults(TOKEN)
    async with served(Numbers(), faults=faults) as server, await server.peer() as peer:
        assert (await peer.ask("GET", "/one")).status == 200
        assert faults.order(order(InjectedFault(errors=1.0))) is None
        assert (await peer.ask("GET", "/one")).status == 500
        assert (await peer.ask("GET", "/all")).status == 500
        assert faults.order(order(InjectedFault(latency=0.05))) is None
        start = time.monotonic()
        assert (await peer.ask("GET", "/all")).body == b"data: 1\n\ndata: 2\n\n"
        assert (await peer.ask("GET", "/one")).body == b"1"
        # The loop counts whole milliseconds.
        assert time.monotonic() - start >= 0.098
        assert faults.order(order(InjectedFault())) is None
        assert (await peer.ask("GET", "/one")).status == 200


async def test_being_late_ends_with_the_deadline() -> None:
    async with served(Numbers(), faults=Faults(TOKEN, InjectedFault(latency=5.0)), patience=0.05) as server:
        assert (await server.ask("GET", "/one")).status == 504


async def test_an_application_of_asgi_suffers_too() -> None:
    this = made(applications.app)
    async with serving(this) as listener, await Peer.connect(listener.address) as peer:
        assert this.faults.order(order(InjectedFault(errors=1.0), "")) is not None, "nobody may, without a token"
        this.faults.fault = InjectedFault(errors=1.0)
        answer = await peer.ask("GET", "/hello/ada")
        this.faults.fault = InjectedFault()
        assert (answer.status, answer.json["type"]) == (500, "urn:atoll:problem:injected")
        assert (await peer.ask("GET", "/hello/ada")).status == 200


async def test_the_admin_port_takes_orders_with_the_token_of_the_launch_document_alone(tmp_path: Path) -> None:
    launch = launch_of(tmp_path, fault=InjectedFault(errors=1.0), fault_token=Literal(TOKEN))
    async with running(tmp_path, launch) as hello, await Peer.connect(hello.admin) as admin:
        assert (await ask(hello.address, "/hello/ada"))[0] == 500
        off = order(InjectedFault())
        assert (await admin.ask("PUT", "/fault", order(InjectedFault(), "guess"))).status == 403
        assert (await admin.ask("PUT", "/fault", b"off")).status == 400
        assert (await admin.ask("PUT", "/fault", {"token": TOKEN, "fault": {"errors": 2}})).status == 400
        assert (await ask(hello.address, "/hello/ada"))[0] == 500
        assert json.loads((await admin.ask("PUT", "/fault", off)).body) == {"errors": 0.0, "latency": 0.0}
        assert await ask(hello.address, "/hello/ada") == (200, "Hi, ada")
        assert await hello.end() == 0


async def test_without_a_token_there_is_nothing_to_order(tmp_path: Path) -> None:
    async with running(tmp_path, launch_of(tmp_path)) as hello, await Peer.connect(hello.admin) as admin:
        assert (await admin.ask("PUT", "/fault", order(InjectedFault(errors=1.0), ""))).status == 404
        assert await ask(hello.address, "/hello/ada") == (200, "Hi, ada")
        assert await hello.end() == 0
