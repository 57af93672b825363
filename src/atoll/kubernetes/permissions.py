"""Accounts at the broker inside: what two versions may do together, or one version with some accounts of another."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from atoll.kubernetes.engines import NATS_FILE, password_variable
from atoll.kubernetes.names import NATS, Object, hashed
from atoll.kubernetes.objects import Key, items, key_of, mapping

SERVER = Key("StatefulSet", NATS)

# A variable is only one where it has no quotes; JSON has none without.
_BARE = re.compile(r'(?<="password": )\$\w+')
_QUOTED = re.compile(r'"(\$\w+)"')


@dataclass(frozen=True, slots=True)
class Broker:
    """NATS as objects. configuration: the ConfigMap that the server reads."""

    server: Object
    configuration: Object

    @property
    def text(self) -> str:
        return str(mapping(self.configuration, "data").get(NATS_FILE, ""))

    @property
    def variables(self) -> list[Object]:
        """With a password each."""
        return items(_container(self.server), "env")

    def reading(self, text: str, variables: Sequence[Object]) -> "Broker":
        """The same with other accounts."""
        data = {NATS_FILE: text}
        configuration = deepcopy(self.configuration) | {"data": data}
        mapping(configuration, "metadata")["name"] = hashed(NATS, data)
        server = deepcopy(self.server)
        _container(server)["env"] = list(variables)
        for volume in items(server, "spec", "template", "spec", "volumes"):
            if "configMap" in volume:
                mapping(volume, "configMap")["name"] = key_of(configuration).name
        return Broker(server, configuration)


def broker_in(made: Sequence[Object]) -> Broker | None:
    """NATS among objects; None if it is not there with what it reads."""
    by_key = {key_of(each): each for each in made}
    server = by_key.get(SERVER)
    configuration = by_key.get(configuration_key(server)) if server else None
    return Broker(server, configuration) if server and configuration else None


def configuration_key(server: Object) -> Key:
    """Of the ConfigMap that a server reads."""
    volumes = items(server, "spec", "template", "spec", "volumes")
    names = [str(mapping(each, "configMap")["name"]) for each in volumes if "configMap" in each]
    return Key("ConfigMap", names[0] if names else "")


def of_both(old: Broker, new: Broker) -> Broker:
    """The new one, where each account may do what either version says: `new` itself, if that is what it says."""
    before, after = _read(old.text), _read(new.text)
    if before is None or after is None:
        return new
    known, wanted = _accounts(before), _accounts(after)
    text = _written(after, {**known, **{user: _both(known.get(user), each) for user, each in wanted.items()}})
    if text == new.text:
        return new
    # In the order that is there: another order would be another pod.
    latest = {each["name"]: each for each in new.variables}
    there = [latest.pop(each["name"], each) for each in old.variables]
    return new.reading(text, [*there, *latest.values()])


def with_accounts(deployed: Broker, declared: Broker, users: Collection[str]) -> Broker:
    """What is deployed, with these users' accounts as they are declared: `deployed` itself, if that is the same."""
    before, after = _read(deployed.text), _read(declared.text)
    if before is None or after is None:
        return declared
    kept = {user: each for user, each in _accounts(before).items() if user not in users}
    text = _written(before, {**kept, **{user: each for user, each in _accounts(after).items() if user in users}})
    if text == deployed.text:
        return deployed
    theirs = {password_variable(user) for user in users}
    variables = {each["name"]: each for each in deployed.variables if each["name"] not in theirs}
    variables |= {each["name"]: each for each in declared.variables if each["name"] in theirs}
    # In the order of what is declared, as a deployment of everything will have them: another order is another pod.
    order = {each["name"]: number for number, each in enumerate(declared.variables)}
    return deployed.reading(text, sorted(variables.values(), key=lambda each: order.get(each["name"], len(order))))


def _container(server: Object) -> Object:
    return items(server, "spec", "template", "spec", "containers")[0]


def _read(text: str) -> Object | None:
    """The configuration as data; None where it was written in another way."""
    try:
        found = json.loads(_BARE.sub(r'"\g<0>"', text))
    except ValueError:
        return None
    return found if isinstance(found, dict) and _accounts(found) else None


def _written(settings: Object, accounts: Mapping[str, Object]) -> str:
    first = next(iter(_accounts(settings)))  # the administrator's
    users = [accounts[first], *(accounts[user] for user in sorted(accounts) if user != first)]
    return _QUOTED.sub(r"\1", json.dumps({**settings, "authorization": {"users": users}}, indent=2) + "\n")


def _accounts(settings: Object) -> dict[str, Object]:
    return {str(each["user"]): each for each in items(settings, "authorization", "users")}


def _both(old: Object | None, new: Object) -> Object:
    if old is None or "permissions" not in new:
        return new
    permissions = {
        action: {"allow": _all(_allowed(old, action), _allowed(new, action))} for action in mapping(new, "permissions")
    }
    return {**new, "permissions": permissions}


def _allowed(account: Object, action: str) -> list[object]:
    found = mapping(account, "permissions", action).get("allow")
    return found if isinstance(found, list) else []


def _all(old: list[object], new: list[object]) -> list[object]:
    return new if set(old) <= set(new) else [*old, *(each for each in new if each not in old)]
