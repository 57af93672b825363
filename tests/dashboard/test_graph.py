"""What the map says of a system, from what was seen, what runs and what is declared."""

from atoll.collector.values import Edge, EdgeKind, Figures, Series, ServiceSummary
from atoll.dashboard.alertmanager import Alert, State
from atoll.dashboard.crowd import crowd
from atoll.dashboard.drawing import drawing
from atoll.dashboard.graph import LAGS, Graph, Link, Node, Seen, graph
from atoll.supervisor.status import ProcessStatus


def edge(caller: str, callee: str, kind: EdgeKind = "call", calls: int = 1000, errors: int = 0) -> Edge:
    return Edge(caller, callee, kind, Figures(calls, errors, calls / 60, errors / calls, 2.0, 9.0))


def series(name: str, service: str, value: float, **attributes: object) -> Series:
    said = {key.replace("__", "."): each for key, each in attributes.items()}
    return Series(name, service, f"{service}-1", "gauge", "", said, ((1, 0.0), (2, value)))


def node(found: Graph, name: str) -> Node:
    return next(each for each in found.nodes if each.name == name)


def link(found: Graph, caller: str, callee: str) -> Link:
    return next(each for each in found.links if (each.caller, each.callee) == (caller, callee))


def test_a_healthy_system_has_nothing_wrong() -> None:
    found = graph(Seen(edges=[edge("gateway", "checkout"), edge("checkout", "postgresql", "database")]))
    assert [each.name for each in found.nodes] == ["gateway", "checkout"]
    assert [store.name for store in node(found, "checkout").stores] == ["postgresql"]
    assert link(found, "gateway", "checkout").health == "good"
    assert found.wrong == ()


def test_a_failing_call_is_bad_and_leads_to_its_failing_traces() -> None:
    found = graph(Seen(edges=[edge("checkout", "payment", errors=500)]))
    assert link(found, "checkout", "payment").health == "bad"
    assert found.wrong == ("checkout → payment: 50 % of calls fail",)
    (drawn,) = drawing(crowd(found)).links
    assert drawn.href == "/traces?service=payment&failed=1"
    assert drawn.text == "17/s · 9.0 ms · 50 % fail"


def test_who_tells_nothing_of_itself_is_as_its_callers_see_it() -> None:
    ours = ServiceSummary("frontend", Figures(10, 0, 1.0, 0.0, 1.0, 2.0))
    edges = [edge("frontend", "recommendation", errors=500), edge("checkout", "recommendation", calls=500)]
    found = graph(Seen(services=[ours], edges=[*edges, edge("recommendation", "catalog")]))
    seen = node(found, "recommendation")
    assert (seen.by_callers, seen.health) == (True, "bad")
    assert (seen.figures.calls, seen.figures.errors, seen.figures.error_rate) == (1500, 500, 1 / 3)
    assert {each.node.name: each.says for each in drawing(crowd(found)).nodes} == {
        "frontend": "1.0/s · 2.0 ms",
        "recommendation": "25/s · 9.0 ms by callers",
        "checkout": "quiet",
        "catalog": "17/s · 9.0 ms by callers",
    }
    # It is told once, of the call.
    assert found.wrong == ("frontend → recommendation: 50 % of calls fail",)


def test_a_failure_now_and_then_is_only_a_warning() -> None:
    assert link(graph(Seen(edges=[edge("a", "b", errors=1)])), "a", "b").health == "warn"


def test_an_open_breaker_is_bad_though_nothing_fails() -> None:
    breakers = [series("atoll.client.breaker", "checkout", 2.0, destination="payment")]
    found = graph(Seen(edges=[edge("checkout", "payment")], breakers=breakers))
    assert (link(found, "checkout", "payment").health, link(found, "checkout", "payment").breaker) == ("bad", "open")
    assert found.wrong == ("checkout → payment: the breaker is open",)


def test_what_fails_by_itself_is_told_before_what_fails_with_it() -> None:
    edges = [edge("front", "checkout", errors=50), edge("checkout", "payment", errors=50), edge("front", "ads")]
    asked = [ServiceSummary(name, edges[0].figures) for name in ("front", "checkout", "payment")]
    wrong = graph(Seen(services=asked, edges=edges)).wrong
    told = ["payment", "checkout → payment", "checkout", "front → checkout", "front"]
    assert [each.partition(":")[0] for each in wrong] == told


def test_services_that_ask_each_other_in_vain_are_all_told() -> None:
    wrong = graph(Seen(edges=[edge("a", "b", errors=50), edge("b", "a", errors=50)])).wrong
    assert {each.partition(":")[0] for each in wrong} == {"a → b", "b → a"}


def test_of_everything_that_fails_the_breaker_beside_the_cause_is_told_first() -> None:
    breakers = [series("atoll.client.breaker", "payment", 2.0, destination="bank")]
    edges = [edge("front", "payment", errors=50), edge("payment", "bank", errors=50)]
    running = [ProcessStatus("front-1", "front", "service", "backing off", reason="exit status 1")]
    wrong = graph(Seen(edges=edges, breakers=breakers), running).wrong
    assert [each.partition(":")[0] for each in wrong] == ["payment → bank", "front", "front → payment"]
    assert wrong[0].endswith(", the breaker is open")


def test_a_half_open_breaker_is_bad_too_for_it_lets_a_call_a_second_through() -> None:
    breakers = [series("atoll.client.breaker", "checkout", 1.0, destination="payment")]
    found = graph(Seen(edges=[edge("checkout", "payment")], breakers=breakers))
    assert link(found, "checkout", "payment").health == "bad"
    assert found.wrong == ("checkout → payment: the breaker is half-open",)


def test_a_lagging_consumer_is_bad() -> None:
    lags = [series("messaging.consumer.lag", "email", LAGS, messaging__destination__name="order-placed")]
    edges = [edge("checkout", "order-placed", "publish"), edge("order-placed", "email", "consume")]
    found = graph(Seen(edges=edges, lags=lags))
    assert node(found, "order-placed").kind == "topic"
    assert found.wrong == (f"order-placed → email: {LAGS} events wait",)


def test_a_process_that_does_not_serve_is_bad_with_its_reason() -> None:
    running = (
        ProcessStatus("users-1", "users", "service", "ready"),
        ProcessStatus("users-2", "users", "service", "backing off", reason="exit status 1"),
    )
    found = node(graph(Seen(edges=[edge("gateway", "users")]), running), "users")
    assert found.replicas is not None
    assert (found.replicas.ready, found.replicas.all, found.health) == (1, 2, "bad")
    assert found.notes == ("users-2 is backing off: exit status 1",)


def test_what_is_left_out_is_no_alarm() -> None:
    running = [ProcessStatus("ads-1", "ads", "service", "left out", reason="node is missing")]
    assert node(graph(Seen(edges=[edge("gateway", "ads")]), running), "ads").notes == ()


def test_a_fault_on_purpose_is_told() -> None:
    running = [ProcessStatus("payment-1", "payment", "service", "ready", fault="answers 500 to 50%")]
    found = node(graph(Seen(edges=[edge("checkout", "payment")]), running), "payment")
    assert found.notes == ("payment-1 answers 500 to 50%, on purpose",)


def test_who_somebody_is_paged_for_is_bad_and_a_ticket_or_a_silenced_page_is_not() -> None:
    def alert(service: str, severity: str, state: str = "active") -> Alert:
        labels = {"alertname": "ErrorBudgetBurn", "service": service, "severity": severity}
        return Alert(labels, {"summary": f"{service} is too slow"}, status=State(state))

    alerts = [alert("a", "page"), alert("b", "ticket"), alert("c", "page", "suppressed"), alert("nats", "page")]
    found = graph(Seen(edges=[edge("a", "b"), edge("b", "c")]), alerts=alerts)
    assert {each.name: (each.health, each.alerts) for each in found.nodes} == {
        "a": ("bad", ("a is too slow",)),
        "b": ("good", ()),
        "c": ("good", ()),
    }
    assert found.alerts == ("a is too slow", "nats is too slow")
    assert found.wrong == ()


def test_the_gateway_is_envoy_to_the_supervisor() -> None:
    running = [ProcessStatus("envoy", "envoy", "engine", "ready")]
    found = node(graph(Seen(edges=[edge("gateway", "users")]), running), "gateway")
    assert found.replicas is not None
    assert found.replicas.ready == 1


def test_a_service_that_only_served_stands_there_too() -> None:
    found = graph(Seen(services=[ServiceSummary("jobs", Figures(1, 0, 0.1, 0.0, 1.0, 1.0))]))
    assert node(found, "jobs").figures.calls == 1
