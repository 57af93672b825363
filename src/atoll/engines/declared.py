"""What a declaration asks of the engines: databases, accounts and consumers at the broker, routes at the gateway."""

from dataclasses import replace
from typing import Literal

from atoll.engines import nats
from atoll.engines.access import Access, Issuer
from atoll.engines.cors import Cors
from atoll.engines.edge import Limits, Policy
from atoll.engines.rates import Rate
from atoll.engines.routing import Route
from atoll.model import keeping
from atoll.model.launch import ConsumerOf, StreamOf
from atoll.model.resources import KEPT_SECONDS
from atoll.wire import subjects
from atoll.wire.description import Description, GatewayData, MemberData

EngineName = Literal["postgres", "nats", "envoy"]


def engines_of(description: Description) -> tuple[EngineName, ...]:
    """Which engines the system asks for, wherever they run."""
    members = description.members
    wanted: list[EngineName] = []
    if any(has_own_database(member) for member in members):
        wanted.append("postgres")
    if any(uses_broker(member) for member in members):
        wanted.append("nats")
    if description.gateway:
        wanted.append("envoy")
    return tuple(wanted)


def has_own_database(member: MemberData) -> bool:
    """Whether it asks for a database that atoll makes."""
    return bool(member.database and not member.database.secret)


def database_name(member: MemberData) -> str:
    """Of its database and of the role that owns it."""
    return member.name.replace("-", "_")


def uses_broker(member: MemberData) -> bool:
    return bool(member.publishes or member.consumes)


def streams_of(description: Description, member: MemberData) -> tuple[StreamOf, ...]:
    """Of the topics that it publishes or consumes, by name."""
    names = {*member.publishes, *(each.topic for each in member.consumes)}
    return tuple(
        StreamOf(each.name, each.kept_seconds, each.kept_bytes) for each in description.topics if each.name in names
    )


def remembered_by(description: Description, member: MemberData) -> float:
    """Seconds for which its inbox knows what it handled."""
    consumed = {each.topic for each in member.consumes}
    kept = (each.kept_seconds for each in description.topics if each.name in consumed)
    return keeping.remembered(max(kept, default=KEPT_SECONDS))


def stored(description: Description) -> int:
    """Bytes that all streams may take together, those of dead letters with them."""
    return sum(each.kept_bytes for each in description.topics) + keeping.DEAD_BYTES


def consumers_of(system: str, member: MemberData) -> tuple[ConsumerOf, ...]:
    return tuple(
        ConsumerOf(
            each.topic, each.method, subjects.stream(system, each.topic), subjects.durable(member.name, each.method)
        )
        for each in member.consumes
    )


def account_of(system: str, member: MemberData, password: str = "") -> nats.Account:
    """What the member may do at the broker, and no more."""
    consumers = consumers_of(system, member)
    return nats.Account(
        user=member.name,
        password=password,
        publishes=subjects.publishable(system, member.publishes, [(each.topic, each.durable) for each in consumers]),
        consumes=tuple(nats.Consumer(each.stream, each.durable) for each in consumers),
    )


def looking_account(description: Description, user: str, password: str = "") -> nats.Account:
    """Of who looks from outside: at topics, consumers, events as they come and dead letters, which it sends again."""
    system = description.name
    dead = subjects.dead_stream(system)
    return nats.Account(
        user=user,
        password=password,
        publishes=(
            "$JS.API.STREAM.LIST",
            *(f"$JS.API.CONSUMER.LIST.{subjects.stream(system, each.name)}" for each in description.topics),
            f"$JS.API.STREAM.INFO.{dead}",
            f"$JS.API.STREAM.MSG.GET.{dead}",
            f"$JS.API.STREAM.MSG.DELETE.{dead}",
            subjects.redrive_subject(system, "*", "*"),
        ),
        hears=(subjects.subject(system, "*"),),
    )


def bounds_of(member: MemberData) -> tuple[float, ...]:
    """What its histograms have to tell apart: whether the promised time was kept."""
    return (member.slo.latency_seconds,) if member.slo and member.slo.latency_share else ()


def exposed(description: Description) -> list[MemberData]:
    """The members that the gateway leads to."""
    names = description.gateway.expose if description.gateway else ()
    found = [description.member(name) for name in names]
    return [member for member in found if member and member.kind != "external"]


def routes_of(description: Description, member: MemberData) -> list[Route]:
    """Every operation of the member's contracts; of an application the prefix below which all is its own."""
    routes: dict[tuple[str, str], Route] = {}
    is_public = bool(description.gateway and member.name in description.gateway.public)
    for target in member.contracts:
        contract = description.contract(target)
        for each in contract.operations if contract else ():
            routes[each.method, each.path] = Route(
                path=each.path,
                cluster=member.name,
                methods=(each.method,),
                timeout=0.0 if each.streams else member.deadline,
                operation=f"{member.name}.{each.name}",
                public=(each.public or is_public) and not each.scopes,
                scopes=each.scopes,
            )
    if routes or not member.path:
        return list(routes.values())
    whole = Route(member.path, member.name, prefix=True, timeout=member.deadline, operation=member.name)
    return [replace(whole, public=is_public)]


def policy_of(gateway: GatewayData, access: Access, gateways: int = 1) -> Policy:
    """Who may come in, how often, and from which pages. gateways: how many share the rates."""
    cors = gateway.cors
    return Policy(
        access=access,
        rates=tuple(Rate(each.per, each.requests, each.seconds, each.burst, gateways) for each in gateway.rate_limits),
        cors=Cors(cors.origins, cors.credentials, cors.headers, cors.max_age) if cors else None,
    )


def issuers_of(gateway: GatewayData) -> tuple[Issuer, ...]:
    return tuple(Issuer(each.issuer, each.audience, each.keys, each.url) for each in gateway.issuers)


def limits_of(gateway: GatewayData) -> Limits:
    return Limits(body=gateway.body_limit, headers=gateway.header_limit)
