"""All Kubernetes objects of 500 services as text: the boutique's services over and over, each copy calling itself."""

import asyncio
import os
import statistics
import sys
import time
import tomllib

import msgspec
from msgspec.structs import replace

from atoll.kubernetes.environment import Environment
from atoll.kubernetes.names import GATEWAY, NATS, POSTGRES, SETUP, Target
from atoll.kubernetes.render import objects, render
from atoll.supervisor.children import Python, describe
from atoll.wire.description import Description, MemberData, TopicData
from benchmarks.figures import Result
from benchmarks.processes import ROOT

SHOP = ROOT / "examples" / "shop"
SERVICES = 500
LARGEST_REQUEST = 3 << 19
"""Bytes of an object that etcd takes, as it is set up by default."""
ENVIRONMENT = SHOP / "shop" / "environments" / "production.toml"


def run(rounds: int) -> Result:
    shop = asyncio.run(describe(Python(dict(os.environ), sys.executable), "shop.system:shop", SHOP))
    description = repeated(shop, SERVICES)
    environment = msgspec.convert(tomllib.loads(ENVIRONMENT.read_text()), Environment)
    # Volumes of one of its services, which has another name here.
    environment = replace(environment, services={})
    names = [*(each.name for each in description.members), POSTGRES, NATS, GATEWAY, SETUP]
    images = {name: f"registry.example.com/shop/{name}:0123456789ab" for name in names}
    samples: list[float] = []
    size = 0
    for _ in range(rounds):
        # A new one each time, for it keeps what it has found out.
        target = Target(description, environment, images)
        begun = time.perf_counter()
        files = render(target)
        samples.append(time.perf_counter() - begun)
        _held_to_fit(target)
        size = sum(map(len, files.values()))
    figures = {"seconds_500": round(statistics.median(samples), 3), "megabytes": round(size / 1e6, 1)}
    return Result("render", "seconds for 500 services", {"atoll": samples}, smaller_is_better=True, figures=figures)


def _held_to_fit(target: Target) -> None:
    """That a cluster takes every object: a ConfigMap by its own bound, any by that of a request."""
    for each in (each for part in objects(target).values() for each in part):
        size = len(msgspec.json.encode(each))
        assert size <= LARGEST_REQUEST, f"{each['kind']} {each['metadata']} has {size} bytes"


def repeated(description: Description, services: int) -> Description:
    """So many services: copies of the system's own, with what they call, publish and consume within their copy."""
    own = [each for each in description.members if each.kind != "external"]
    copies = -(-services // len(own))
    members = [_copy(each, number) for number in range(copies) for each in own][:services]
    there = {each.name for each in members}
    members = [replace(each, calls=tuple(call for call in each.calls if call.to in there)) for each in members]
    topics = [_topic(each, number) for number in range(copies) for each in description.topics]
    assert description.gateway
    exposed = [_name(each, number) for number in range(copies) for each in description.gateway.expose]
    gateway = replace(description.gateway, expose=tuple(each for each in exposed if each in there))
    return replace(description, members=tuple(members), topics=tuple(topics), gateway=gateway)


def _name(name: str, number: int) -> str:
    return f"{name}-{number}"


def _copy(member: MemberData, number: int) -> MemberData:
    return replace(
        member,
        name=_name(member.name, number),
        calls=tuple(replace(each, to=_name(each.to, number)) for each in member.calls),
        publishes=tuple(_name(each, number) for each in member.publishes),
        consumes=tuple(replace(each, topic=_name(each.topic, number)) for each in member.consumes),
    )


def _topic(topic: TopicData, number: int) -> TopicData:
    publisher = _name(topic.publisher, number) if topic.publisher else ""
    return replace(topic, name=_name(topic.name, number), publisher=publisher)
