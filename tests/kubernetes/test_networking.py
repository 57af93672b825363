"""The rendered policies, evaluated by Kubernetes' rules, against the graph that they are made from."""

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import product

import pytest

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


@dataclass(frozen=True)
class Pod:
    """Of any namespace; address: of its machine, where that is what it is known by."""

    labels: Labels
    namespace: str = "shop"
    address: str = ""

    @property
    def of_namespace(self) -> Labels:
        return {"kubernetes.io/metadata.name": self.namespace}


def is_meant(peer: Object, other: Pod, own: str) -> bool:
    """Whether a peer of a rule is the other pod. own: the policy's namespace, where pods are looked for by default."""
    if "ipBlock" in peer:
        (cidr,) = mapping(peer, "ipBlock").values()
        return bool(other.address) and ip_address(other.address) in ip_network(str(cidr))
    if "namespaceSelector" in peer:
        return matches(peer["namespaceSelector"], other.of_namespace) and matches(peer.get("podSelector"), other.labels)
    return other.namespace == own and matches(peer["podSelector"], other.labels)


def allows(rules: list[Object], peers: str, other: Pod, own: str, port: int, protocol: str) -> bool:
    """Whether any rule lets the other pod through at the port."""
    for rule in rules:
        ports = [(each["port"], each.get("protocol", "TCP")) for each in items(rule, "ports")]
        is_port = not ports or (port, protocol) in ports
        if is_port and (peers not in rule or any(is_meant(peer, other, own) for peer in items(rule, peers))):
            return True
    return False


def may_connect(
    policies: list[Object], source: Pod | Labels, to: Pod | Labels, port: int, protocol: str = "TCP"
) -> bool:
    """Kubernetes' rule: a pod that any policy of a direction selects is closed but for what some policy allows.

    Labels alone are of a pod of the system's own namespace.
    """
    begins, ends = (each if isinstance(each, Pod) else Pod(each) for each in (source, to))

    def is_open(direction: str, pod: Pod, peers: str, other: Pod) -> bool:
        chosen = [
            mapping(each, "spec")
            for each in policies
            if direction in mapping(each, "spec")["policyTypes"]  # type: ignore[operator]
            and mapping(each, "metadata")["namespace"] == pod.namespace
            and matches(mapping(each, "spec")["podSelector"], pod.labels)
        ]
        rules = [rule for spec in chosen for rule in items(spec, direction.lower())]
        return not chosen or allows(rules, peers, other, pod.namespace, port, protocol)

    return is_open("Egress", begins, "to", ends) and is_open("Ingress", ends, "from", begins)


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
        if may_connect(policies, Pod(from_labels), Pod(to_labels), port)
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
    stranger = Pod({"app": "stranger"})
    for app, (labels, ports) in pods(made).items():
        reached = {port for port in ports if may_connect(policies, stranger, Pod(labels), port)}
        assert reached == ({8080} if app == "gateway" else set())
        # What is ours asks nobody else's pods, and these are asked by whom they like.
        assert not may_connect(policies, Pod(labels), stranger, 8080)
    assert may_connect(policies, stranger, Pod({"app": "another"}), 8080)


PROMETHEUS = Pod({"app.kubernetes.io/name": "prometheus"}, "monitoring")
PROMETHEUS_TOO = Pod({"app.kubernetes.io/name": "prometheus"}, "elsewhere")
ALLOY = Pod({"app.kubernetes.io/name": "alloy"}, "monitoring")
AGENT = Pod({}, "kube-system", "10.0.0.7")


@pytest.mark.parametrize(
    ("monitoring", "let_in"),
    [
        ({}, [PROMETHEUS, PROMETHEUS_TOO]),
        ({"from": ["monitoring/app.kubernetes.io/name=prometheus"]}, [PROMETHEUS]),
        ({"from": ["*/app.kubernetes.io/name=alloy"]}, [ALLOY]),
        ({"from": ["monitoring/app.kubernetes.io/name=alloy", "10.0.0.0/24"]}, [ALLOY, AGENT]),
        ({"kind": "none", "from": []}, []),
    ],
)
def test_who_reads_figures_may_ask_for_them_and_for_nothing_else_and_nobody_else_may(
    shop: Description, monitoring: dict[str, object], let_in: list[Pod]
) -> None:
    made = rendered(target_of(shop, monitoring=monitoring))
    policies = [each for each in made if each["kind"] == "NetworkPolicy"]
    known = pods(made)
    pages = {"payment": 8081, "gateway": 8081, **({"figures": 8081} if "figures" in known else {})}
    for app, page in pages.items():
        labels, ports = known[app]
        for other in (PROMETHEUS, PROMETHEUS_TOO, ALLOY, AGENT, Pod({"app": "stranger"}, "monitoring")):
            open_ports = {port for port in ports if may_connect(policies, other, Pod(labels), port)}
            customers = {8080} if app == "gateway" else set()
            assert open_ports == customers | ({page} if other in let_in else set()), (app, other)


KUBE_DNS = Pod({"k8s-app": "kube-dns"}, "kube-system")
NODE_LOCAL = Pod({"k8s-app": "node-local-dns"}, "kube-system", "169.254.20.10")
OPENSHIFT = Pod({"dns.operator.openshift.io/daemonset-dns": "default"}, "openshift-dns")


@pytest.mark.parametrize(
    ("written", "answering", "port", "silent"),
    [
        (None, [KUBE_DNS], 53, [NODE_LOCAL, OPENSHIFT]),
        (["kube-system/k8s-app=kube-dns", "169.254.20.10"], [KUBE_DNS, NODE_LOCAL], 53, [OPENSHIFT]),
        (["169.254.0.0/16"], [NODE_LOCAL], 53, [KUBE_DNS, OPENSHIFT]),
        (["openshift-dns/dns.operator.openshift.io/daemonset-dns=default:5353"], [OPENSHIFT], 5353, [KUBE_DNS]),
        (["[fd00::10]:5353"], [Pod({}, "elsewhere", "fd00::10")], 5353, [KUBE_DNS, Pod({}, "elsewhere", "fd00::11")]),
    ],
)
def test_every_pod_may_ask_who_answers_for_names_and_nobody_else(
    shop: Description, written: list[str] | None, answering: list[Pod], port: int, silent: list[Pod]
) -> None:
    made = rendered(target_of(shop, **({"cluster": {"dns": written}} if written else {})))
    policies = [each for each in made if each["kind"] == "NetworkPolicy"]
    for labels, _ in pods(made).values():
        for protocol in ("UDP", "TCP"):
            assert all(may_connect(policies, Pod(labels), each, port, protocol) for each in answering)
            assert not any(may_connect(policies, Pod(labels), each, port, protocol) for each in silent)
        assert not any(may_connect(policies, Pod(labels), each, 9153, "UDP") for each in answering)
    # One of the same labels that is somebody's own is no name server.
    assert not may_connect(policies, Pod(labels), Pod({"k8s-app": "kube-dns"}), 53, "UDP")


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
