"""What may be done while one version takes the place of another: as much as either needs; decided, touching nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from atoll.kubernetes.names import NATS, Object
from atoll.kubernetes.networking import DIRECTIONS, POLICY
from atoll.kubernetes.objects import Key, items, key_of, mapping
from atoll.kubernetes.permissions import SERVER, Broker, broker_in, configuration_key, of_both


@dataclass(frozen=True, slots=True)
class Transition:
    """parts: what to bring up. narrower: what takes its place when the old version has left.

    more: what else is brought up, and goes then.
    """

    parts: Mapping[str, Sequence[Object]]
    narrower: tuple[Object, ...] = ()
    more: tuple[Key, ...] = ()


def transition(parts: Mapping[str, Sequence[Object]], live: Mapping[Key, Object]) -> Transition:
    """parts: what is wanted. live: what is in the cluster of it, and what its broker reads there."""
    narrower: list[Object] = []
    more: list[Key] = []
    found: dict[str, Sequence[Object]] = {}
    for part, each in parts.items():
        meanwhile = [_widened(made, live.get(key_of(made))) for made in each]
        if part == NATS:
            meanwhile = _with_both(meanwhile, live)
            more += [key_of(made) for made in meanwhile if key_of(made) not in map(key_of, each)]
        found[part] = meanwhile
        narrower += [made for made in each if made not in meanwhile]
    return Transition(found, tuple(narrower), tuple(more))


def _widened(wanted: Object, live: Object | None) -> Object:
    """A policy with the rules of the one that is there too; anything else as it is."""
    if live is None or wanted["kind"] != POLICY:
        return wanted
    more = {
        direction: [rule for rule in items(live, "spec", direction) if rule not in items(wanted, "spec", direction)]
        for direction in DIRECTIONS
    }
    rules = {name: [*items(wanted, "spec", name), *each] for name, each in more.items() if each}
    if not rules:
        return wanted
    spec = {**mapping(wanted, "spec"), **rules}
    return {**wanted, "spec": {**spec, "policyTypes": [each.title() for each in DIRECTIONS if each in spec]}}


def _with_both(wanted: list[Object], live: Mapping[Key, Object]) -> list[Object]:
    """The broker's part, with the accounts of both versions and the ConfigMap that has them."""
    new, server = broker_in(wanted), live.get(SERVER)
    configuration = live.get(configuration_key(server)) if server else None
    if new is None or server is None or configuration is None:
        return wanted
    both = of_both(Broker(server, configuration), new)
    if both is new:
        return wanted
    # Where the new version may do less and no more, all of this is there already.
    return [both.configuration, *(both.server if made is new.server else made for made in wanted)]
