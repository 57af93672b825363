"""Who is on the other side of a connection, as an environment writes it, and as a policy lets it through."""

import re
from dataclasses import dataclass
from ipaddress import ip_network

from atoll.kubernetes.names import Object

_LABEL = r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_PODS = re.compile(
    rf"(?P<namespace>\*|[a-z0-9]([-a-z0-9]{{0,61}}[a-z0-9])?)/(?P<name>([a-z0-9][-.a-z0-9]*/)?{_LABEL})=(?P<value>{_LABEL})"
    r"(:(?P<port>[0-9]+))?"
)
_MACHINES = re.compile(r"(\[(?P<bare>[^\]]+)\]|(?P<plain>[0-9.]+(/[0-9]+)?))(:(?P<port>[0-9]+))?")
_DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class _Peer:
    """rule: the peer of a policy. port: as it is written, "" for none. is_anywhere: pods of whatever namespace."""

    rule: Object
    port: str
    is_anywhere: bool = False


def egress_to_dns(server: str) -> Object | None:
    """The rule for one, such as "kube-system/k8s-app=kube-dns", "169.254.20.10" or "[fd00::/64]:5353".

    None if it is neither pods by namespace and label nor machines by address; a port after it is that of the pods.
    """
    peer = _peer(server)
    # Whoever may make a pod of any namespace could answer.
    if peer is None or peer.is_anywhere:
        return None
    number = int(peer.port or _DNS_PORT)
    if not 0 < number < 65536:
        return None
    return {"to": [peer.rule], "ports": [{"protocol": protocol, "port": number} for protocol in ("UDP", "TCP")]}


def asking(written: str) -> Object | None:
    """The peer of a rule for who comes in, such as "monitoring/app=prometheus", "*/app=prometheus" or "10.0.0.0/16".

    None if it is neither pods by label, of a namespace or of all, nor machines by address. The port is ours to say.
    """
    peer = _peer(written)
    return None if peer is None or peer.port else peer.rule


def _peer(text: str) -> _Peer | None:
    if pods := _PODS.fullmatch(text):
        is_anywhere = pods["namespace"] == "*"
        names: Object = {} if is_anywhere else {"matchLabels": {"kubernetes.io/metadata.name": pods["namespace"]}}
        chosen = {"namespaceSelector": names, "podSelector": {"matchLabels": {pods["name"]: pods["value"]}}}
        return _Peer(chosen, pods["port"] or "", is_anywhere)
    if machines := _MACHINES.fullmatch(text):
        try:
            cidr = str(ip_network(machines["bare"] or machines["plain"]))
        except ValueError:
            return None
        return _Peer({"ipBlock": {"cidr": cidr}}, machines["port"] or "")
    return None
