"""Which containers of Compose share a network: whoever is called with its callers, and nobody else."""

from collections.abc import Iterable

from atoll.kubernetes.names import COLLECTOR, GATEWAY, OUTSIDE, Object, Target, headless
from atoll.kubernetes.networking import edges, leaves


def attached(target: Target, name: str) -> Object:
    """A network for each service that is called, with it and its callers; beyond them is only the way out."""
    found = _called(target, name)
    senders = [edge.source for edge in edges(target) if edge.to == COLLECTOR]
    if name in senders and not found:
        found[name] = {}
    if name == COLLECTOR:
        # All of them send to it, and would reach each other in a network of its own: so it comes into theirs.
        for sender in senders:
            theirs = _called(target, sender) or {sender: {}}
            found.setdefault(sender if sender in theirs else next(iter(theirs)), {})
    # A port of this machine leads into no network that is closed.
    is_asked = name == GATEWAY or (name == COLLECTOR and target.environment.telemetry.dashboard)
    if is_asked or leaves(target, name):
        found[OUTSIDE] = {}
    return found


def _called(target: Target, name: str) -> Object:
    found: Object = {}
    for edge in edges(target):
        if edge.to == COLLECTOR:
            continue
        if edge.to == name:
            found[name] = {"aliases": [headless(name)]}
        elif edge.source == name:
            found[edge.to] = {}
    return found


def networks(services: Iterable[object]) -> Object:
    """Of these entries, with what they are: all but the way out are closed."""
    used: set[str] = set()
    for each in services:
        joined = each.get("networks") if isinstance(each, dict) else None
        used |= set(joined or ())
    return {name: {} if name == OUTSIDE else {"internal": True} for name in sorted(used)}
