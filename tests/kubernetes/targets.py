"""Targets to render, with names for images that nobody builds."""

import msgspec

from atoll.kubernetes.environment import Environment
from atoll.kubernetes.names import COLLECTOR, GATEWAY, NATS, POSTGRES, SETUP, Object, Target
from atoll.kubernetes.objects import items, mapping
from atoll.kubernetes.render import objects
from atoll.wire.description import Description

GENERATED = {"session-key": "generate", "db-secret": "generate"}


def target_of(description: Description, **environment: object) -> Target:
    """environment: tables of the file; the shop's secrets are generated unless it says otherwise."""
    wanted = msgspec.convert({"secrets": GENERATED, **environment}, Environment)
    names = [*(each.name for each in description.members), POSTGRES, NATS, GATEWAY, SETUP, COLLECTOR]
    return Target(description, wanted, {name: f"registry.example.com/shop/{name}:0123456789ab" for name in names})


def rendered(target: Target) -> list[Object]:
    return [each for part in objects(target).values() for each in part]


def find(made: list[Object], kind: str, name: str) -> Object:
    (found,) = [each for each in made if each["kind"] == kind and mapping(each, "metadata")["name"] == name]
    return found


def pod_of(workload: Object) -> Object:
    return mapping(workload, "spec", "template", "spec")


def container_of(workload: Object) -> Object:
    (found,) = items(pod_of(workload), "containers")
    return found


def variable(container: Object, name: str) -> Object:
    (found,) = [each for each in items(container, "env") if each["name"] == name]
    return found
