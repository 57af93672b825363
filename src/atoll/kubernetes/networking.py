"""Who may speak with whom: nobody, but for the edges of the call graph, the engines, DNS, the gateway, and metrics."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from atoll.engines.declared import exposed, uses_broker
from atoll.kubernetes.monitoring import watches_engines
from atoll.kubernetes.names import (
    ADMIN_PORT,
    COLLECTOR,
    FIGURES,
    GATEWAY,
    GATEWAY_ADMIN_PORT,
    GATEWAY_PORT,
    GATEWAY_TLS_PORT,
    NATS,
    NATS_MONITOR_PORT,
    NATS_PORT,
    OTLP_PORT,
    POSTGRES,
    POSTGRES_PORT,
    SETUP,
    Object,
    Target,
    admin_port_of,
    metadata,
    port_of,
    selector,
)
from atoll.kubernetes.objects import items, mapping
from atoll.kubernetes.peers import asking, egress_to_dns
from atoll.wire.description import MemberData

POLICY = "NetworkPolicy"
DIRECTIONS = ("ingress", "egress")

_COMPONENT = "network"
_PREPARE = "-prepare"


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """Pods of `source` connect to pods of `to` at these ports; both are values of the label `app`."""

    source: str
    to: str
    ports: tuple[int, ...]


def edges(target: Target) -> tuple[Edge, ...]:
    """Every connection inside the namespace that the declaration asks for."""
    found: list[Edge] = []
    for member in target.members:
        for call in member.calls:
            to = target.member(call.to)
            if to is not None and to.kind != "external":
                found.append(Edge(member.name, to.name, (port_of(to),)))
        # Its Job uses the same engines before it does.
        for source in (member.name, preparing(member)):
            if target.runs_postgres and target.owns_database(member):
                found.append(Edge(source, POSTGRES, (POSTGRES_PORT,)))
            if target.runs_nats and uses_broker(member):
                found.append(Edge(source, NATS, (NATS_PORT,)))
    if watches_engines(target):
        found += [Edge(FIGURES, POSTGRES, (POSTGRES_PORT,))] if target.runs_postgres else []
        found += [Edge(FIGURES, NATS, (NATS_MONITOR_PORT,))] if target.runs_nats else []
    found += [
        Edge(GATEWAY, member.name, tuple(sorted({port_of(member), admin_port_of(member)})))
        for member in exposed(target.description)
    ]
    if target.environment.telemetry.collector:
        senders = [*(member.name for member in target.members), *([GATEWAY] if target.description.gateway else [])]
        found += [Edge(sender, COLLECTOR, (OTLP_PORT,)) for sender in senders]
    if target.looks_at_events and target.runs_nats:
        found.append(Edge(COLLECTOR, NATS, (NATS_PORT,)))
    if target.runs_postgres:
        found.append(Edge(SETUP, POSTGRES, (POSTGRES_PORT,)))
    return tuple(sorted(set(found)))


def preparing(member: MemberData) -> str:
    """The label `app` of the pods of its Job."""
    return f"{member.name}{_PREPARE}"


def around(found: Iterable[Edge]) -> Mapping[str, tuple[Edge, ...]]:
    """The edges of each value of the label `app`, from it and to it."""
    by_app: dict[str, list[Edge]] = defaultdict(list)
    for edge in found:
        by_app[edge.source].append(edge)
        if edge.to != edge.source:
            by_app[edge.to].append(edge)
    return {app: tuple(each) for app, each in by_app.items()}


def leaves(target: Target, name: str) -> bool:
    """Whether it connects to what is not of the system: external services, or engines by address."""
    return bool(_beyond(target, name))


def namespace_policies(target: Target) -> list[Object]:
    """Of all pods of the system, and of nobody else's: nothing in, and nothing out but questions to DNS."""
    ours: Object = {"matchLabels": {"app.kubernetes.io/part-of": target.system}}
    servers = [rule for each in target.environment.cluster.dns if (rule := egress_to_dns(each))]
    return [
        _policy(target, "default-deny", {"podSelector": ours, "policyTypes": ["Ingress", "Egress"]}),
        _policy(target, "dns", {"podSelector": ours, "policyTypes": ["Egress"], "egress": servers}),
    ]


def policy_objects(target: Target, found: Iterable[Edge], name: str) -> list[Object]:
    """Of the pods with this label `app`, from the edges around them."""
    outside = _outside(target, name)
    incoming, outgoing = _by_peer(found, name)
    ingress = [_rule("from", peer, ports) for peer, ports in incoming] + outside.ingress
    egress = [_rule("to", peer, ports) for peer, ports in outgoing] + outside.egress
    if not ingress and not egress:
        return []
    types = [*(["Ingress"] if ingress else []), *(["Egress"] if egress else [])]
    spec: Object = {"podSelector": {"matchLabels": selector(name)}, "policyTypes": types}
    if ingress:
        spec["ingress"] = ingress
    if egress:
        spec["egress"] = egress
    return [_policy(target, name, spec)]


@dataclass(frozen=True, slots=True)
class _Outside:
    """Rules about what is not a pod of the system."""

    ingress: list[Object]
    egress: list[Object]


def _outside(target: Target, name: str) -> _Outside:
    ingress: list[Object] = []
    egress = _beyond(target, name)
    member = target.member(name)
    if name == GATEWAY:
        ingress.append({"ports": _ports((GATEWAY_PORT, GATEWAY_TLS_PORT))})
        ingress += _from_monitoring(target, GATEWAY_ADMIN_PORT)
    elif name == FIGURES:
        ingress += _from_monitoring(target, ADMIN_PORT)
    elif name in (SETUP, COLLECTOR):
        # The API server is no pod, and its address is not known here.
        ports = {443, 6443, target.environment.cluster.api_port or 443}
        egress.insert(0, {"ports": _ports(sorted(ports))})
    elif member is not None and member.kind != "process":
        ingress += _from_monitoring(target, admin_port_of(member))
    return _Outside(ingress, egress)


def _beyond(target: Target, name: str) -> list[Object]:
    """Rules to what is used and does not run in the system: external services, and engines by address."""
    if name == SETUP:
        return _engine_elsewhere(target)
    if name == COLLECTOR:
        return _looked_at_elsewhere(target)
    if name == GATEWAY:
        gateway = target.description.gateway
        issuers = [_to_external(each.url) for each in gateway.issuers if each.url] if gateway else []
        return [*issuers, *_telemetry_elsewhere(target)]
    member = target.member(name) or target.member(name.removesuffix(_PREPARE))
    if member is None:
        return []
    found = [_to_external(each) for each in _externals(target, member)] if name == member.name else []
    found += _databases_elsewhere(target, member)
    found += _telemetry_elsewhere(target) if name == member.name else []
    if uses_broker(member) and not target.runs_nats:
        found.append(_to_address(target.environment.engines.nats.address, NATS_PORT))
    return found


def _looked_at_elsewhere(target: Target) -> list[Object]:
    """What the dashboard shows of others."""
    environment = target.environment
    found = [_to_address(environment.engines.nats.address, NATS_PORT)] if environment.engines.nats.address else []
    shown = environment.telemetry.dashboard
    at = environment.monitoring.alertmanager
    return [*(found if target.looks_at_events else []), *([_to_external(at)] if at and shown else [])]


def _telemetry_elsewhere(target: Target) -> list[Object]:
    wanted = target.environment.telemetry
    return [_to_external(wanted.endpoint)] if wanted.endpoint and not wanted.collector else []


def _engine_elsewhere(target: Target) -> list[Object]:
    return [] if target.runs_postgres or not target.makes_databases else [_server_elsewhere(target)]


def _databases_elsewhere(target: Target, member: MemberData) -> list[Object]:
    is_elsewhere = member.database and not (target.owns_database(member) and target.runs_postgres)
    return [_server_elsewhere(target)] if is_elsewhere else []


def _server_elsewhere(target: Target) -> Object:
    """Its address is in a Secret, which is not ours to read."""
    return {"ports": _ports((target.environment.engines.postgres.port,))}


def _externals(target: Target, member: MemberData) -> list[str]:
    found = [target.member(call.to) for call in member.calls]
    return [each.url for each in found if each and each.kind == "external"]


def _to_external(url: str) -> Object:
    parts = urlsplit(url)
    return _to_address(url, 443 if parts.scheme == "https" else 80)


def _to_address(url: str, default: int) -> Object:
    """A policy knows no names: by address where there is one, else any machine at this port."""
    parts = urlsplit(url)
    ports = _ports((parts.port or default,))
    try:
        address = ip_address(parts.hostname or "")
    except ValueError:
        return {"ports": ports}
    return {"to": [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}], "ports": ports}


def _from_monitoring(target: Target, port: int) -> list[Object]:
    """Who reads figures. A rule that names nobody would let in everybody."""
    peers = [peer for each in target.environment.monitoring.scraped_from if (peer := asking(each))]
    return [{"from": peers, "ports": _ports((port,))}] if peers else []


def _by_peer(
    found: Iterable[Edge], name: str
) -> tuple[list[tuple[str, tuple[int, ...]]], list[tuple[str, tuple[int, ...]]]]:
    incoming: dict[str, set[int]] = defaultdict(set)
    outgoing: dict[str, set[int]] = defaultdict(set)
    for edge in found:
        if edge.to == name:
            incoming[edge.source] |= set(edge.ports)
        if edge.source == name:
            outgoing[edge.to] |= set(edge.ports)
    return _sorted(incoming), _sorted(outgoing)


def _sorted(peers: dict[str, set[int]]) -> list[tuple[str, tuple[int, ...]]]:
    return [(peer, tuple(sorted(ports))) for peer, ports in sorted(peers.items())]


def _rule(direction: str, peer: str, ports: Iterable[int]) -> Object:
    return {direction: [{"podSelector": {"matchLabels": selector(peer)}}], "ports": _ports(ports)}


def peer_of(rule: Object) -> str:
    """The label `app` of those whom a rule is about; "" where it is about others than pods of the system."""
    peers = [*items(rule, "from"), *items(rule, "to")]
    labels = [mapping(each, "podSelector", "matchLabels") for each in peers if "namespaceSelector" not in each]
    return next((str(each["app"]) for each in labels if "app" in each), "")


def _ports(numbers: Iterable[int]) -> list[Object]:
    return [{"protocol": "TCP", "port": number} for number in numbers]


def _policy(target: Target, name: str, spec: Object) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": POLICY,
        "metadata": metadata(target, name, _COMPONENT),
        "spec": spec,
    }
