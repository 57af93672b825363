"""Where a cluster's names are looked up, as an environment writes it, and as a policy lets through to it."""

import re
from ipaddress import ip_network

from atoll.kubernetes.names import Object

_LABEL = r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_PODS = re.compile(
    rf"(?P<namespace>[a-z0-9]([-a-z0-9]{{0,61}}[a-z0-9])?)/(?P<name>([a-z0-9][-.a-z0-9]*/)?{_LABEL})=(?P<value>{_LABEL})"
    r"(:(?P<port>[0-9]+))?"
)
_MACHINES = re.compile(r"(\[(?P<bare>[^\]]+)\]|(?P<plain>[0-9.]+(/[0-9]+)?))(:(?P<port>[0-9]+))?")
_PORT = 53


def egress_to(server: str) -> Object | None:
    """The rule for one, such as "kube-system/k8s-app=kube-dns", "169.254.20.10" or "[fd00::/64]:5353".

    None if it is neither pods by namespace and label nor machines by address; a port after it is that of the pods.
    """
    if pods := _PODS.fullmatch(server):
        peer: Object = {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": pods["namespace"]}},
            "podSelector": {"matchLabels": {pods["name"]: pods["value"]}},
        }
        port = pods["port"]
    elif machines := _MACHINES.fullmatch(server):
        try:
            peer = {"ipBlock": {"cidr": str(ip_network(machines["bare"] or machines["plain"]))}}
        except ValueError:
            return None
        port = machines["port"]
    else:
        return None
    number = int(port or _PORT)
    if not 0 < number < 65536:
        return None
    return {"to": [peer], "ports": [{"protocol": protocol, "port": number} for protocol in ("UDP", "TCP")]}
