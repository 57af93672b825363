"""The rendered policies, evaluated by Kubernetes' rules, against the graph that they are made from."""

from itertools import product

from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import items, mapping
from atoll.wire.description import Description
from tests.kubernetes.targets import rendered, target_of

Labels = dict[str, object]


def matches(selector: object, labels: Labels) -> bool:
    """An empty selector is everybody; the ones here have matchLabels alone."""
    wanted = mapping(selector, "matchLabels")
    assert set(selector or ()) <= {"matchLabels"}  # type: ignore[call-overload]
    return all(labels.get(name) == value for name, value in wanted.items())


def allows(rules: list[Object], peers: str, other: Labels, port: int) -> bool:
    """Whether any rule lets the other pod of the same namespace through at the port."""
    for rule in rules:
        numbers = [each["port"] for each in items(rule, "ports") if each.get("protocol", "TCP") == "TCP"]
        if numbers and port not in numbers:
            continue
        if peers not in rule:
            return True
        for peer in items(rule, peers):
            elsewhere = mapping(peer, "namespaceSelector")
            if "ipBlock" in peer or elsewhere.get("matchLabels"):
                continue
            if matches(peer.get("podSelector"), other):
                return True
    return False


def may_connect(policies: list[Object], source: Labels, to: Labels, port: int) -> bool:
    """Kubernetes' rule: a pod that any policy of a direction selects is closed but for what some policy allows."""

    def is_open(direction: str, pod: Labels, peers: str, other: Labels) -> bool:
        chosen = [
            mapping(each, "spec")
            for each in policies
            if direction in mapping(each, "spec")["policyTypes"]  # type: ignore[operator]
            and matches(mapping(each, "spec")["podSelector"], pod)
        ]
        rules = [rule for spec in chosen for rule in items(spec, direction.lower())]
        return not chosen or allows(rules, peers, other, port)

    return is_open("Egress", source, "to", to) and is_open("Ingress", to, "from", source)


def pods(made: list[Object]) -> dict[str, tuple[Labels, tuple[int, ...]]]:
    """By the label `app`: the labels of the pods, and the ports at which they listen."""
    found: dict[str, tuple[Labels, tuple[int, ...]]] = {}
    for each in made:
        template = mapping(each, "spec", "template")
        if template:
            labels = mapping(template, "metadata", "labels")
            containers = items(template, "spec", "containers")
            ports = [port["containerPort"] for container in containers for port in items(container, "ports")]
            found[str(labels["app"])] = (labels, tuple(each for each in ports if isinstance(each, int)))
    return found


def expected(description: Description) -> set[tuple[str, str, int]]:
    """Said again, from the declaration alone: who calls whom, who has a database, who uses the broker."""
    port = {"users": 3000}
    edges = {
        (member.name, call.to, port.get(call.to, 8080))
        for member in description.members
        for call in member.calls
        if member.kind != "external"
    }
    for member in description.members:
        for pod in (member.name, f"{member.name}-prepare"):
            if member.database:
                edges.add((pod, "postgres", 5432))
            if member.publishes or member.consumes:
                edges.add((pod, "nats", 4222))
    assert description.gateway is not None
    for name in description.gateway.expose:
        edges |= {("gateway", name, port.get(name, 8080)), ("gateway", name, 8081)}
    return edges | {("setup", "postgres", 5432), ("figures", "postgres", 5432), ("figures", "nats", 8222)}


def test_exactly_the_edges_of_the_graph_are_open_both_ways(shop: Description) -> None:
    made = rendered(target_of(shop))
    policies = [each for each in made if each["kind"] == "NetworkPolicy"]
    known = pods(made)
    # Jobs have no ports, so pods that only come and go are sources alone. The gateway is open to everybody at its own.
    reached = {
        (source, to, port)
        for (source, (from_labels, _)), (to, (to_labels, ports)) in product(known.items(), known.items())
        if source != to
        for port in ports
        if may_connect(policies, from_labels, to_labels, port)
    }
    preparing = {f"{member.name}-prepare" for member in shop.members if not member.database and not member.publishes}
    assert {edge for edge in reached if edge[1] != "gateway"} == {
        edge for edge in expected(shop) if edge[0] not in preparing
    }
    # From inside, nobody has a rule that lets it out to the gateway.
    assert not {edge for edge in reached if edge[1] == "gateway"}


def test_a_stranger_in_the_namespace_reaches_the_gateway_alone_and_is_not_judged_by_us(shop: Description) -> None:
    made = rendered(target_of(shop))
    policies = [each for each in made if each["kind"] == "NetworkPolicy"]
    stranger: Labels = {"app": "stranger"}
    for app, (labels, ports) in pods(made).items():
        reached = {port for port in ports if may_connect(policies, stranger, labels, port)}
        assert reached == ({8080} if app == "gateway" else set())
        # What is ours asks nobody else's pods, and these are asked by whom they like.
        assert not may_connect(policies, labels, stranger, 8080)
    assert may_connect(policies, stranger, {"app": "another"}, 8080)


def test_prometheus_of_any_namespace_may_ask_for_metrics_and_for_nothing_else(shop: Description) -> None:
    made = rendered(target_of(shop))
    (rule,) = [
        rule
        for each in made
        if each["kind"] == "NetworkPolicy" and mapping(each, "metadata")["name"] == "payment"
        for rule in items(each, "spec", "ingress")
        if any("namespaceSelector" in peer for peer in items(rule, "from"))
    ]
    assert items(rule, "ports") == [{"protocol": "TCP", "port": 8081}]
    (peer,) = items(rule, "from")
    assert mapping(peer, "podSelector", "matchLabels") == {"app.kubernetes.io/name": "prometheus"}


def test_an_external_by_address_is_the_only_machine_outside_that_may_be_reached(shop: Description) -> None:
    import msgspec

    from atoll.wire.description import CallData, MemberData

    bank = MemberData(name="bank", kind="external", url="https://203.0.113.7:8443")
    members = tuple(
        msgspec.structs.replace(each, calls=(*each.calls, CallData("bank", "", "bank")))
        if each.name == "payment"
        else each
        for each in shop.members
    )
    made = rendered(target_of(msgspec.structs.replace(shop, members=(*members, bank))))
    (policy,) = [
        each for each in made if each["kind"] == "NetworkPolicy" and mapping(each, "metadata")["name"] == "payment"
    ]
    outside = [rule for rule in items(policy, "spec", "egress") if "ipBlock" in items(rule, "to")[0]]
    assert outside == [{"to": [{"ipBlock": {"cidr": "203.0.113.7/32"}}], "ports": [{"protocol": "TCP", "port": 8443}]}]
