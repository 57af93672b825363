"""The gateway of a plan."""

from dataclasses import replace

import msgspec

from atoll.engines.declared import routes_of
from atoll.provision.issuer import LOCAL_ISSUER
from atoll.supervisor.gateway import gateway_of
from atoll.wire.description import IssuerData
from tests.supervisor.described import sample
from tests.supervisor.test_plan import make


def test_every_operation_of_an_exposed_contract_has_a_route_with_its_name() -> None:
    greeter = sample().member("greeter")
    assert greeter is not None
    found = {(route.methods, route.path): route.operation for route in routes_of(sample(), greeter)}
    assert found == {(("GET",), "/hello/{name}"): "greeter.hello", (("GET",), "/heard"): "greeter.heard"}


def test_a_program_without_a_contract_has_all_that_is_below_its_path() -> None:
    echo = sample().member("echo")
    assert echo is not None
    (route,) = routes_of(sample(), echo)
    assert (route.path, route.prefix, route.methods) == ("/echo", True, ())


def test_only_what_serves_is_an_endpoint_and_its_health_is_asked_where_it_answers() -> None:
    made = make(sample())
    counter, echo = made.process("counter-1"), made.process("echo-1")
    assert counter is not None
    assert echo is not None
    gateway = gateway_of(made, {"counter-1": counter.admin[1], "echo-1": echo.port})
    clusters = {cluster.name: cluster for cluster in gateway.clusters}
    assert clusters["greeter"].endpoints == ()
    assert [(each.port, each.health_port) for each in clusters["counter"].endpoints] == [
        (counter.port, counter.admin[1])
    ]
    assert [(each.port, each.health_port) for each in clusters["echo"].endpoints] == [(echo.port, 0)]
    assert clusters["echo"].health_path == "/health"


def test_this_machines_own_issuer_makes_tokens_for_whom_the_declared_ones_do() -> None:
    made = make(sample())
    gateway = made.description.gateway
    assert gateway is not None
    remote = IssuerData("https://login.example", "shop", url="https://login.example/keys")
    known = msgspec.structs.replace(gateway, issuers=(remote, IssuerData("https://b.example", "shop", "{}")))
    plan = replace(made, description=msgspec.structs.replace(made.description, gateway=known), local_keys='{"keys":[]}')
    here = [(each.issuer, each.audience) for each in gateway_of(plan, {}).policy.access.issuers]
    assert here == [("https://b.example", "shop"), (LOCAL_ISSUER, "shop")], "nobody vouches for the address's owner"
    trusting = gateway_of(replace(plan, certificates="/etc/authorities.pem"), {}).policy.access
    assert [each.issuer for each in trusting.issuers] == ["https://login.example", "https://b.example", LOCAL_ISSUER]
    assert gateway_of(made, {}).policy.access.issuers == ()
