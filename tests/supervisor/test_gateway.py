"""The gateway of a plan."""

from atoll.engines.declared import routes_of
from atoll.supervisor.gateway import gateway_of
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
