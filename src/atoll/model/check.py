"""Every rule of a valid system, one function each."""

import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_type_hints

from atoll.errors import (
    BAD_HANDLER,
    BAD_NAME,
    BAD_SETTINGS,
    BAD_SLO,
    BAD_TOPIC_BOUNDS,
    BAD_TOPIC_KEY,
    CLASHING_ROUTES,
    CONSUMER_WITHOUT_DATABASE,
    DATABASE_MISSING,
    DUPLICATE_NAME,
    IDEMPOTENCY_WITHOUT_DATABASE,
    METHOD_MISSING,
    MIGRATIONS_MISSING,
    NOT_EXPOSABLE,
    PUBLISHER_WITHOUT_DATABASE,
    SCHEDULE_WITHOUT_DATABASE,
    SECRET_WITHOUT_SOURCE,
    SIGNATURE_DIFFERS,
    TOPIC_DIFFERS,
    TOPIC_WITH_TWO_PUBLISHERS,
    TOPIC_WITHOUT_PUBLISHER,
    UNKNOWN_DEPENDENCY,
    Problem,
)
from atoll.model.access_rules import access_problems
from atoll.model.contract import Contract, Operation, type_name
from atoll.model.keeping import unfit
from atoll.model.migrations import migration_problems
from atoll.model.resources import AnyTopic, Event, Secret
from atoll.model.secrets import entry_of, variable_of
from atoll.model.service import Consumer, Implementation
from atoll.model.slo import mistake_of
from atoll.model.source import place_of
from atoll.model.suggest import nearest
from atoll.model.system import Asgi, Graph, Node, Process, System
from atoll.model.taken import DEAD_LETTERS, taken
from atoll.model.types import bare, field_names

LABEL = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class Surroundings:
    """What the rules have to know of the disk and of earlier runs.

    migrations: by service, each file's checksum by its name; None where the folder is missing.
    applied: by service, the checksums of what was applied here before.
    secrets: names that have a value. variables: names of environment variables.
    jwks: what stands in the files with issuers' keys, by the name that is declared; None where there is none.
    """

    migrations: Mapping[str, Mapping[str, str] | None] = field(default_factory=dict[str, Mapping[str, str] | None])
    applied: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    secrets: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()
    jwks: Mapping[str, str | None] = field(default_factory=dict[str, str | None])


def check(graph: Graph, surroundings: Surroundings) -> tuple[Problem, ...]:
    """Everything that is wrong, in the order of the rules; empty for a system that can be started."""
    return tuple(
        [problem for rule in RULES for problem in rule(graph)]
        + list(access_problems(graph, surroundings.jwks))
        + [problem for node in graph.nodes for problem in _migrations(node, surroundings)]
        + [problem for node in graph.nodes for problem in _secrets(node, surroundings)]
        + list(_gateway_secrets(graph, surroundings))
    )


def _names(graph: Graph) -> Iterator[Problem]:
    system: System = graph.system
    seen: set[str] = set()
    for what, name, place in [
        ("system", system.name, system.place),
        *(("member", node.name, node.member.place) for node in graph.nodes),
        *(("topic", topic.name, place) for topic, place in _published(graph)),
    ]:
        if not LABEL.fullmatch(name):
            reason = "it is empty" if not name else "it is no DNS label of at most 40 characters"
            yield BAD_NAME.at(place, name=name, what=what, reason=reason)
        if what == "member" and name in seen:
            yield DUPLICATE_NAME.at(place, system=system.name, name=name)
        if what == "member":
            seen.add(name)


def _names_at_engines(graph: Graph) -> Iterator[Problem]:
    for node in graph.nodes:
        implementation = node.implementation
        has_events = implementation is not None and bool(implementation.publishes or implementation.consumers)
        reason = taken(node.name, has_database=node.database is not None, has_events=has_events)
        if reason:
            yield BAD_NAME.at(node.member.place, name=node.name, what="member", reason=reason)
    for topic, place in _published(graph):
        if topic.name == DEAD_LETTERS:
            yield BAD_NAME.at(place, name=topic.name, what="topic", reason="the stream of dead letters is called so")


def _routes(graph: Graph) -> Iterator[Problem]:
    """Equal patterns clash within a member, and across exposed ones."""
    exposed = {member.name for member in graph.system.gateway.expose} if graph.system.gateway else set[str]()
    together = [node for node in graph.nodes if node.name in exposed]
    groups = [[node] for node in graph.nodes if node.kind != "external"] + [together]
    found: dict[tuple[str, str], Problem] = {}
    for group in groups:
        taken: dict[tuple[str, tuple[str | None, ...]], str] = {}
        for node in group:
            for title, method, path, pattern, place in _answers(node):
                first = taken.setdefault((method, pattern), title)
                if first != title:
                    problem = CLASHING_ROUTES.at(place, first=first, second=title, method=method, path=path)
                    found.setdefault((first, title), problem)
    yield from found.values()


def _answers(node: Node) -> Iterator[tuple[str, str, str, tuple[str | None, ...], str]]:
    """What a member answers: title, method, path, pattern, place. A prefix answers every method."""
    for contract in node.contracts:
        for operation in contract.operations:
            yield f"{node.name}: {operation}", operation.method, operation.path, operation.pattern, operation.place
    if isinstance(node.member, Asgi | Process) and node.member.path:
        path = node.member.path
        yield f"{node.name}: {path}", "every method of", path, tuple(path.rstrip("/").split("/")), node.member.place


def _implementations(graph: Graph) -> Iterator[Problem]:
    """A service writes every method of its contracts, with the contract's parameters and types."""
    for node in graph.nodes:
        if node.implementation is None:
            continue
        for contract in node.implementation.contracts:
            if contract.type is not node.implementation.type:
                for operation in contract.operations:
                    yield from _implements(node.implementation, contract, operation)


def _implements(implementation: Implementation, contract: Contract, operation: Operation) -> Iterator[Problem]:
    declared = getattr(contract.type, operation.name)
    written = getattr(implementation.type, operation.name)
    if written is declared:
        if _is_ellipsis(declared):
            yield METHOD_MISSING.at(implementation.place, implementation=implementation.name, operation=operation)
        return
    difference = _difference(declared, written)
    if difference:
        yield SIGNATURE_DIFFERS.at(
            place_of(written),
            implementation=implementation.name,
            method=operation.name,
            operation=operation,
            difference=difference,
        )


def _is_ellipsis(function: Callable[..., object]) -> bool:
    """Whether the body is only `...`, a docstring or both: it returns None at once."""
    code = getattr(function, "__code__", None)
    return code is not None and not code.co_names and set(code.co_consts) <= {None, function.__doc__}


def _difference(declared: Callable[..., object], written: Callable[..., object]) -> str:
    """What a caller of the contract would trip over in the implementation; "" for nothing."""
    ours, theirs = inspect.signature(declared), inspect.signature(written)
    for name, parameter in ours.parameters.items():
        other = theirs.parameters.get(name)
        if other is None:
            return f"it has no parameter {name}"
        # The contract's constraints hold for every caller already: an implementation need not repeat them.
        wanted, given = bare(parameter.annotation), bare(other.annotation)
        if name != "self" and wanted != given and str(wanted) != str(given):
            return f"{name} is {_shown(other.annotation)} instead of {_shown(parameter.annotation)}"
        if parameter.default is not parameter.empty and other.default is other.empty:
            return f"{name} has no default"
    for name, other in theirs.parameters.items():
        if (
            name not in ours.parameters
            and other.default is other.empty
            and other.kind not in (other.VAR_KEYWORD, other.VAR_POSITIONAL)
        ):
            return f"it asks for {name} as well"
    if str(ours.return_annotation) != str(theirs.return_annotation):
        return f"it returns {_shown(theirs.return_annotation)} instead of {_shown(ours.return_annotation)}"
    return ""


def _shown(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else type_name(annotation)


def _dependencies(graph: Graph) -> Iterator[Problem]:
    """What is no contract must be the database, the publisher or the settings."""
    for node in graph.nodes:
        place = place_of(node.application) or node.member.place
        settings = type(node.settings)
        for dependency in node.dependencies:
            if dependency.wants == "database" and node.database is None:
                yield DATABASE_MISSING.at(place, service=node.name)
            if dependency.wants == "settings" and dependency.type is not settings and not dependency.optional:
                offered = ["Database", "Publisher", "Caller"] + (
                    [settings.__name__] if node.settings is not None else []
                )
                offered += [type_name(contract.type) for other in graph.nodes for contract in other.contracts]
                yield UNKNOWN_DEPENDENCY.at(
                    place,
                    has=nearest(type_name(dependency.type), offered),
                    service=node.name,
                    parameter=dependency.parameter,
                    type=type_name(dependency.type),
                )


def _gateway(graph: Graph) -> Iterator[Problem]:
    gateway = graph.system.gateway
    for member in gateway.expose if gateway else ():
        node = graph.node(member.name)
        if node is None or not list(_answers(node)):
            able = sorted({other.name for other in graph.nodes if other.name and list(_answers(other))})
            yield NOT_EXPOSABLE.at(graph.system.place, has=able, name=member.name)


def _published(graph: Graph) -> list[tuple[AnyTopic, str]]:
    return [
        (topic, node.implementation.place)
        for node in graph.nodes
        if node.implementation
        for topic in node.implementation.publishes
    ]


def _consumed(graph: Graph) -> list[tuple[Node, Consumer]]:
    return [
        (node, consumer) for node in graph.nodes if node.implementation for consumer in node.implementation.consumers
    ]


def _topics(graph: Graph) -> Iterator[Problem]:
    """Each consumed topic is published by one service, and is declared once."""
    publishers: dict[str, list[str]] = defaultdict(list)
    declared: dict[str, AnyTopic] = {}
    for node in graph.nodes:
        for topic in node.implementation.publishes if node.implementation else ():
            publishers[topic.name].append(node.name)
            declared.setdefault(topic.name, topic)
    for name, services in publishers.items():
        if len(services) > 1:
            yield TOPIC_WITH_TWO_PUBLISHERS.at(graph.system.place, topic=name, services=" and ".join(services))
    for node, consumer in _consumed(graph):
        topic = consumer.topic
        if topic.name not in publishers:
            has = nearest(topic.name, publishers)
            yield TOPIC_WITHOUT_PUBLISHER.at(consumer.place, has=has, service=node.name, topic=topic.name)
        elif declared[topic.name].type is not topic.type:
            first, second = type_name(declared[topic.name].type), type_name(topic.type)
            yield TOPIC_DIFFERS.at(consumer.place, topic=topic.name, first=first, second=second)


def _keys(graph: Graph) -> Iterator[Problem]:
    for topic, place in _published(graph):
        names = field_names(topic.type) or tuple(inspect.get_annotations(topic.type))
        if topic.key and topic.key not in names:
            kind = type_name(topic.type)
            yield BAD_TOPIC_KEY.at(place, has=nearest(topic.key, names), topic=topic.name, key=topic.key, type=kind)


def _keeping(graph: Graph) -> Iterator[Problem]:
    for topic, place in _published(graph):
        reason = unfit(topic.kept_seconds, topic.kept_bytes)
        if reason:
            yield BAD_TOPIC_BOUNDS.at(place, topic=topic.name, reason=reason)


def _handlers(graph: Graph) -> Iterator[Problem]:
    """A handler takes the topic's event, and the transaction that its declaration promises."""
    for node, consumer in _consumed(graph):
        kind = type_name(consumer.topic.type)
        reason = _unfit(node, consumer)
        if reason:
            yield BAD_HANDLER.at(
                consumer.place,
                service=node.name,
                method=consumer.method,
                topic=consumer.topic.name,
                reason=reason,
                type=f"list[{kind}]" if consumer.batch else kind,
            )
        if consumer.transactional and node.database is None:
            yield CONSUMER_WITHOUT_DATABASE.at(
                consumer.place, service=node.name, method=consumer.method, topic=consumer.topic.name
            )


def _unfit(node: Node, consumer: Consumer) -> str:
    method = getattr(node.application, consumer.method)
    if not inspect.iscoroutinefunction(method):
        return "it is not async"
    if consumer.event is not consumer.topic.type:
        return f"it takes {type_name(consumer.event)}, the topic's events are {type_name(consumer.topic.type)}"
    parameters = list(inspect.signature(method).parameters.values())[2:]
    asked = [each for each in parameters if each.default is each.empty and each.name != "about"]
    wanted = 1 if consumer.transactional else 0
    if len(asked) > wanted:
        return f"it asks for more than the event{' and the transaction' if wanted else ''} (about: Event tells of it)"
    if len([each for each in parameters if each.name != "about"]) < wanted:
        return "it takes no transaction"
    known = list[Event] if consumer.batch else Event
    about = get_type_hints(method).get("about", known)
    if about not in (known, known | None):
        return f"about is of type {type_name(about)}, not {type_name(known)}"
    return ""


def _databases(graph: Graph) -> Iterator[Problem]:
    """What needs a database has one."""
    for node in graph.nodes:
        implementation = node.implementation
        if node.database is not None or implementation is None:
            continue
        for contract in implementation.contracts:
            for operation in contract.operations:
                if operation.idempotency_key:
                    yield IDEMPOTENCY_WITHOUT_DATABASE.at(operation.place, operation=operation, service=node.name)
        for schedule in implementation.schedules:
            if not schedule.each_replica:
                yield SCHEDULE_WITHOUT_DATABASE.at(
                    schedule.place, service=node.name, method=schedule.method, seconds=schedule.seconds
                )
        wants_publisher = any(dependency.wants == "publisher" for dependency in node.dependencies)
        if implementation.publishes and not wants_publisher:
            names = ", ".join(topic.name for topic in implementation.publishes)
            yield PUBLISHER_WITHOUT_DATABASE.at(implementation.place, service=node.name, topics=names)


def _settings(graph: Graph) -> Iterator[Problem]:
    for node in graph.nodes:
        if node.settings is not None and not field_names(node.settings):
            reason = f"settings is of type {type(node.settings).__name__}"
            do = "make it an instance of a struct or dataclass"
            yield BAD_SETTINGS.at(node.member.place, service=node.name, reason=reason, do=do)


def _levels(graph: Graph) -> Iterator[Problem]:
    for node in graph.nodes:
        reason = mistake_of(node.slo) if node.slo else ""
        if reason:
            yield BAD_SLO.at(node.member.place, service=node.name, reason=reason)


def _migrations(node: Node, surroundings: Surroundings) -> Iterable[Problem]:
    if node.database is None or not node.database.migrations:
        return ()
    files = surroundings.migrations.get(node.name)
    if files is None:
        place, folder = node.member.place, node.database.migrations
        return [MIGRATIONS_MISSING.at(place, service=node.name, folder=folder, reason="does not exist")]
    return migration_problems(node.name, node.database.migrations, files, surroundings.applied.get(node.name, {}))


def secrets_of(node: Node) -> list[Secret]:
    """The secrets that a member needs to start."""
    values = [getattr(node.settings, name) for name in field_names(node.settings)]
    values += getattr(node.member, "environment", {}).values()
    found = [value for value in values if isinstance(value, Secret)]
    dsn = node.database.dsn if node.database else None
    return found + ([dsn] if dsn else [])


def _secrets(node: Node, surroundings: Surroundings) -> Iterable[Problem]:
    # A database's secret names what the cluster has; here atoll makes the database, unless the secret is given.
    dsn = node.database.dsn if node.database else None
    return [
        _without_source(node.name, secret, node.member.place)
        for secret in secrets_of(node)
        if secret is not dsn and not _has_source(secret, surroundings)
    ]


def _gateway_secrets(graph: Graph, surroundings: Surroundings) -> Iterator[Problem]:
    gateway = graph.system.gateway
    for keys in gateway.api_keys if gateway else ():
        if not _has_source(keys.keys, surroundings):
            yield _without_source("gateway", keys.keys, graph.system.place)


def _has_source(secret: Secret, surroundings: Surroundings) -> bool:
    return entry_of(secret) in surroundings.secrets or variable_of(secret) in surroundings.variables


def _without_source(owner: str, secret: Secret, place: str) -> Problem:
    return SECRET_WITHOUT_SOURCE.at(place, service=owner, secret=entry_of(secret), variable=variable_of(secret))


RULES: Sequence[Callable[[Graph], Iterator[Problem]]] = (
    _names,
    _names_at_engines,
    _routes,
    _implementations,
    _dependencies,
    _gateway,
    _topics,
    _keys,
    _keeping,
    _handlers,
    _databases,
    _settings,
    _levels,
)
