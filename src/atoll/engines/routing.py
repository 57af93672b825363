"""Routes as Envoy tries them, one after the other: a literal segment beats a parameter, and both beat a prefix."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from atoll.engines.access import ways
from atoll.engines.cors import NAME as CORS
from atoll.engines.cors import cors_policy, preflight
from atoll.engines.doors import direct, method_is, table
from atoll.engines.edge import BODY_LIMIT, Policy
from atoll.engines.rates import ROUTE_METADATA
from atoll.engines.xds import TYPE, named, seconds

_LITERAL, _PARAMETER, _REST = range(3)


@dataclass(frozen=True, slots=True)
class Route:
    """One way in.

    path: "/products/{product_id}", matched whole; with `prefix` the path itself and everything below it.
    cluster: the name of the cluster that answers.
    methods: () is all of them, which only prefixes may have.
    timeout: seconds until the whole answer must be there; 0 is none, as for streams and WebSockets.
    operation: who answers, as traces show it, such as "catalog.product".
    public: callers whom nobody knows are let in. scopes: that a caller must have, all of them.
    """

    path: str
    cluster: str
    methods: tuple[str, ...] = ()
    prefix: bool = False
    timeout: float = 3.0
    operation: str = ""
    public: bool = False
    scopes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.operation or f"{self.cluster} {self.path}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A path that is known, asked with a method that is not: 405 to all but the `allowed` methods."""

    path: str
    allowed: tuple[str, ...]


def route_table(routes: Sequence[Route], policy: Policy, hosts: Sequence[str] = ()) -> dict[str, object]:
    """hosts: the names that the routes are for; () is any."""
    settings = {
        "retry_policy": _retries(),
        **({"typed_per_filter_config": {CORS: cors_policy(policy.cors)}} if policy.cors else {}),
    }
    made = [*_preflight(routes, policy), *_routes(routes, policy), direct("nothing-here", {"prefix": "/"}, 404)]
    return {"@type": TYPE + "envoy.config.route.v3.RouteConfiguration", **table(hosts, policy, made, settings)}


def _preflight(routes: Sequence[Route], policy: Policy) -> list[dict[str, object]]:
    """Where browsers ask for pages of other origins; the answer comes before the cluster is asked."""
    if not policy.cors or not routes:
        return []
    match = {"prefix": "/", "headers": preflight(policy.cors)}
    return [{"name": "preflight", "match": match, "route": {"cluster": routes[0].cluster}}]


def _retries() -> dict[str, object]:
    return {
        # Both mean that no byte was sent, so any method may be tried again.
        "retry_on": "connect-failure,reset-before-request",
        "num_retries": 2,
        "retry_host_predicate": [
            named(
                "envoy.retry_host_predicates.previous_hosts",
                "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            )
        ],
        "host_selection_retry_max_attempts": 5,
        "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.100s"},
    }


def _routes(routes: Iterable[Route], policy: Policy) -> list[dict[str, object]]:
    made: list[dict[str, object]] = []
    for each in ordered(routes):
        if isinstance(each, Refusal):
            unknown = {**method_is(each.allowed), "invert_match": True}
            made.append(direct("method-not-allowed", {**_path(each.path), "headers": [unknown]}, 405, each.allowed))
        else:
            made.extend(_route(each, policy))
    return made


def _route(route: Route, policy: Policy) -> list[dict[str, object]]:
    if not route.prefix:
        return _forward(route, _path(route.path), [method_is(answered(route.methods))], policy)
    above = route.path.rstrip("/")
    where: dict[str, object] = {"path_separated_prefix": above} if above else {"prefix": "/"}
    methods: list[dict[str, object]] = [method_is(answered(route.methods))] if route.methods else []
    endless = replace(route, timeout=0.0)
    # What an application answers is known from the request alone: a browser's EventSource always sends this `accept`.
    events: dict[str, object] = {"name": "accept", "string_match": {"contains": "text/event-stream"}}
    return [
        *_forward(endless, where, [_is_websocket()], policy, websocket=True),
        *_forward(endless, where, [*methods, events], policy),
        *_forward(route, where, methods, policy),
    ]


def _forward(
    route: Route,
    where: Mapping[str, object],
    headers: Sequence[dict[str, object]],
    policy: Policy,
    *,
    websocket: bool = False,
) -> list[dict[str, object]]:
    """The route, once for each way in which its caller may be known."""
    # All that comes through a WebSocket counts as one body.
    unbounded = {"@type": TYPE + "envoy.config.route.v3.FilterConfig", "disabled": True}
    by_route = any(rate.per == "route" for rate in policy.rates)
    made: list[dict[str, object]] = []
    for way in ways(policy.access, public=route.public, scopes=route.scopes):
        told = [*headers, *way.headers]
        settings = {**({BODY_LIMIT: unbounded} if websocket else {}), **way.filters}
        made.append(
            {
                "name": route.name,
                "match": {**where, **({"headers": told} if told else {})},
                **({"metadata": {"filter_metadata": {ROUTE_METADATA: {"route": route.name}}}} if by_route else {}),
                "route": {
                    "cluster": route.cluster,
                    "timeout": seconds(route.timeout),
                    **({"upgrade_configs": [{"upgrade_type": "websocket"}]} if websocket else {}),
                },
                **({"typed_per_filter_config": settings} if settings else {}),
            }
        )
    return made


def _is_websocket() -> dict[str, object]:
    return {"name": "upgrade", "string_match": {"exact": "websocket", "ignore_case": True}}


def _path(path: str) -> dict[str, object]:
    return {"safe_regex": {"regex": pattern(path)}} if has_parameters(path) else {"path": path}


def segments(path: str) -> list[str]:
    """Its parts between slashes; "/" has one, which is empty."""
    return path.removeprefix("/").split("/")


def pattern(path: str) -> str:
    """The regular expression of a path with parameters: each is one segment, never empty."""
    return "".join("/" + ("[^/]+" if _is_parameter(part) else re.escape(part)) for part in segments(path))


def has_parameters(path: str) -> bool:
    return any(_is_parameter(part) for part in segments(path))


def ordered(routes: Iterable[Route]) -> list[Route | Refusal]:
    """The routes, most specific first, each path followed by its refusal of other methods.

    Segments are compared from the left: a literal comes before a parameter, a parameter before the rest of a prefix.
    A refusal leaves out what a less specific path of parameters could answer at the same address.
    """
    by_rank = sorted(routes, key=lambda route: (_rank(route), route.path, _methods(route)))
    exact = [route for route in by_rank if not route.prefix]
    tried: list[Route | Refusal] = []
    for position, route in enumerate(by_rank):
        tried.append(route)
        following = by_rank[position + 1] if position + 1 < len(by_rank) else None
        if route.prefix or (following is not None and not following.prefix and _rank(following) == _rank(route)):
            continue
        tried.append(Refusal(route.path, _allowed(route.path, exact)))
    return tried


def answered(methods: Sequence[str]) -> tuple[str, ...]:
    """With HEAD wherever there is GET."""
    return tuple(sorted({*methods, "HEAD"} if "GET" in methods else set(methods)))


def _allowed(path: str, routes: Iterable[Route]) -> tuple[str, ...]:
    return answered([method for route in routes if _could_both_match(route.path, path) for method in route.methods])


def _could_both_match(first: str, second: str) -> bool:
    ours, theirs = segments(first), segments(second)
    return len(ours) == len(theirs) and all(
        a == b or _is_parameter(a) or _is_parameter(b) for a, b in zip(ours, theirs, strict=True)
    )


def _rank(route: Route) -> list[tuple[int, str]]:
    path = route.path.rstrip("/") if route.prefix else route.path
    parts = segments(path) if path else []
    ranks = [(_PARAMETER, "") if _is_parameter(part) else (_LITERAL, part) for part in parts]
    return [*ranks, (_REST, "")] if route.prefix else ranks


def _methods(route: Route) -> tuple[str, ...]:
    return tuple(sorted(route.methods))


def _is_parameter(part: str) -> bool:
    return part.startswith("{") and part.endswith("}")
