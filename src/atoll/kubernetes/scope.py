"""What a deployment of some services applies: their objects, and what they newly need of others; touching nothing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from atoll.kubernetes.names import NAMESPACE, NATS, POSTGRES, SETUP, Object, Target
from atoll.kubernetes.networking import DIRECTIONS, POLICY, peer_of, preparing
from atoll.kubernetes.objects import items, key_of, mapping
from atoll.kubernetes.permissions import broker_in, with_accounts
from atoll.kubernetes.setup import FILE as SETUP_FILE
from atoll.kubernetes.setup import setup_document
from atoll.model.setup import Setup

Parts = Mapping[str, Sequence[Object]]
Reference = tuple[str, str]
"""A Secret, and a key in it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """parts: what to apply. after: all that is deployed then. apps: whose objects go that are not in it; () is all."""

    parts: Parts
    after: Parts
    apps: tuple[str, ...] = ()


def scope_of(target: Target, declared: Parts, services: Sequence[str], deployed: Parts) -> Scope:
    """Of these services, () is all of the system.

    Of the others nothing changes but who may connect, what these may do at the broker, and what is set up for them;
    in each as it was deployed, whatever else is declared of it by now.
    """
    if not services:
        return Scope(declared, declared)
    parts = {part: each for part, each in declared.items() if part in services or part == NAMESPACE}
    after = {**deployed, **parts}
    pods = _pods(target, services)
    apps = sorted(pods)
    for part in deployed.keys() - parts.keys():
        after[part] = _with_policies(deployed[part], declared.get(part, ()), pods)
    for part in (POSTGRES, NATS):
        if part in declared and part not in after and _is_needed(declared[part], services):
            after[part] = declared[part]
    if NATS in after and NATS not in services:
        after[NATS] = _with_broker(after[NATS], declared.get(NATS, ()), services)
        apps.append(NATS)
    for part in after.keys() - parts.keys():
        new = [each for each in after[part] if each not in deployed.get(part, ())]
        parts |= {part: new} if new else {}
    if SETUP in declared and SETUP not in parts and _sets_up(target, parts, deployed.get(SETUP, ())):
        parts[SETUP] = after[SETUP] = declared[SETUP]
        apps.append(SETUP)
    # In the order of what is declared: a part is read by a person.
    return Scope({part: parts[part] for part in (*declared, *deployed) if part in parts}, after, tuple(apps))


def references(value: object) -> Iterable[Reference]:
    """Every secretKeyRef in an object."""
    if isinstance(value, dict):
        reference = value.get("secretKeyRef")
        if isinstance(reference, dict):
            yield str(reference["name"]), str(reference["key"])
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def made_by(document: Setup) -> set[Reference]:
    """What setup makes where it is missing."""
    secrets = {(each.secret, each.key) for each in document.secrets}
    return secrets | {(each.secret, each.key) for each in document.databases}


def _pods(target: Target, services: Sequence[str]) -> set[str]:
    """Their labels `app`, with those of their Jobs."""
    return {*services, *(preparing(each) for each in target.members if each.name in services)}


def _with_policies(deployed: Sequence[Object], declared: Sequence[Object], apps: Collection[str]) -> list[Object]:
    """The part, whose policies say of these pods what is declared."""
    wanted = {key_of(each): each for each in declared if each["kind"] == POLICY}
    found = [
        _with_rules(each, wanted.pop(key_of(each), None), apps) if each["kind"] == POLICY else each for each in deployed
    ]
    # One that had no connection before has no policy either.
    new = [
        _with_rules({**each, "spec": {"podSelector": mapping(each, "spec")["podSelector"]}}, each, apps)
        for each in wanted.values()
    ]
    return [*(each for each in new if mapping(each, "spec")["policyTypes"]), *found]


def _with_rules(deployed: Object, declared: Object | None, apps: Collection[str]) -> Object:
    """The policy, whose rules about these pods are those that are declared."""
    spec = {name: each for name, each in mapping(deployed, "spec").items() if name not in (*DIRECTIONS, "policyTypes")}
    for direction in DIRECTIONS:
        kept = [each for each in items(deployed, "spec", direction) if peer_of(each) not in apps]
        theirs = [each for each in items(declared, "spec", direction) if peer_of(each) in apps]
        # In the order in which they are rendered.
        pods = sorted((each for each in (*kept, *theirs) if peer_of(each)), key=peer_of)
        if rules := [*pods, *(each for each in kept if not peer_of(each))]:
            spec[direction] = rules
    # Without any rule it is as closed as it was.
    types = [each.title() for each in DIRECTIONS if each in spec]
    return {**deployed, "spec": {**spec, "policyTypes": types or mapping(deployed, "spec").get("policyTypes", [])}}


def _is_needed(declared: Sequence[Object], services: Sequence[str]) -> bool:
    """Whether one of them connects to it."""
    rules = [rule for each in declared if each["kind"] == POLICY for rule in items(each, "spec", "ingress")]
    return any(peer_of(rule) in services for rule in rules)


def _with_broker(deployed: Sequence[Object], declared: Sequence[Object], services: Sequence[str]) -> list[Object]:
    old, new = broker_in(deployed), broker_in(declared)
    if old is None or new is None:
        return list(deployed)
    found = with_accounts(old, new, services)
    replaced = {key_of(old.server): found.server, key_of(old.configuration): found.configuration}
    return [replaced.get(key_of(each), each) for each in deployed]


def _sets_up(target: Target, parts: Parts, deployed: Sequence[Object]) -> bool:
    """Whether the parts read Secrets of what setup is to make, and was not told to make so before."""
    read = {each for made in parts.values() for each in references(list(made))}
    written = [mapping(each, "data").get(SETUP_FILE) for each in deployed if each["kind"] == "ConfigMap"]
    known = [each for text in written if text for each in _made(str(text).encode())]
    wanted = _made(msgspec.json.encode(setup_document(target)))
    return any((each["secret"], each["key"]) in read and each not in known for each in wanted)


def _made(document: bytes) -> list[Object]:
    """Its secrets and databases as data, for another version may have written other fields."""
    found = msgspec.json.decode(document)
    return [*items(found, "secrets"), *items(found, "databases")]
