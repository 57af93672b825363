"""An implementation of contracts, and what it needs."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Concatenate, Literal, ParamSpec, TypeVar, get_args, get_origin, get_type_hints, overload

from atoll.errors import MISSING_ANNOTATION, UNREADABLE_TYPE, Problem
from atoll.model.contract import Contract, contracts_of, read_contract, type_name
from atoll.model.resources import AnyTopic, Caller, Database, Publisher, Topic, Transaction
from atoll.model.source import place_of

F = TypeVar("F", bound=Callable[..., object])
C = TypeVar("C", bound=type[object])
S = TypeVar("S")
E = TypeVar("E")
P = ParamSpec("P")

InTransaction = Callable[Concatenate[S, E, Transaction, P], Awaitable[None]]
InTransactionBatch = Callable[Concatenate[S, list[E], Transaction, P], Awaitable[None]]
Bare = Callable[Concatenate[S, E, P], Awaitable[None]]
Wants = Literal["call", "caller", "database", "publisher", "settings"]


@dataclass(frozen=True, slots=True)
class Dependency:
    """A constructor parameter. `service` is the name given by Annotated, "" if the type alone decides."""

    parameter: str
    type: type[object]
    wants: Wants
    service: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Consumer:
    """A method that handles events of a topic.

    batch: it takes a list of events in one transaction. event: the type its first parameter asks for.
    """

    topic: AnyTopic
    method: str
    event: object
    transactional: bool
    batch: bool
    place: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """A method that runs every so many seconds, on one replica unless `each_replica`."""

    method: str
    seconds: float
    each_replica: bool
    place: str


@dataclass(frozen=True, slots=True)
class Implementation:
    """What a service class says of itself."""

    name: str
    type: Callable[..., object]
    contracts: tuple[Contract, ...]
    dependencies: tuple[Dependency, ...]
    publishes: tuple[AnyTopic, ...]
    consumers: tuple[Consumer, ...]
    schedules: tuple[Schedule, ...]
    place: str


def publishes(*topics: AnyTopic) -> Callable[[C], C]:
    """The service publishes these topics; nobody else does."""

    def mark(cls: C) -> C:
        cls.__atoll_publishes__ = topics  # type: ignore[attr-defined]
        return cls

    return mark


@overload
def consumes(topic: Topic[E]) -> Callable[[InTransaction[S, E, P]], InTransaction[S, E, P]]: ...
@overload
def consumes(
    topic: Topic[E], *, batch: Literal[True]
) -> Callable[[InTransactionBatch[S, E, P]], InTransactionBatch[S, E, P]]: ...
@overload
def consumes(topic: Topic[E], *, idempotent: Literal[True]) -> Callable[[Bare[S, E, P]], Bare[S, E, P]]: ...
def consumes(topic: AnyTopic, *, idempotent: bool = False, batch: bool = False) -> Callable[[F], F]:
    """The method handles each event of the topic: at least once, made once by the inbox in the same transaction.

    idempotent: it does no harm if repeated, and takes no transaction.
    batch: it takes a list of events, all in one transaction; if that fails each is tried alone.

    A further parameter `about: Event`, of a batch `about: list[Event]`, tells of the event's id, time and attempt.
    """

    def mark(function: F) -> F:
        function.__atoll_consumes__ = (topic, not idempotent, batch)  # type: ignore[attr-defined]
        return function

    return mark


def every(
    *, seconds: float = 0.0, minutes: float = 0.0, hours: float = 0.0, each_replica: bool = False
) -> Callable[[F], F]:
    """The method runs every so often, first one period after the start; one replica runs it.

    each_replica: every replica runs it; needed where the service has no database to hold the lock.
    """
    period = seconds + 60 * minutes + 3600 * hours
    if period <= 0:
        raise ValueError(f"every(...) needs a time above 0, got {period:g} s")

    def mark(function: F) -> F:
        function.__atoll_every__ = (period, each_replica)  # type: ignore[attr-defined]
        return function

    return mark


def read_implementation(cls: type[object]) -> tuple[Implementation, list[Problem]]:
    """Read a service class once into values, with everything that is wrong in it."""
    problems: list[Problem] = []
    contracts: list[Contract] = []
    for contract in contracts_of(cls):
        read, found = read_contract(contract)
        contracts.append(read)
        problems += found
    dependencies, found = read_dependencies(cls.__init__, cls.__name__, skip_first=True)
    problems += found
    consumers: list[Consumer] = []
    schedules: list[Schedule] = []
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        consumption: tuple[AnyTopic, bool, bool] | None = getattr(method, "__atoll_consumes__", None)
        if consumption is not None:
            topic, transactional, batch = consumption
            event = _event_type(method, batch)
            consumers.append(Consumer(topic, name, event, transactional, batch, place_of(method)))
        schedule: tuple[float, bool] | None = getattr(method, "__atoll_every__", None)
        if schedule is not None:
            schedules.append(Schedule(name, *schedule, place_of(method)))
    implementation = Implementation(
        name=cls.__name__,
        type=cls,
        contracts=tuple(contracts),
        dependencies=dependencies,
        publishes=tuple(getattr(cls, "__atoll_publishes__", ())),
        consumers=tuple(consumers),
        schedules=tuple(schedules),
        place=place_of(cls),
    )
    return implementation, problems


def _event_type(method: Callable[..., object], batch: bool) -> object:
    """What the handler's first parameter asks for; object if it does not say."""
    names = list(inspect.signature(method).parameters)[1:2]
    try:
        kind: object = get_type_hints(method).get(names[0], object) if names else object
    except (NameError, TypeError):
        return object
    if batch and get_origin(kind) is list:
        (kind,) = get_args(kind)
    return kind


def read_dependencies(
    function: Callable[..., object], owner: str, *, skip_first: bool
) -> tuple[tuple[Dependency, ...], list[Problem]]:
    """The parameters of a constructor or factory, as dependencies."""
    place = place_of(function)
    if function is object.__init__ or not hasattr(function, "__code__"):
        return (), []
    problems: list[Problem] = []
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        what = "the constructor"
        return (), [UNREADABLE_TYPE.at(place, operation=owner, what=what, type="?", reason=str(error))]
    found: list[Dependency] = []
    for parameter in list(inspect.signature(function).parameters.values())[1 if skip_first else 0 :]:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.name not in hints:
            what = f"the parameter {parameter.name}"
            problems.append(MISSING_ANNOTATION.at(place, operation=owner, what=what))
            continue
        kind, service = hints[parameter.name], ""
        if get_origin(kind) is Annotated:
            kind, *extras = get_args(kind)
            service = next((extra for extra in extras if isinstance(extra, str)), "")
        optional = parameter.default is not inspect.Parameter.empty
        found.append(Dependency(parameter.name, kind, _wants(kind), service, optional))
    return tuple(found), problems


def _wants(kind: object) -> Wants:
    if kind is Database:
        return "database"
    if kind is Publisher:
        return "publisher"
    if kind is Caller:
        return "caller"
    if isinstance(kind, type) and contracts_of(kind):
        return "call"
    return "settings"


def describe_dependency(dependency: Dependency) -> str:
    return f"{dependency.parameter}: {type_name(dependency.type)}"
