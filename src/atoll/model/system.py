"""Services and resources together: the declaration, and the call graph read from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from atoll.errors import AMBIGUOUS_DEPENDENCY, BAD_CONTRACT, NOT_AN_APPLICATION, UNKNOWN_DEPENDENCY, AtollError, Problem
from atoll.model.access import ApiKeys, Cors, Jwt, RateLimit
from atoll.model.contract import Contract, contracts_of, read_contract, type_name
from atoll.model.resources import Limits, Postgres, Replicas, Secret
from atoll.model.service import Dependency, Implementation, read_dependencies, read_implementation
from atoll.model.slo import Slo
from atoll.model.source import place_of, place_of_caller
from atoll.model.suggest import nearest

Kind = Literal["service", "asgi", "process", "external"]


class Member:
    """What `services` and `expose` hold."""

    name: str
    place: str


@dataclass(frozen=True)
class Service(Member):
    """A class that implements contracts, run by atoll.

    implementation: the class, or "package.module:Class", which is then imported in the service's process only.
    database: of its own; what its constructor asks for as `Database`, and where its outbox and inbox are.
    settings: a struct or dataclass; the constructor parameter of its type receives it.
    replicas: on the cluster; `atoll run` starts one unless told otherwise.
    port: where it listens; 0 lets atoll choose.
    slo: the level that its users may expect; alerts follow from it.
    """

    name: str
    implementation: type[object] | str
    database: Postgres | None = None
    settings: object = None
    replicas: int | Replicas = 1
    port: int = 0
    limits: Limits = field(default_factory=Limits)
    slo: Slo | None = None
    place: str = field(default_factory=place_of_caller, compare=False, repr=False)


@dataclass(frozen=True)
class Asgi(Member):
    """An ASGI application as a member: as it is, or made by a factory whose annotated parameters are injected.

    application: "package.module:name".
    path: the prefix under which the gateway serves it. An application sees its own paths with the prefix in front,
    and the prefix as ASGI's `root_path`.
    calls: contracts (or members) whose addresses an application finds in its environment as CATALOG_URL and so on.
    environment: variables; what nobody else may read is a `Secret`.
    """

    name: str
    application: str
    path: str = "/"
    calls: Sequence[type[object] | Member] = ()
    database: Postgres | None = None
    settings: object = None
    environment: Mapping[str, str | Secret] = field(default_factory=dict[str, str | Secret])
    replicas: int | Replicas = 1
    port: int = 0
    limits: Limits = field(default_factory=Limits)
    slo: Slo | None = None
    place: str = field(default_factory=place_of_caller, compare=False, repr=False)


@dataclass(frozen=True)
class Process(Member):
    """Any program that listens on the port in its environment variable PORT and answers GET `health` with 200.

    command: the program and its arguments. directory: where it runs, relative to the system file.
    contract: what it answers. path: a prefix for the gateway, where it has no contract; "" for none.
    calls: contracts (or members) whose addresses it finds in its environment as CATALOG_URL and so on.
    environment: more variables; what nobody else may read is a `Secret`, such as {"API_KEY": Secret("stripe-key")}.
    """

    name: str
    command: Sequence[str]
    directory: str = ""
    contract: type[object] | None = None
    path: str = ""
    calls: Sequence[type[object] | Member] = ()
    database: Postgres | None = None
    health: str = "/health"
    environment: Mapping[str, str | Secret] = field(default_factory=dict[str, str | Secret])
    replicas: int | Replicas = 1
    port: int = 0
    limits: Limits = field(default_factory=Limits)
    place: str = field(default_factory=place_of_caller, compare=False, repr=False)


@dataclass(frozen=True)
class External(Member):
    """A service that somebody else deploys, at a URL: called like the others, with the same breakers and retries.

    contract: what is called of it; others name it by this class. url: "https://api.example.com/v2".
    """

    name: str
    contract: type[object]
    url: str
    place: str = field(default_factory=place_of_caller, compare=False, repr=False)


@dataclass(frozen=True)
class Gateway:
    """The way in: the routes of the exposed members, in front of everything.

    expose: members whose contracts or path the outside may reach.
    auth: how callers are known; with it, what is not public is for known callers alone. With None
    everything is public.
    public: exposed members that need no token; one that comes is verified there too. Of a contract's operations
    `public=True` says the same of one.
    rate_limits: at most one of each kind. cors: None lets in no other origin's scripts.
    body, headers: most bytes of a request's body (413 above) and of its headers together (431 above).
    """

    expose: Sequence[Member]
    port: int = 8080
    auth: Jwt | ApiKeys | Sequence[Jwt | ApiKeys] | None = None
    public: Sequence[Member] = ()
    rate_limits: Sequence[RateLimit] = ()
    cors: Cors | None = None
    body: int = 16_777_216
    headers: int = 32_768

    @property
    def issuers(self) -> tuple[Jwt, ...]:
        return tuple(each for each in self._auth if isinstance(each, Jwt))

    @property
    def api_keys(self) -> tuple[ApiKeys, ...]:
        return tuple(each for each in self._auth if isinstance(each, ApiKeys))

    @property
    def _auth(self) -> Sequence[Jwt | ApiKeys]:
        if self.auth is None:
            return ()
        return (self.auth,) if isinstance(self.auth, Jwt | ApiKeys) else self.auth


@dataclass(frozen=True)
class System:
    """A system of services. Everything that atoll does starts from this value.

    name: a DNS label. services: its members, of any kind. gateway: None keeps all of them inside.
    """

    name: str
    services: Sequence[Member]
    gateway: Gateway | None = None
    place: str = field(default_factory=place_of_caller, compare=False, repr=False)


@dataclass(frozen=True)
class Call:
    """An edge of the call graph.

    parameter: of the constructor or factory; "" where the address is in the environment.
    """

    parameter: str
    contract: Contract
    to: str


@dataclass(frozen=True)
class Node:
    """A member with everything read of it.

    application: of a Service its class, of an Asgi the application or factory.
    """

    member: Member
    kind: Kind
    contracts: tuple[Contract, ...]
    dependencies: tuple[Dependency, ...] = ()
    calls: tuple[Call, ...] = ()
    implementation: Implementation | None = None
    application: object = None
    is_factory: bool = False

    @property
    def name(self) -> str:
        return self.member.name

    @property
    def database(self) -> Postgres | None:
        return getattr(self.member, "database", None)

    @property
    def slo(self) -> Slo | None:
        return getattr(self.member, "slo", None)

    @property
    def settings(self) -> object:
        return getattr(self.member, "settings", None)


@dataclass(frozen=True)
class Graph:
    """The system, read. `problems` holds what was wrong in the reading; `check` has the rest."""

    system: System
    nodes: tuple[Node, ...]
    problems: tuple[Problem, ...]

    def node(self, name: str) -> Node | None:
        return next((node for node in self.nodes if node.name == name), None)


Load = Callable[[str], object]
"""Imports "package.module:name". Raises AtollError."""


def read_system(system: System, load: Load) -> Graph:
    """The system as a graph, with every problem met on the way."""
    problems: list[Problem] = []
    nodes = [_read_member(member, load, problems) for member in system.services]
    nodes = [_with_calls(node, nodes, problems) for node in nodes]
    return Graph(system, tuple(nodes), tuple(problems))


def _read_member(member: Member, load: Load, problems: list[Problem]) -> Node:
    if isinstance(member, Service):
        return _read_service(member, load, problems)
    if isinstance(member, Asgi):
        return _read_asgi(member, load, problems)
    contract = getattr(member, "contract", None)
    contracts: tuple[Contract, ...] = ()
    if contract is not None:
        read, found = read_contract(contract)
        problems += found
        contracts = (read,)
        if not read.operations:
            problems.append(BAD_CONTRACT.at(member.place, service=member.name, what=type_name(contract)))
    return Node(member, "external" if isinstance(member, External) else "process", contracts)


def _read_service(member: Service, load: Load, problems: list[Problem]) -> Node:
    implementation = member.implementation
    if isinstance(implementation, str):
        loaded = _load(member, implementation, load, problems)
        if not isinstance(loaded, type):
            return Node(member, "service", ())
        implementation = loaded
    read, found = read_implementation(implementation)
    problems += found
    return Node(member, "service", read.contracts, read.dependencies, implementation=read, application=implementation)


def _read_asgi(member: Asgi, load: Load, problems: list[Problem]) -> Node:
    application = _load(member, member.application, load, problems)
    if application is None:
        return Node(member, "asgi", ())
    if not callable(application):
        what = f"of type {type(application).__name__}"
        place = member.place
        problems.append(NOT_AN_APPLICATION.at(place, service=member.name, target=member.application, what=what))
        return Node(member, "asgi", ())
    if not is_factory(application):
        return Node(member, "asgi", (), application=application)
    dependencies, found = read_dependencies(application, member.name, skip_first=False)
    problems += found
    return Node(member, "asgi", (), dependencies, application=application, is_factory=True)


def is_factory(application: Callable[..., object]) -> bool:
    """Whether it makes an application: a plain function does, an object or an async function is one."""
    code = getattr(application, "__code__", None)
    return code is not None and not code.co_flags & 0x80  # CO_COROUTINE: `async def app(scope, receive, send)`


def _load(member: Member, target: str, load: Load, problems: list[Problem]) -> object:
    try:
        return load(target)
    except AtollError as error:
        # Where no file of the user's is to blame, the declaration is.
        problems += [replace(problem, place=problem.place or member.place) for problem in error.problems]
        return None


def _with_calls(node: Node, nodes: list[Node], problems: list[Problem]) -> Node:
    """The node with its edges: from constructor parameters, or from `calls`."""
    calls: list[Call] = []
    for dependency in node.dependencies:
        if dependency.wants == "call":
            call = _find(node, dependency, nodes, problems)
            calls += [call] if call else []
    for target in getattr(node.member, "calls", ()):
        calls += _listed(node, target, nodes, problems)
    return replace(node, calls=tuple(calls))


def providers(contract: type[object], nodes: Sequence[Node]) -> list[Node]:
    """The members that serve this contract."""
    return [node for node in nodes if any(issubclass_of(served.type, contract) for served in node.contracts)]


def issubclass_of(served: type[object], wanted: type[object]) -> bool:
    """Whether one contract is the other or extends it; by inheritance, for Protocols refuse issubclass()."""
    return wanted in served.__mro__


def _find(node: Node, dependency: Dependency, nodes: list[Node], problems: list[Problem]) -> Call | None:
    found = providers(dependency.type, nodes)
    if dependency.service:
        found = [provider for provider in found if provider.name == dependency.service]
    place = place_of(node.application) or node.member.place
    wanted = type_name(dependency.type)
    if len(found) == 1:
        contract, _ = read_contract(dependency.type)
        return Call(dependency.parameter, contract, found[0].name)
    if not found and not dependency.optional:
        offered = [type_name(served.type) for other in nodes for served in other.contracts]
        problems.append(
            UNKNOWN_DEPENDENCY.at(
                place, has=nearest(wanted, offered), service=node.name, parameter=dependency.parameter, type=wanted
            )
        )
    if len(found) > 1:
        names = [provider.name for provider in found]
        problems.append(
            AMBIGUOUS_DEPENDENCY.at(
                place,
                service=node.name,
                parameter=dependency.parameter,
                type=wanted,
                services=", ".join(names),
                first=names[0],
            )
        )
    return None


def _listed(node: Node, target: type[object] | Member, nodes: list[Node], problems: list[Problem]) -> list[Call]:
    """The edges for one entry of `calls`."""
    if isinstance(target, Member):
        to = next((other for other in nodes if other.name == target.name), None)
        if to is None:
            names = nearest(target.name, [other.name for other in nodes])
            problems.append(
                UNKNOWN_DEPENDENCY.at(
                    node.member.place, has=names, service=node.name, parameter="calls", type=target.name
                )
            )
            return []
        contracts = to.contracts or (Contract(target.name, object, (), "", ""),)
        return [Call("", contract, to.name) for contract in contracts]
    if not contracts_of(target):
        problems.append(BAD_CONTRACT.at(node.member.place, service=node.name, what=type_name(target)))
        return []
    call = _find(node, Dependency("calls", target, "call"), nodes, problems)
    return [Call("", call.contract, call.to)] if call else []
