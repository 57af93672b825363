"""Who may come in, as Envoy checks it: tokens, keys of clients, and the scopes that a route asks for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from urllib.parse import urlsplit

from atoll.engines.xds import TYPE, address, named
from atoll.wire.headers import CALLER_SCOPES, CALLER_SUBJECT

CALLER_HEADERS = (CALLER_SUBJECT, CALLER_SCOPES)

_JWT = "envoy.filters.http.jwt_authn"
_READ_KEY = "atoll.read_key"
_KEYS = "envoy.filters.http.basic_auth"
_SCOPES = "envoy.filters.http.rbac"
_PAYLOAD = "jwt"
_KNOWN, _ANYBODY = "known", "anybody"
KEY_HEADER = "x-atoll-key"
"""Carries a client and its key from the filter that reads it to the one that checks it; nobody else ever sees it."""

CERTIFICATES = PurePosixPath("/etc/ssl/certs/ca-certificates.crt")
"""Whom a machine trusts, where Debian's images and Envoy's own have it."""
_FETCH_AGAIN = "300s"
_FETCH_WITHIN = "5s"
_FETCH_FAILED_AGAIN = "10s"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are accepted. keys: its JWKS as JSON; "" where it is fetched from `url`."""

    issuer: str
    audience: str
    keys: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """Clients with a key each.

    header: where a key comes, as "client.key". scopes: of each client that has some.
    variable, file: of Envoy, one of the two: with a line "client:{SHA}hash" for each.
    """

    header: str
    scopes: Mapping[str, tuple[str, ...]]
    variable: str = ""
    file: PurePath | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """How callers are known; with neither issuer nor keys nobody is, and everything is public.

    certificates: of the authorities by which issuers' addresses are trusted.
    waits: the gateway is ready only when each issuer's keys were fetched, or could not be: a new pod is to know its
    callers at once. Whose issuer may well be out of reach, as a laptop's, does not wait.
    """

    issuers: tuple[Issuer, ...] = ()
    keys: ClientKeys | None = None
    certificates: PurePath = CERTIFICATES
    waits: bool = False

    @property
    def unseen(self) -> tuple[str, ...]:
        """The headers that no service gets to see."""
        return (self.keys.header, KEY_HEADER) if self.keys else ()

    @property
    def challenge(self) -> str:
        """What `www-authenticate` says to who is not known; the same whatever was wrong."""
        return "Bearer" if self.issuers or not self.keys else "ApiKey"


@dataclass(frozen=True, slots=True)
class Way:
    """One way in to a route: the headers that tell it from the others, and how its filters are set."""

    headers: tuple[dict[str, object], ...]
    filters: Mapping[str, object]


def filters(access: Access) -> list[dict[str, object]]:
    """What stands before the router, in this order. All but the tokens' is off, unless a route switches it on."""
    found: list[dict[str, object]] = []
    if access.issuers:
        found.append(_tokens(access))
    if access.keys:
        found += [_off(_key_reader(access.keys)), _off(_key_check(access.keys))]
    if access.issuers:
        found.append(_off(named(_SCOPES, "envoy.extensions.filters.http.rbac.v3.RBAC")))
    return found


def clusters(access: Access) -> list[dict[str, object]]:
    """Where issuers' keys are fetched."""
    return [_cluster(number, each.url, access) for number, each in enumerate(access.issuers) if each.url]


def ways(access: Access, *, public: bool, scopes: tuple[str, ...]) -> list[Way]:
    """How a route may be come to. The first whose headers are there is taken."""
    by_key: list[Way] = []
    if access.keys:
        by_key = [Way((), _by_key(access, access.keys, scopes))]
        if public or access.issuers:
            by_key = [Way(({"name": access.keys.header, "present_match": True},), by_key[0].filters)]
    if access.issuers:
        requirement = {"requirement_name": _ANYBODY if public else _KNOWN}
        settings: dict[str, object] = {_JWT: _per_route("jwt_authn.v3.PerRouteConfig", **requirement)}
        if scopes:
            settings[_SCOPES] = _allowing([_in_token(scope) for scope in scopes])
        return [*by_key, Way((), settings)]
    return [*by_key, Way((), {})] if public or not by_key else by_key


def _by_key(access: Access, keys: ClientKeys, scopes: tuple[str, ...]) -> dict[str, object]:
    found: dict[str, object] = {_READ_KEY: _ON, _KEYS: _ON}
    if access.issuers:
        found[_JWT] = _per_route("jwt_authn.v3.PerRouteConfig", disabled=True)
    if scopes:
        able = [client for client in sorted(keys.scopes) if set(scopes) <= set(keys.scopes[client])]
        found[_SCOPES] = _allowing([_is_one_of(able)])
    return found


_ON: Mapping[str, object] = {"@type": TYPE + "envoy.config.route.v3.FilterConfig", "config": {}}


def _off(filter_: dict[str, object]) -> dict[str, object]:
    return {**filter_, "disabled": True}


def _per_route(type_name: str, **config: object) -> dict[str, object]:
    return {"@type": f"{TYPE}envoy.extensions.filters.http.{type_name}", **config}


def _tokens(access: Access) -> dict[str, object]:
    providers = {f"issuer-{number}": _provider(number, each, access) for number, each in enumerate(access.issuers)}
    each_of: list[dict[str, object]] = [{"provider_name": name} for name in providers]
    return named(
        _JWT,
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers=providers,
        requirement_map={
            _KNOWN: _any_of(each_of),
            # A token that is wrong is refused here too: who sends one wants to be known.
            _ANYBODY: _any_of([*each_of, {"allow_missing": {}}]),
        },
    )


def _any_of(requirements: list[dict[str, object]]) -> dict[str, object]:
    return requirements[0] if len(requirements) == 1 else {"requires_any": {"requirements": requirements}}


def _provider(number: int, issuer: Issuer, access: Access) -> dict[str, object]:
    return {
        "issuer": issuer.issuer,
        "audiences": [issuer.audience],
        # Never from the query, where Envoy looks by default: addresses are written to logs.
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "require_expiration": True,
        "claim_to_headers": [
            {"header_name": CALLER_SUBJECT, "claim_name": "sub"},
            {"header_name": CALLER_SCOPES, "claim_name": "scope"},
        ],
        "payload_in_metadata": _PAYLOAD,
        "normalize_payload_in_metadata": {"space_delimited_claims": ["scope"]},
        **(
            {"local_jwks": {"inline_string": issuer.keys}}
            if issuer.keys
            else {"remote_jwks": _remote(number, issuer, access)}
        ),
    }


def _remote(number: int, issuer: Issuer, access: Access) -> dict[str, object]:
    return {
        "http_uri": {"uri": issuer.url, "cluster": _cluster_name(number), "timeout": _FETCH_WITHIN},
        "cache_duration": _FETCH_AGAIN,
        "async_fetch": {"fast_listener": not access.waits, "failed_refetch_duration": _FETCH_FAILED_AGAIN},
        "retry_policy": {"num_retries": 3, "retry_back_off": {"base_interval": "0.2s", "max_interval": "2s"}},
    }


def _cluster_name(number: int) -> str:
    return f"atoll.issuer-{number}"


def _cluster(number: int, url: str, access: Access) -> dict[str, object]:
    parts = urlsplit(url)
    host, is_https = parts.hostname or "", parts.scheme == "https"
    endpoint = {"endpoint": {"address": address(host, parts.port or (443 if is_https else 80))}}
    name = _cluster_name(number)
    # A server of names that is silent is waited for, but not for long.
    names = named(
        "envoy.network.dns_resolver.cares",
        "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
        query_timeout_seconds=1,
        query_tries=2,
    )
    dns = named(
        "envoy.clusters.dns",
        "envoy.extensions.clusters.dns.v3.DnsCluster",
        # By itself Envoy asks for IPv6 alone where a name has both, which not every cluster can reach.
        dns_lookup_family="V4_PREFERRED",
        **({"typed_dns_resolver_config": names} if access.waits else {}),
    )
    return {
        "name": name,
        "cluster_type": dns,
        "wait_for_warm_on_init": access.waits,
        "connect_timeout": _FETCH_WITHIN,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        **({"transport_socket": _tls(host, access.certificates)} if is_https else {}),
    }


def _tls(host: str, certificates: PurePath) -> dict[str, object]:
    return named(
        "envoy.transport_sockets.tls",
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        sni=host,
        common_tls_context={
            "validation_context": {
                "trusted_ca": {"filename": str(certificates)},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}],
            }
        },
    )


# Envoy's own filter for API keys wants them in the clear in its configuration; the one for passwords is content with
# hashes, from a file or a variable. So a key becomes a name and a password on the way.
_READER = """\
local scopes = {{ {scopes} }}

function envoy_on_request(handle)
  local headers = handle:headers()
  local client, key = string.match(headers:get({header}) or "", "^([a-z][a-z0-9-]*)%.([A-Za-z0-9_-]+)$")
  if client then
    headers:replace("{basic}", "Basic " .. handle:base64Escape(client .. ":" .. key))
    if scopes[client] then
      headers:replace("{caller_scopes}", scopes[client])
    end
  end
end
"""


def _key_reader(keys: ClientKeys) -> dict[str, object]:
    # JSON's strings are Lua's: scopes and names of clients are plain printable text.
    scopes = ", ".join(f"[{json.dumps(name)}] = {json.dumps(' '.join(each))}" for name, each in keys.scopes.items())
    source = _READER.format(
        scopes=scopes, header=json.dumps(keys.header), basic=KEY_HEADER, caller_scopes=CALLER_SCOPES
    )
    return named(_READ_KEY, "envoy.extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": source})


def _key_check(keys: ClientKeys) -> dict[str, object]:
    users = {"filename": str(keys.file)} if keys.file else {"environment_variable": keys.variable}
    return named(
        _KEYS,
        "envoy.extensions.filters.http.basic_auth.v3.BasicAuth",
        users=users,
        authentication_header=KEY_HEADER,
        forward_username_header=CALLER_SUBJECT,
    )


def _allowing(principals: list[dict[str, object]]) -> dict[str, object]:
    policy = {"permissions": [{"any": True}], "principals": [{"and_ids": {"ids": principals}}]}
    rules = {"action": "ALLOW", "policies": {"scopes": policy}}
    return _per_route("rbac.v3.RBACPerRoute", rbac={"rules": rules})


def _in_token(scope: str) -> dict[str, object]:
    matcher = {
        "filter": _JWT,
        "path": [{"key": _PAYLOAD}, {"key": "scope"}],
        "value": {"list_match": {"one_of": {"string_match": {"exact": scope}}}},
    }
    return {"sourced_metadata": {"metadata_matcher": matcher}}


def _is_one_of(clients: list[str]) -> dict[str, object]:
    if not clients:
        return {"not_id": {"any": True}}
    names = [{"header": {"name": CALLER_SUBJECT, "string_match": {"exact": client}}} for client in clients]
    return {"or_ids": {"ids": names}}
