"""What the gateway does with every request: what it refuses, adds, hides and writes down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from atoll.engines.access import CALLER_HEADERS, KEY_HEADER, Access
from atoll.engines.access import filters as access_filters
from atoll.engines.cors import Cors, cors_filter
from atoll.engines.rates import Rate, after_access, before_access, policy_field
from atoll.engines.xds import TYPE, named, seconds

BODY_LIMIT = "atoll.body"
COLLECTOR = "atoll.collector"
_BEGAN = "start_unix_nano"
_PARENT = "atoll.parent"
_TRACE = "x-trace-id"

# What Envoy answers by itself, as problem documents (RFC 9457). Its own reasons (%RESPONSE_CODE_DETAILS%) tell
# internals, so they are in the access log only.
_PROBLEMS: Mapping[int, tuple[str, str, str]] = {
    400: ("invalid-request", "Bad Request", "The request is not valid HTTP."),
    401: ("unauthorized", "Unauthorized", "This needs a valid token or key."),
    403: ("forbidden", "Forbidden", "This is not allowed."),
    404: ("not-found", "Not Found", "Nothing is served at this path."),
    405: (
        "method-not-allowed",
        "Method Not Allowed",
        "This path does not allow the method; the Allow header names those it does.",
    ),
    408: ("timeout", "Request Timeout", "The request did not arrive in time."),
    413: ("too-large", "Content Too Large", "The body is larger than the gateway accepts."),
    426: ("upgrade-required", "Upgrade Required", "The request needs a newer protocol."),
    429: ("rate-limited", "Too Many Requests", "Too many requests; try again later."),
    431: ("headers-too-large", "Request Header Fields Too Large", "The headers are larger than the gateway accepts."),
    500: ("internal", "Internal Server Error", "The gateway failed."),
    501: ("not-implemented", "Not Implemented", "The gateway does not know this."),
    502: ("bad-gateway", "Bad Gateway", "The service gave no valid answer."),
    503: ("unavailable", "Service Unavailable", "The service can't be reached now; try again."),
    504: (
        "deadline-exceeded",
        "Gateway Timeout",
        "The service did not answer before the deadline; the request may have had its effect.",
    ),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gateway refuses. Sizes in bytes, durations in seconds.

    body: of a request, 413 above it. headers: of a request together, 431 above it.
    header_time, request_time: for the headers, and for the whole of a request, to arrive.
    connections: clients at once; more are closed. requests: to one cluster at once, 503 above it.
    idle: an answer or stream that is silent for so long is ended.
    heap: bytes of memory; near it Envoy gives some back, then answers 503.
    """

    body: int = 16 * 2**20
    headers: int = 32 * 2**10
    header_count: int = 100
    header_time: float = 10.0
    request_time: float = 300.0
    connections: int = 10_000
    requests: int = 4_096
    idle: float = 30.0
    heap: int = 384 * 2**20


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may come in, how often, and from which pages."""

    access: Access = field(default_factory=Access)
    rates: tuple[Rate, ...] = ()
    cors: Cors | None = None


def connection_manager(limits: Limits, policy: Policy, access_log: PurePath) -> dict[str, object]:
    return {
        "stat_prefix": "gateway",
        "codec_type": "AUTO",
        "http_filters": _filters(limits, policy),
        "access_log": [_access_log(access_log)],
        "local_reply_config": _local_replies(policy.access.challenge),
        "tracing": _tracing(),
        # The client's address is what the connection says, and no client is one of us. By default those on loopback
        # and private networks are: their x-envoy-* and x-request-id would be obeyed. (An empty list is the default.)
        "use_remote_address": True,
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "server_header_transformation": "PASS_THROUGH",
        "always_set_request_id_in_response": True,
        "request_id_extension": {
            "typed_config": {
                "@type": TYPE + "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                # Otherwise the id's version digit changes, and it is no random UUID any more.
                "pack_trace_reason": False,
            }
        },
        "max_request_headers_kb": limits.headers // 2**10,
        "common_http_protocol_options": {
            "max_headers_count": limits.header_count,
            "headers_with_underscores_action": "REJECT_REQUEST",
            "idle_timeout": "300s",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 2**16,
            "initial_connection_window_size": 2**20,
        },
        "request_headers_timeout": seconds(limits.header_time),
        "request_timeout": seconds(limits.request_time),
        "stream_idle_timeout": seconds(limits.idle),
        # A route opens it: only prefixes speak WebSocket.
        "upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}],
    }


def _filters(limits: Limits, policy: Policy) -> list[dict[str, object]]:
    limited = _overwrite("ratelimit-policy", policy_field(policy.rates))
    return [
        named(
            "atoll.parent",
            "envoy.extensions.filters.http.set_filter_state.v3.Config",
            # Before the router replaces `traceparent` by its own, so that the access log has both.
            on_request_headers=[
                {
                    "object_key": _PARENT,
                    "factory_key": "envoy.string",
                    "format_string": {
                        "text_format_source": {"inline_string": "%REQ(TRACEPARENT)%"},
                        "omit_empty_values": True,
                    },
                    "skip_if_empty": True,
                }
            ],
        ),
        named(
            "atoll.headers",
            "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            mutations={
                "request_mutations": [
                    # Local replies know %TRACE_ID% only by this way.
                    _overwrite(_TRACE, "%TRACE_ID%"),
                    # Not a list to which the client may have written the first half.
                    _overwrite("x-forwarded-for", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
                    # Who calls is said by what verified it, and by nobody outside.
                    *({"remove": each} for each in (*CALLER_HEADERS, KEY_HEADER)),
                ],
                **({"response_mutations": [limited]} if policy.rates else {}),
            },
        ),
        named(
            BODY_LIMIT,
            "envoy.extensions.filters.http.body_size_limit.v3.BodySizeLimit",
            max_request_bytes=limits.body,
        ),
        *([cors_filter()] if policy.cors else []),
        *before_access(policy.rates),
        *access_filters(policy.access),
        *after_access(policy.rates),
        named(
            "envoy.filters.http.router",
            "envoy.extensions.filters.http.router.v3.Router",
        ),
    ]


def _overwrite(header: str, value: str) -> dict[str, object]:
    return {"append": {"header": {"key": header, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}


def is_access_line(line: str) -> bool:
    """Whether it tells of a request, of which there is a span as well."""
    return line.startswith("{") and f'"{_BEGAN}":"' in line


def _access_log(path: PurePath) -> dict[str, object]:
    return named(
        "envoy.access_loggers.file",
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        path=str(path),
        log_format={
            "json_format": {
                _BEGAN: "%START_TIME(%s%9f)%",
                "duration_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
                "trace_id": "%TRACE_ID%",
                "span_id": "%SPAN_ID%",
                "parent": f"%FILTER_STATE({_PARENT}:PLAIN)%",
                "request_id": "%REQ(X-REQUEST-ID)%",
                "method": "%REQ(:METHOD)%",
                "path": "%PATH(NQ)%",
                "route": "%ROUTE_NAME%",
                "cluster": "%UPSTREAM_CLUSTER%",
                "upstream": "%UPSTREAM_HOST%",
                "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
                "status": "%RESPONSE_CODE%",
                "flags": "%RESPONSE_FLAGS%",
                "details": "%RESPONSE_CODE_DETAILS%",
                "bytes_received": "%BYTES_RECEIVED%",
                "bytes_sent": "%BYTES_SENT%",
                "protocol": "%PROTOCOL%",
                "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
            }
        },
    )


def _local_replies(challenge: str) -> dict[str, object]:
    unknown = _local_reply(401, *_PROBLEMS[401], challenge)
    replies = [_local_reply(status, *texts, challenge) for status, texts in _PROBLEMS.items()]
    # Envoy says 403 of a token for another audience; which part of a token is wrong is nobody's business.
    return {"mappers": [{**unknown, "filter": _is_wrong_audience(), "status_code": 401}, *replies]}


def _is_wrong_audience() -> dict[str, object]:
    expression = "response.code == 403 && response.code_details.startsWith('jwt_authn')"
    cel = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    return {"extension_filter": named("atoll.wrong_audience", cel, expression=expression)}


def _local_reply(status: int, kind: str, title: str, detail: str, challenge: str) -> dict[str, object]:
    added = {
        401: [_header("www-authenticate", challenge, "OVERWRITE_IF_EXISTS_OR_ADD")],
        # A rate limit has said it better.
        429: [_header("retry-after", "1", "ADD_IF_ABSENT")],
        503: [_header("retry-after", "1", "ADD_IF_ABSENT")],
    }.get(status)
    return {
        "filter": {
            "status_code_filter": {
                "comparison": {"op": "EQ", "value": {"default_value": status, "runtime_key": f"atoll.status.{status}"}}
            }
        },
        **({"headers_to_add": added} if added else {}),
        "body_format_override": {
            "content_type": "application/problem+json",
            "json_format": {
                "type": f"urn:atoll:problem:{kind}",
                "title": title,
                "status": status,
                "detail": detail,
                "instance": "%PATH(NQ)%",
                "trace_id": f"%REQ({_TRACE})%",
            },
        },
    }


def _header(name: str, value: str, action: str) -> dict[str, object]:
    return {"header": {"key": name, "value": value}, "append_action": action}


def _tracing() -> dict[str, object]:
    """Makes and continues `traceparent`."""
    return {
        "random_sampling": {"value": 100},
        "operation": "%ROUTE_NAME%",
        "provider": named(
            "envoy.tracers.opentelemetry",
            "envoy.config.trace.v3.OpenTelemetryConfig",
            service_name="gateway",
            http_service={"http_uri": {"uri": f"http://{COLLECTOR}/v1/traces", "cluster": COLLECTOR, "timeout": "1s"}},
        ),
    }
