"""A contract: a class of annotated async methods, read into values."""

import dataclasses
import inspect
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Literal, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

import msgspec

from atoll.errors import (
    BAD_PATH,
    BODY_NOT_ALLOWED,
    MISSING_ANNOTATION,
    MISSING_CONTRACT_BODY,
    TWO_BODIES,
    UNKNOWN_PATH_PARAMETER,
    UNREADABLE_TYPE,
    Problem,
)
from atoll.model.source import place_of
from atoll.model.types import is_body, why_unreadable

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
In = Literal["path", "query", "body"]

REQUIRED = inspect.Parameter.empty
_SEGMENT = re.compile(r"\{([a-z_][a-z0-9_]*)\}|[A-Za-z0-9._~!$&'()*+,;=:@%-]+")
_IDEMPOTENT: tuple[Method, ...] = ("GET", "PUT", "DELETE")


@dataclass_transform(kw_only_default=True, eq_default=False)
@dataclass(kw_only=True, eq=False)
class Fault(Exception):
    """An answer that a contract declares for when something is not as hoped; raised by both sides.

    Subclasses are dataclasses: `class UnknownProduct(Fault, status=404): product_id: str`.
    The first line of the docstring is the `detail` that the caller reads.
    """

    status: ClassVar[int] = 500
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __init_subclass__(cls, *, status: int | None = None) -> None:
        cls.status = cls.status if status is None else status
        # Neither eq (exceptions are put in sets) nor frozen (`raise` sets __traceback__).
        dataclass(kw_only=True, eq=False, repr=True)(cls)

    def __str__(self) -> str:
        return repr(self)

    def __reduce__(self) -> tuple[Callable[..., "Fault"], tuple[object, ...]]:
        return (_rebuild, (type(self), dict(self.__dict__)))


def _rebuild(fault: type[Fault], fields: dict[str, object]) -> Fault:
    return fault(**fields)


@dataclass(frozen=True, slots=True)
class Response(Generic[T]):
    """A body with headers of one's own; what a method returns when its contract says Response[T].

    A method that returns `AsyncIterator[T]`, an async generator, answers with a stream of them: server-sent events.
    """

    body: T
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Route:
    """What a decorator such as @get wrote on a method."""

    method: Method
    path: str
    status: int
    raises: tuple[type[Fault], ...]
    idempotent: bool
    idempotency_key: bool
    scopes: tuple[str, ...] = ()
    public: bool = False


def _route(route: Route) -> Callable[[F], F]:
    idempotent = route.idempotent or route.method in _IDEMPOTENT or route.idempotency_key
    made = replace(route, idempotent=idempotent)

    def mark(function: F) -> F:
        function.__atoll_route__ = made  # type: ignore[attr-defined]
        return function

    return mark


def get(
    path: str, *, raises: Sequence[type[Fault]] = (), scopes: Sequence[str] = (), public: bool = False
) -> Callable[[F], F]:
    """The method answers GET at this path; safe to repeat.

    scopes: the caller must have all of them. public: also callers whom nobody knows, where the gateway has `auth`.
    """
    return _route(Route("GET", path, 200, tuple(raises), False, False, tuple(scopes), public))


def post(
    path: str,
    *,
    status: int = 200,
    raises: Sequence[type[Fault]] = (),
    idempotent: bool = False,
    idempotency_key: bool = False,
    scopes: Sequence[str] = (),
    public: bool = False,
) -> Callable[[F], F]:
    """The method answers POST at this path.

    idempotent: making the call twice does no more than making it once, so it may be retried.
    idempotency_key: atoll makes it so: the answer given by `tx.answer(...)` is kept under the caller's key.
    scopes, public: as of `get`.
    """
    return _route(Route("POST", path, status, tuple(raises), idempotent, idempotency_key, tuple(scopes), public))


def put(
    path: str,
    *,
    status: int = 200,
    raises: Sequence[type[Fault]] = (),
    scopes: Sequence[str] = (),
    public: bool = False,
) -> Callable[[F], F]:
    """The method answers PUT at this path; making the call twice does no more than once.

    scopes, public: as of `get`.
    """
    return _route(Route("PUT", path, status, tuple(raises), False, False, tuple(scopes), public))


def patch(
    path: str,
    *,
    status: int = 200,
    raises: Sequence[type[Fault]] = (),
    idempotent: bool = False,
    scopes: Sequence[str] = (),
    public: bool = False,
) -> Callable[[F], F]:
    """The method answers PATCH at this path.

    idempotent, scopes, public: as of `post` and `get`.
    """
    return _route(Route("PATCH", path, status, tuple(raises), idempotent, False, tuple(scopes), public))


def delete(
    path: str,
    *,
    status: int = 200,
    raises: Sequence[type[Fault]] = (),
    scopes: Sequence[str] = (),
    public: bool = False,
) -> Callable[[F], F]:
    """The method answers DELETE at this path; making the call twice does no more than once.

    scopes, public: as of `get`.
    """
    return _route(Route("DELETE", path, status, tuple(raises), False, False, tuple(scopes), public))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation. `default` is REQUIRED where there is none."""

    name: str
    type: object
    source: In
    default: object = REQUIRED

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True, slots=True)
class Operation:
    """One routed method: everything a server, client, gateway or document needs to know of it.

    returns: the type of the JSON body, or of one element where `streams`; None for no body (204).
    with_headers: the method returns Response[returns].
    status: of success, as declared; 204 where there is no body and nothing else was declared.
    scopes: the caller must have all of them. public: the gateway asks for no token.
    """

    contract: str
    name: str
    method: Method
    path: str
    status: int
    parameters: tuple[Parameter, ...]
    returns: object
    streams: bool
    with_headers: bool
    faults: tuple[type[Fault], ...]
    idempotent: bool
    idempotency_key: bool
    doc: str
    place: str
    scopes: tuple[str, ...] = ()
    public: bool = False

    @property
    def body(self) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.source == "body"), None)

    @property
    def pattern(self) -> tuple[str | None, ...]:
        """The path's segments, None for a parameter: equal patterns clash."""
        return tuple(None if segment.startswith("{") else segment for segment in self.path.split("/")[1:])

    def __str__(self) -> str:
        return f"{self.contract}.{self.name}"


@dataclass(frozen=True, slots=True)
class Contract:
    """The routed methods of one class, in the order of its source."""

    name: str
    type: type[object]
    operations: tuple[Operation, ...]
    doc: str
    place: str

    def operation(self, name: str) -> Operation | None:
        return next((operation for operation in self.operations if operation.name == name), None)


def fault_struct(fault: type[Fault]) -> type[msgspec.Struct]:
    """A struct with the fault's fields: what is read and described in its place, for msgspec can't make exceptions."""
    hints = get_type_hints(fault, include_extras=True)
    fields = [(known.name, hints[known.name], _default(known)) for known in dataclasses.fields(fault)]
    return msgspec.defstruct(
        fault.__name__,
        [(name, kind) if default is msgspec.NODEFAULT else (name, kind, default) for name, kind, default in fields],
        kw_only=True,
        module=fault.__module__,
    )


def _default(known: dataclasses.Field[object]) -> object:
    if known.default_factory is not dataclasses.MISSING:
        return msgspec.field(default_factory=known.default_factory)
    return msgspec.NODEFAULT if known.default is dataclasses.MISSING else known.default


def own_routes(cls: type[object]) -> dict[str, Route]:
    """The routes that this very class declares, by method name."""
    found = {name: getattr(value, "__atoll_route__", None) for name, value in vars(cls).items()}
    return {name: route for name, route in found.items() if isinstance(route, Route)}


def contracts_of(cls: type[object]) -> tuple[type[object], ...]:
    """The contracts that a class serves: itself and its bases, wherever routes are declared."""
    return tuple(base for base in cls.__mro__ if own_routes(base))


def read_contract(cls: type[object]) -> tuple[Contract, list[Problem]]:
    """Read the class once into values, with everything that is wrong in it."""
    problems: list[Problem] = []
    operations: list[Operation] = []
    # A contract that extends another has the other's routes too.
    for base in reversed(contracts_of(cls)):
        for name, route in own_routes(base).items():
            operation, found = _read_operation(cls.__name__, name, route, vars(base)[name])
            problems += found
            operations.append(operation)
    doc = inspect.getdoc(cls) or ""
    return Contract(cls.__name__, cls, tuple(operations), doc, place_of(cls)), problems


def _read_operation(
    contract: str, name: str, route: Route, function: Callable[..., object]
) -> tuple[Operation, list[Problem]]:
    place, title = place_of(function), f"{contract}.{name}"
    problems: list[Problem] = []
    hints: dict[str, object] = {}
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        problems.append(UNREADABLE_TYPE.at(place, operation=title, what="a parameter", type="?", reason=str(error)))
    names, bad = path_parameters(route.path)
    if bad:
        problems.append(BAD_PATH.at(place, operation=title, path=route.path, reason=bad))
    parameters = _read_parameters(function, hints, names, problems, title)
    bodies = [parameter for parameter in parameters if parameter.source == "body"]
    known = {parameter.name for parameter in parameters}
    problems += [
        UNKNOWN_PATH_PARAMETER.at(place, operation=title, parameter=name) for name in names if name not in known
    ]
    if len(bodies) > 1:
        listed = ", ".join(body.name for body in bodies)
        problems.append(TWO_BODIES.at(place, operation=title, parameters=listed))
    if bodies and route.method in ("GET", "DELETE"):
        kind = type_name(bodies[0].type)
        problems.append(
            BODY_NOT_ALLOWED.at(place, operation=title, parameter=bodies[0].name, type=kind, method=route.method)
        )
    returns, streams, with_headers = _read_return(function, hints, problems, title)
    status = 204 if returns is None and route.status == 200 else route.status
    operation = Operation(
        contract=contract,
        name=name,
        method=route.method,
        path=route.path,
        status=status,
        parameters=parameters,
        returns=returns,
        streams=streams,
        with_headers=with_headers,
        faults=route.raises,
        idempotent=route.idempotent,
        idempotency_key=route.idempotency_key,
        doc=inspect.getdoc(function) or "",
        place=place,
        scopes=route.scopes,
        public=route.public,
    )
    return operation, problems


def path_parameters(path: str) -> tuple[tuple[str, ...], str]:
    """The names in braces, in order, and what is wrong with the path ("" if nothing)."""
    if not path.startswith("/"):
        return (), "does not start with /"
    names: list[str] = []
    for segment in path.split("/")[1:] if path != "/" else []:
        match = _SEGMENT.fullmatch(segment)
        if match is None:
            return tuple(names), f"has the segment {segment!r}"
        if match[1]:
            names.append(match[1])
    twice = {name for name in names if names.count(name) > 1}
    return tuple(names), f"names {', '.join(sorted(twice))} twice" if twice else ""


def _read_parameters(
    function: Callable[..., object],
    hints: dict[str, object],
    in_path: tuple[str, ...],
    problems: list[Problem],
    title: str,
) -> tuple[Parameter, ...]:
    read: list[Parameter] = []
    place = place_of(function)
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        what = f"the parameter {parameter.name}"
        if parameter.name not in hints:
            if parameter.annotation is REQUIRED:
                problems.append(MISSING_ANNOTATION.at(place, operation=title, what=what))
            read.append(Parameter(parameter.name, str, "path" if parameter.name in in_path else "query"))
            continue
        kind = hints[parameter.name]
        why = why_unreadable(kind)
        if why:
            problems.append(UNREADABLE_TYPE.at(place, operation=title, what=what, type=type_name(kind), reason=why))
        source: In = "path" if parameter.name in in_path else "body" if is_body(kind) else "query"
        read.append(Parameter(parameter.name, kind, source, parameter.default))
    return tuple(read)


def _read_return(
    function: Callable[..., object], hints: dict[str, object], problems: list[Problem], title: str
) -> tuple[object, bool, bool]:
    """The body's type, whether it is a stream, whether headers come with it."""
    place = place_of(function)
    if "return" not in hints:
        if "return" in function.__annotations__:
            return None, False, False  # it could not be read, which has been said
        problems.append(MISSING_ANNOTATION.at(place, operation=title, what="what it returns"))
        return None, False, False
    kind = hints["return"]
    streams = get_origin(kind) is AsyncIterator
    with_headers = get_origin(kind) is Response
    if streams or with_headers:
        (kind,) = get_args(kind)
    if not streams and not inspect.iscoroutinefunction(function):
        problems.append(MISSING_CONTRACT_BODY.at(place, operation=title))
    kind = None if kind is type(None) else kind
    why = why_unreadable(kind) if kind is not None else ""
    if why:
        problems.append(
            UNREADABLE_TYPE.at(place, operation=title, what="what it returns", type=type_name(kind), reason=why)
        )
    return kind, streams, with_headers


def type_name(kind: object) -> str:
    """The type as a user wrote it, more or less: "list[Product]"."""
    if isinstance(kind, type) and not get_args(kind):
        return kind.__name__
    return re.sub(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])", "", str(kind))
