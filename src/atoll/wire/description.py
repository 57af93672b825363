"""A system as data: what leaves the process that imported the user's code."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from atoll.model.access import ApiKeys, RateLimit, is_url, rate_of
from atoll.model.contract import Contract, Fault, Operation, Parameter, fault_struct
from atoll.model.resources import KEPT_BYTES, KEPT_SECONDS, AnyTopic, Limits, Postgres, Replicas, Secret
from atoll.model.slo import Slo
from atoll.model.system import Asgi, Gateway, Graph, Node, Process, Service
from atoll.wire.schema import Schema, schemas
from atoll.wire.secrets import SecretData, environment_of, settings_of


class ProblemData(msgspec.Struct, frozen=True):
    """errors.Problem as data."""

    code: str
    sentence: str
    place: str = ""
    has: tuple[str, ...] = ()
    do: str = ""
    detail: str = ""


class ParameterData(msgspec.Struct, frozen=True):
    """A parameter. `default` is its JSON where it is not required."""

    name: str
    source: Literal["path", "query", "body"]
    required: bool
    schema: Schema
    default: msgspec.Raw = msgspec.Raw(b"null")


class FaultData(msgspec.Struct, frozen=True):
    """A declared fault: class name, status, the first line of its docstring, the schema of its fields."""

    name: str
    status: int
    doc: str
    schema: Schema


class OperationData(msgspec.Struct, frozen=True):
    """A routed method. `body` and `returns` are None where there is none; `returns` is one element of a stream."""

    name: str
    method: str
    path: str
    status: int
    streams: bool
    idempotent: bool
    idempotency_key: bool
    parameters: tuple[ParameterData, ...]
    body: ParameterData | None
    returns: Schema | None
    faults: tuple[FaultData, ...]
    doc: str
    scopes: tuple[str, ...] = ()
    public: bool = False


class ContractData(msgspec.Struct, frozen=True):
    """A contract; `target` is "package.module:Class"."""

    name: str
    target: str
    doc: str
    operations: tuple[OperationData, ...]


class CallData(msgspec.Struct, frozen=True):
    """An edge of the call graph. `contract` is a target, "" for a member without one."""

    parameter: str
    contract: str
    to: str


class PostgresData(msgspec.Struct, frozen=True):
    """A service's database.

    migrations: absolute folder, "" for none. secret, key: of an existing database's DSN; "" if atoll makes one.
    """

    migrations: str
    connections: int
    secret: str = ""
    key: str = ""


class ConsumerData(msgspec.Struct, frozen=True):
    """A handler of a topic's events."""

    topic: str
    method: str
    transactional: bool
    batch: bool


class ScheduleData(msgspec.Struct, frozen=True):
    """A method that runs every so many seconds."""

    method: str
    seconds: float
    each_replica: bool


class SloData(msgspec.Struct, frozen=True):
    """Slo as data. latency_share: 0 where nothing is promised."""

    availability: float
    latency_share: float = 0.0
    latency_seconds: float = 0.0


class MemberData(msgspec.Struct, frozen=True, kw_only=True):
    """A member of the system.

    target: "package.module:name" of the class, application or factory; "" for a Process or External.
    contracts: targets of those it serves. secrets: settings fields to fill, by field name.
    secret_environment: variables to fill, by name, beside those of `environment`, which everybody may read.
    files: of the project, that it imports, sorted; a change to one of them means a restart.
    path: prefix at the gateway of an Asgi, or of a Process with one. directory: absolute.
    """

    name: str
    kind: Literal["service", "asgi", "process", "external"]
    target: str = ""
    contracts: tuple[str, ...] = ()
    calls: tuple[CallData, ...] = ()
    injects: bool = False
    database: PostgresData | None = None
    publishes: tuple[str, ...] = ()
    wants_publisher: bool = False
    consumes: tuple[ConsumerData, ...] = ()
    schedules: tuple[ScheduleData, ...] = ()
    settings: msgspec.Raw = msgspec.Raw(b"null")
    secrets: dict[str, SecretData] = {}
    replicas_least: int = 1
    replicas_most: int = 1
    port: int = 0
    path: str = ""
    command: tuple[str, ...] = ()
    directory: str = ""
    health: str = ""
    environment: dict[str, str] = {}
    secret_environment: dict[str, SecretData] = {}
    url: str = ""
    body_limit: int = 1_048_576
    concurrency: int = 1024
    deadline: float = 3.0
    grace: float = 15.0
    slo: SloData | None = None
    files: tuple[str, ...] = ()
    place: str = ""

    @property
    def all_secrets(self) -> tuple[SecretData, ...]:
        """That its process is told."""
        return (*self.secrets.values(), *self.secret_environment.values())


class TopicData(msgspec.Struct, frozen=True):
    """A topic; `publisher` is a member's name, "" if nobody publishes it."""

    name: str
    key: str
    publisher: str
    schema: Schema
    kept_seconds: float = KEPT_SECONDS
    kept_bytes: int = KEPT_BYTES


class IssuerData(msgspec.Struct, frozen=True):
    """Whose tokens are accepted. keys: its JWKS as JSON; "" where it is fetched from `url`."""

    issuer: str
    audience: str
    keys: str = ""
    url: str = ""


class ApiKeysData(msgspec.Struct, frozen=True):
    """The secret with the hashed keys, and what each client may do."""

    secret: SecretData
    header: str
    scopes: dict[str, tuple[str, ...]] = {}


class RateLimitData(msgspec.Struct, frozen=True):
    """So many requests in so many seconds, `burst` of them at once."""

    per: Literal["client", "token", "route", "whole"]
    requests: int
    seconds: int
    burst: int


class CorsData(msgspec.Struct, frozen=True):
    """Pages of other origins whose scripts may call."""

    origins: tuple[str, ...]
    credentials: bool
    headers: tuple[str, ...]
    max_age: int


class GatewayData(msgspec.Struct, frozen=True):
    """The way in. expose, public: names of members. body_limit, header_limit: bytes."""

    expose: tuple[str, ...]
    port: int
    issuers: tuple[IssuerData, ...] = ()
    api_keys: ApiKeysData | None = None
    public: tuple[str, ...] = ()
    rate_limits: tuple[RateLimitData, ...] = ()
    cors: CorsData | None = None
    body_limit: int = 16_777_216
    header_limit: int = 32_768

    @property
    def knows_callers(self) -> bool:
        return bool(self.issuers or self.api_keys)


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was declared, as data.

    folder: of the system file, absolute; relative paths of the declaration start there.
    import_path: what has to stand in front of Python's own path.
    files: of the project, that the declaration itself imports: a change means that it must be read again.
    schemas: named JSON Schemas which the others refer to as #/components/schemas/NAME.
    problems: everything that is wrong; nothing is started while there are any.
    """

    name: str
    folder: str
    import_path: tuple[str, ...]
    target: str = ""
    members: tuple[MemberData, ...] = ()
    contracts: tuple[ContractData, ...] = ()
    topics: tuple[TopicData, ...] = ()
    gateway: GatewayData | None = None
    schemas: dict[str, Schema] = {}
    files: tuple[str, ...] = ()
    problems: tuple[ProblemData, ...] = ()

    def member(self, name: str) -> MemberData | None:
        return next((member for member in self.members if member.name == name), None)

    def contract(self, target: str) -> ContractData | None:
        return next((contract for contract in self.contracts if contract.target == target), None)


FilesOf = Callable[[str], tuple[str, ...]]
"""The project's files that a module imports, directly or not, with its own; by module name."""


def describe(
    graph: Graph, folder: Path, import_path: tuple[str, ...], files_of: FilesOf, jwks: Mapping[str, str | None]
) -> Description:
    """The graph as data, without its problems; it must have been read without any.

    jwks: what stands in the files with issuers' keys, by the name that is declared.
    """
    contracts = _contracts(graph)
    topics = _topics(graph)
    pairs = [pair for contract in contracts for pair in _types(contract)]
    # A fault that several operations raise has one struct: msgspec tells types apart by identity.
    faults = {fault for contract in contracts for operation in contract.operations for fault in operation.faults}
    pairs += [(fault, fault_struct(fault)) for fault in sorted(faults, key=target_of)]
    pairs += [(topic.type, topic.type) for topic in topics]
    made, components = schemas(kind for _, kind in pairs)
    # By identity: the graph keeps each type object alive, and not every type can be hashed.
    known: Known = {id(owner): schema for (owner, _), schema in zip(pairs, made, strict=True)}
    publishers = {
        topic.name: node.name for node in graph.nodes if node.implementation for topic in node.implementation.publishes
    }
    return Description(
        name=graph.system.name,
        folder=str(folder),
        import_path=import_path,
        members=tuple(_member(node, folder, files_of) for node in graph.nodes),
        contracts=tuple(_contract(contract, known) for contract in contracts),
        topics=tuple(
            TopicData(
                topic.name,
                topic.key,
                publishers.get(topic.name, ""),
                known[id(topic.type)],
                topic.kept_seconds,
                topic.kept_bytes,
            )
            for topic in topics
        ),
        gateway=_gateway(graph.system.gateway, jwks) if graph.system.gateway else None,
        schemas=components,
    )


Known = dict[int, Schema]


def _gateway(gateway: Gateway, jwks: Mapping[str, str | None]) -> GatewayData:
    cors = gateway.cors
    return GatewayData(
        expose=tuple(member.name for member in gateway.expose),
        port=gateway.port,
        issuers=tuple(
            IssuerData(each.issuer, each.audience, url=each.jwks)
            if is_url(each.jwks)
            else IssuerData(each.issuer, each.audience, jwks.get(each.jwks) or "")
            for each in gateway.issuers
        ),
        api_keys=next((_api_keys(each) for each in gateway.api_keys), None),
        public=tuple(sorted(member.name for member in gateway.public)),
        rate_limits=tuple(map(_rate_limit, gateway.rate_limits)),
        cors=CorsData(tuple(cors.origins), cors.credentials, tuple(cors.headers), cors.max_age) if cors else None,
        body_limit=gateway.body,
        header_limit=gateway.headers,
    )


def _api_keys(keys: ApiKeys) -> ApiKeysData:
    scopes = {client: tuple(keys.scopes[client]) for client in sorted(keys.scopes)}
    return ApiKeysData(SecretData(keys.keys.name, keys.keys.key), keys.header, scopes)


def _rate_limit(limit: RateLimit) -> RateLimitData:
    requests, seconds = rate_of(limit.rate) or (0, 1)
    return RateLimitData(limit.per, requests, seconds, limit.burst or requests)


def _contracts(graph: Graph) -> list[Contract]:
    """Each contract once, in the order of the members."""
    found: dict[str, Contract] = {}
    for node in graph.nodes:
        for contract in (*node.contracts, *(call.contract for call in node.calls)):
            if contract.operations:
                found.setdefault(target_of(contract.type), contract)
    return list(found.values())


def _topics(graph: Graph) -> list[AnyTopic]:
    """Each topic once, by name; as its publisher declares it."""
    found: dict[str, AnyTopic] = {}
    implementations = [node.implementation for node in graph.nodes if node.implementation]
    published = (topic for each in implementations for topic in each.publishes)
    consumed = (consumer.topic for each in implementations for consumer in each.consumers)
    for topic in (*published, *consumed):
        found.setdefault(topic.name, topic)
    return [found[name] for name in sorted(found)]


def _types(contract: Contract) -> list[tuple[object, object]]:
    """Every type of parameters and answers: the very object that an operation holds, and what to describe for it."""
    found: list[tuple[object, object]] = []
    for operation in contract.operations:
        found += [(parameter.type, parameter.type) for parameter in operation.parameters]
        found += [(operation.returns, operation.returns)] if operation.returns is not None else []
    return found


def _contract(contract: Contract, known: Known) -> ContractData:
    operations = tuple(_operation(operation, known) for operation in contract.operations)
    return ContractData(contract.name, target_of(contract.type), contract.doc, operations)


def _operation(operation: Operation, known: Known) -> OperationData:
    parameters = [_parameter(parameter, known) for parameter in operation.parameters]
    return OperationData(
        name=operation.name,
        method=operation.method,
        path=operation.path,
        status=operation.status,
        streams=operation.streams,
        idempotent=operation.idempotent,
        idempotency_key=operation.idempotency_key,
        parameters=tuple(parameter for parameter in parameters if parameter.source != "body"),
        body=next((parameter for parameter in parameters if parameter.source == "body"), None),
        returns=None if operation.returns is None else known[id(operation.returns)],
        faults=tuple(_fault(fault, known) for fault in operation.faults),
        doc=operation.doc,
        scopes=operation.scopes,
        public=operation.public,
    )


def _parameter(parameter: Parameter, known: Known) -> ParameterData:
    default = msgspec.Raw(b"null" if parameter.required else msgspec.json.encode(parameter.default))
    return ParameterData(parameter.name, parameter.source, parameter.required, known[id(parameter.type)], default)


def _fault(fault: type[Fault], known: Known) -> FaultData:
    # A dataclass without a docstring of its own gets its signature as one.
    written = inspect.getdoc(fault) or ""
    doc = "" if written.startswith(f"{fault.__name__}(") else written.partition("\n")[0]
    return FaultData(fault.__name__, fault.status, doc, known[id(fault)])


def _member(node: Node, folder: Path, files_of: FilesOf) -> MemberData:
    member = node.member
    implementation = node.implementation
    target = _target(node)
    settings, secrets = settings_of(node.settings)
    environment, secret_environment = environment_of(getattr(member, "environment", {}))
    least, most = _replicas(getattr(member, "replicas", 1))
    limits = getattr(member, "limits", Limits())
    return MemberData(
        name=member.name,
        kind=node.kind,
        target=target,
        contracts=tuple(target_of(contract.type) for contract in node.contracts),
        calls=tuple(
            CallData(call.parameter, target_of(call.contract.type) if call.contract.operations else "", call.to)
            for call in node.calls
        ),
        injects=node.is_factory or implementation is not None,
        database=_database(node.database, folder),
        publishes=tuple(sorted(topic.name for topic in implementation.publishes)) if implementation else (),
        wants_publisher=any(dependency.wants == "publisher" for dependency in node.dependencies),
        consumes=tuple(
            ConsumerData(each.topic.name, each.method, each.transactional, each.batch)
            for each in (implementation.consumers if implementation else ())
        ),
        schedules=tuple(
            ScheduleData(each.method, each.seconds, each.each_replica)
            for each in (implementation.schedules if implementation else ())
        ),
        settings=settings,
        secrets=secrets,
        replicas_least=least,
        replicas_most=most,
        port=getattr(member, "port", 0),
        path=getattr(member, "path", ""),
        command=tuple(getattr(member, "command", ())),
        directory=str(folder / member.directory) if isinstance(member, Process) else "",
        health=getattr(member, "health", ""),
        environment=environment,
        secret_environment=secret_environment,
        url=getattr(member, "url", ""),
        body_limit=limits.body,
        concurrency=limits.concurrency,
        deadline=limits.deadline,
        grace=limits.grace,
        slo=_slo(node.slo),
        files=files_of(target.partition(":")[0]) if target else (),
        place=member.place,
    )


def _target(node: Node) -> str:
    """What the service's process imports."""
    if isinstance(node.member, Asgi):
        return node.member.application
    if isinstance(node.member, Service):
        written = node.member.implementation
        return written if isinstance(written, str) else target_of(written)
    return ""


def _database(database: Postgres | None, folder: Path) -> PostgresData | None:
    if database is None:
        return None
    migrations = str(folder / database.migrations) if database.migrations else ""
    secret = database.dsn or Secret("", "")
    return PostgresData(migrations, database.connections, secret.name, secret.key)


def _slo(slo: Slo | None) -> SloData | None:
    return SloData(slo.availability, *(slo.latency or (0.0, 0.0))) if slo else None


def _replicas(replicas: int | Replicas) -> tuple[int, int]:
    return (replicas, replicas) if isinstance(replicas, int) else (replicas.least, replicas.most)


def target_of(thing: object) -> str:
    """ "package.module:Class" of a class or function."""
    return f"{getattr(thing, '__module__', '')}:{getattr(thing, '__qualname__', '')}"
