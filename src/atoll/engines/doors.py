"""Which names the gateway answers to, and what its plain door says where there is one with TLS."""

from collections.abc import Iterable, Mapping, Sequence

from atoll.engines.edge import Policy
from atoll.engines.rates import limiters
from atoll.engines.xds import TYPE

HEALTH = "/health/ready"
"""What a load balancer may ask for, by any name, where nothing else is served: under names of others, and in plain."""

_USUAL = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_TWO_HOSTS: Mapping[str, object] = {"name": ":authority", "string_match": {"contains": ","}}


def table(
    hosts: Sequence[str],
    policy: Policy,
    routes: Sequence[Mapping[str, object]],
    settings: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """The routes for these names; () is any. Who asks for another name is told that there is nothing.

    settings: of the virtual host.
    """
    own = {"name": "gateway", "domains": list(hosts) or ["*"], **(settings or {}), "routes": [*_refusals(), *routes]}
    nothing = [*_refusals(), _health(policy), direct("another-name", {"prefix": "/"}, 404)]
    others = {"name": "others", "domains": ["*"], "routes": nothing}
    return {
        "name": "gateway",
        # Which server answers, and how long it took, is not the client's business.
        "response_headers_to_remove": ["server", "x-envoy-upstream-service-time"],
        **({"request_headers_to_remove": list(policy.access.unseen)} if policy.access.unseen else {}),
        # Which port a client reached it by says nothing of the name.
        **({"ignore_port_in_host_matching": True} if hosts else {}),
        "virtual_hosts": [own, *([others] if hosts else [])],
    }


def sent_on(hosts: Sequence[str], policy: Policy, ports: Mapping[int, int]) -> dict[str, object]:
    """Of the plain door: everything is to be asked for again by HTTPS, with the same method.

    ports: that of the other door by one that clients know this one by; without one in the name it is that of HTTPS.
    """
    moved = [
        _redirect({"port_redirect": theirs}, [{"name": ":authority", "string_match": {"suffix": f":{ours}"}}])
        for ours, theirs in sorted(ports.items())
    ]
    return table(hosts, policy, [*([] if hosts else [_health(policy)]), *moved, _redirect({}, [])])


def direct(name: str, match: Mapping[str, object], status: int, allowed: Sequence[str] = ()) -> dict[str, object]:
    """An answer of the gateway's own. allowed: what a 405 must name."""
    allow = {"header": {"key": "allow", "value": ", ".join(allowed)}}
    return {
        "name": name,
        "match": match,
        "direct_response": {"status": status},
        **({"response_headers_to_add": [allow]} if allowed else {}),
    }


def method_is(methods: Iterable[str]) -> dict[str, object]:
    several = list(methods)
    match = {"exact": several[0]} if len(several) == 1 else {"safe_regex": {"regex": "|".join(several)}}
    return {"name": ":method", "string_match": match}


def _refusals() -> list[dict[str, object]]:
    return [
        direct("trace-is-refused", {"prefix": "/", "headers": [method_is(["TRACE"])]}, 405, _USUAL),
        # Envoy joins what comes twice, and no name of a host has a comma.
        direct("two-hosts", {"prefix": "/", "headers": [_TWO_HOSTS]}, 400),
    ]


def _health(policy: Policy) -> dict[str, object]:
    """Never limited, or a gateway at its limit would be taken for a broken one."""
    off = {"@type": TYPE + "envoy.config.route.v3.FilterConfig", "disabled": True}
    made = direct("health", {"path": HEALTH, "headers": [method_is(["GET", "HEAD"])]}, 200)
    return {**made, **({"typed_per_filter_config": dict.fromkeys(limiters(policy.rates), off)} if policy.rates else {})}


def _redirect(port: Mapping[str, object], headers: Sequence[Mapping[str, object]]) -> dict[str, object]:
    return {
        "name": "to-https",
        "match": {"prefix": "/", **({"headers": list(headers)} if headers else {})},
        "redirect": {"https_redirect": True, **port, "response_code": "PERMANENT_REDIRECT"},
    }
