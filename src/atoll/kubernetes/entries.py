"""What an entry of an environment may be, by itself and beside others: a row a rule."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

from atoll.errors import BAD_ENVIRONMENT, Problem
from atoll.kubernetes.environment import Environment, SecretIn
from atoll.kubernetes.peers import asking, egress_to_dns
from atoll.kubernetes.written import Written, shown

Fits: TypeAlias = Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """entries: such as "images.base"; "*" is each item of a list or value of a table, "?" each name in one.

    reason: with the value as {value}. do: what to write instead.
    """

    entries: tuple[str, ...]
    fits: Fits
    reason: str
    do: str


@dataclass(frozen=True, slots=True)
class Relation:
    """What one entry asks of others."""

    entry: str
    is_broken: Callable[[Environment], bool]
    reason: str
    do: str


def entry_problems(environment: Environment, file: Written) -> list[Problem]:
    """Of values by themselves, and of those that do not go together."""
    found = [
        BAD_ENVIRONMENT.at(
            file.at(entry), entry=entry, reason=rule.reason.format(value=shown(entry, value)), do=rule.do
        )
        for rule in RULES
        for pattern in rule.entries
        for entry, value in _values(environment, pattern)
        if not rule.fits(value)
    ]
    for each in RELATIONS:
        if each.is_broken(environment):
            reason = each.reason.format(way_in=environment.gateway.way_in)
            found.append(BAD_ENVIRONMENT.at(file.at(each.entry), entry=each.entry, reason=reason, do=each.do))
    return found


def _values(value: object, pattern: str, path: str = "") -> Iterator[tuple[str, object]]:
    """Everything that a pattern stands for, with the name of the entry that it is written in."""
    name, _, rest = pattern.partition(".")
    if not name:
        yield path, value
    elif isinstance(value, msgspec.Struct):
        attributes = {each.encode_name: each.name for each in msgspec.structs.fields(value)}
        yield from _values(getattr(value, attributes[name]), rest, f"{path}.{name}" if path else name)
    elif name == "?" and isinstance(value, Mapping):
        for each in sorted(value):
            yield path, each
    elif isinstance(value, Mapping):
        for each, inner in sorted(value.items()):
            yield from _values(inner, rest, f"{path}.{each}")
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _values(inner, rest, path)


def _text(pattern: str, *, blank: bool = False) -> Fits:
    known = re.compile(pattern)
    return lambda value: isinstance(value, str) and ((blank and not value) or known.fullmatch(value) is not None)


def _number(least: float, most: float) -> Fits:
    return lambda value: isinstance(value, int | float) and least <= value <= most


def _address(*schemes: str) -> Fits:
    def fits(value: object) -> bool:
        try:
            parts = urlsplit(str(value))
            return not value or bool(parts.scheme in schemes and parts.hostname and parts.port != 0)
        except ValueError:
            return False

    return fits


def _replicas(value: object) -> bool:
    """None is what is declared."""
    if value is None:
        return True
    least, most = value if isinstance(value, tuple) else (value, value)
    return bool(0 < least <= most)


LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
BYTES = r"(?=.*[1-9])[0-9]+(\.[0-9]+)?(k|Ki|M|Mi|G|Gi|T|Ti)?"
CPU = r"(?=.*[1-9])[0-9]+(\.[0-9]+)?m?"
_HOST = r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+"
_NAME = r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_KEY = r"[-._A-Za-z0-9]{1,253}"
_LABEL_NAME = r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_QUALIFIED = rf"({_NAME}/)?{_LABEL_NAME}"
_VARIABLE = r"[-._A-Za-z][-._A-Za-z0-9]*"
_FOLDER = r"(/(?!\.\.?(/|$))[^/:\s]+)+"
_PYTHON = r"3\.(1[1-9]|[2-9][0-9])(\.[0-9]+)?"
_REPOSITORY = r"(\[[0-9a-f:]+\]|[a-z0-9]+([.-]+[a-z0-9]+)*)(:[0-9]+)?(/[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*)*"
_IMAGE = rf"{_REPOSITORY}(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?"


def _is_range(value: object) -> bool:
    try:
        return "/" in str(value) and bool(ip_network(str(value)))
    except ValueError:
        return False


def _is_variable(value: object) -> bool:
    """Any text, or a key of a Secret."""
    names = _text(_NAME), _text(_KEY)
    return not isinstance(value, SecretIn) or (names[0](value.secret) and names[1](value.key))


_ASKING = ("defaults", "gateway", "engines.postgres", "engines.nats", "telemetry")
_STORING = ("engines.postgres", "engines.nats", "telemetry")
_NAMED = ("images.pull_secret", "gateway.tls", "telemetry.secret", "secrets.*")
_KEPT = tuple(f"{part}.{entry}" for part in _STORING for entry in ("secret", "storage_class"))

RULES: tuple[Rule, ...] = (
    Rule(
        ("images.registry",),
        _text(rf"{_REPOSITORY}/?", blank=True),
        "is {value}, where no image can be",
        'write such as "registry.example.com/shop": a host and a path in lower case, without https://',
    ),
    Rule(("images.base", "images.node"), _text(_IMAGE), "is {value}, no image", 'write such as "python:3.13-slim"'),
    Rule(("images.python",), _text(_PYTHON), "is {value}, no version that services run on", 'write such as "3.13"'),
    Rule(("images.lock",), _text(".+"), "is {value}, no file", 'write such as "requirements.txt"'),
    Rule(("images.pull",), _text("IfNotPresent|Always|Never"), "is {value}", "use one of IfNotPresent, Always, Never"),
    Rule(("images.engines",), _text("official|wheels"), "is {value}", "use official or wheels"),
    Rule(
        ("gateway.way_in",),
        _text(rf"loadbalancer|nodeport|httproute|ingress:{_NAME}"),
        "is {value}",
        "use one of loadbalancer, nodeport, httproute, ingress:CLASS",
    ),
    Rule(("gateway.hosts.*",), _text(_HOST), "has {value}, no host name", "write such as shop.example.com"),
    Rule(
        ("gateway.parent",),
        _text(rf"({LABEL}/)?{_NAME}", blank=True),
        "is {value}",
        "write namespace/name of a Gateway",
    ),
    Rule(("gateway.replicas",), _number(1, math.inf), "is {value}", "write a number from 1"),
    Rule(
        ("gateway.node_port", "gateway.tls_node_port"),
        lambda value: value == 0 or _number(30000, 32767)(value),
        "is {value}",
        "choose one from 30000 to 32767",
    ),
    Rule(("cluster.api_port",), _number(0, 65535), "is {value}", "choose one from 1 to 65535"),
    Rule(
        ("cluster.dns.*",),
        lambda value: egress_to_dns(str(value)) is not None,
        "has {value}, where no names are looked up",
        'write "namespace/label=value" of pods, or an address, with :PORT after it where that is not 53',
    ),
    Rule(("engines.postgres.port",), _number(1, 65535), "is {value}", "choose one from 1 to 65535"),
    Rule(
        ("engines.nats.address",),
        _address("nats", "tls"),
        "is {value}, no address",
        "write nats://HOST:PORT or tls://HOST:PORT",
    ),
    Rule(
        ("telemetry.endpoint", "monitoring.alertmanager", "monitoring.page", "monitoring.ticket"),
        _address("http", "https"),
        "is {value}, no address",
        "write http://HOST:PORT or https://HOST:PORT",
    ),
    Rule(
        ("telemetry.kept_days",),
        lambda value: isinstance(value, float) and 0 < value < math.inf,
        "is {value}",
        "write a number above 0, such as 3 or 0.5",
    ),
    Rule(
        ("monitoring.kind",),
        _text("annotations|operator|none"),
        "is {value}",
        "use annotations, operator or none",
    ),
    Rule(
        ("monitoring.from.*",),
        lambda value: asking(str(value)) is not None,
        "has {value}, which is nobody who could ask for figures",
        'write "namespace/label=value" of pods, "*/label=value" of any namespace, or an address, without a port',
    ),
    Rule(
        ("gateway.annotations.?",),
        _text(_QUALIFIED),
        "has {value}, which no annotation can be called",
        'write such as "example.com/internal"',
    ),
    Rule(
        ("gateway.load_balancer_class",),
        _text(_QUALIFIED, blank=True),
        "is {value}, which no class can be called",
        'write such as "service.k8s.aws/nlb"',
    ),
    Rule(("gateway.source_ranges.*",), _is_range, "has {value}, no range of addresses", 'write such as "10.0.0.0/8"'),
    Rule(
        ("monitoring.labels.?",),
        _text(_QUALIFIED),
        "has {value}, which no label can be called",
        'write such as "release" or "example.com/team"',
    ),
    Rule(
        ("monitoring.labels.*",),
        _text(_LABEL_NAME, blank=True),
        "is {value}, which no label can be",
        "use at most 63 of a-z, A-Z, 0-9, hyphens, dots and underscores",
    ),
    Rule(("services.*.replicas",), _replicas, "is {value}", "write a number from 1, or [least, most]"),
    Rule(
        ("services.*.volumes.?",),
        _text(_FOLDER),
        "has {value}, no absolute path of a folder",
        "begin it with /, and end it without one; it has no .., colon or space",
    ),
    Rule(("services.*.volumes.*",), _text(BYTES, blank=True), "is {value}, no size", 'write such as "1Gi"'),
    Rule(
        ("services.*.environment.?",),
        _text(_VARIABLE),
        "has {value}, which no variable can be called",
        "use letters, 0-9 and underscores, and begin with a letter",
    ),
    Rule(
        ("services.*.environment.*",),
        _is_variable,
        "names what no Secret, or no key of one, can be called",
        'write such as { secret = "stripe", key = "api-key" }',
    ),
    Rule(
        tuple(f"{part}.cpu" for part in _ASKING), _text(CPU), "is {value}, no quantity", 'write such as "250m" or "2"'
    ),
    Rule(
        tuple(f"{part}.{entry}" for part in _ASKING for entry in ("memory", "memory_limit")),
        _text(BYTES),
        "is {value}, no quantity",
        'write such as "512Mi"',
    ),
    Rule(
        (*(f"{part}.storage" for part in _STORING), "defaults.scratch"),
        _text(BYTES),
        "is {value}, no quantity",
        'write such as "10Gi"',
    ),
    Rule(("defaults.scale_at",), _text(CPU), "is {value}, no quantity", 'write such as "250m" or "2"'),
    Rule(
        (
            *(f"services.*.{entry}" for entry in ("cpu", "cpu_limit", "scale_at")),
            *(f"{part}.cpu_limit" for part in _ASKING),
        ),
        _text(CPU, blank=True),
        "is {value}, no quantity",
        'write such as "250m" or "2"',
    ),
    Rule(
        ("services.*.memory", "services.*.memory_limit", "services.*.scratch"),
        _text(BYTES, blank=True),
        "is {value}, no quantity",
        'write such as "512Mi"',
    ),
    Rule(
        tuple(dict.fromkeys((*_NAMED, *_KEPT))),
        _text(_NAME, blank=True),
        "names {value}, which no object can be called",
        "use a-z, 0-9, hyphens and dots",
    ),
    Rule(
        tuple(f"{part}.key" for part in _STORING),
        _text(_KEY),
        "is {value}, which no key of a Secret can be called",
        "use letters, 0-9, hyphens, dots and underscores",
    ),
)


def _has_tls_at_a_node_port(file: Environment) -> bool:
    return file.gateway.way_in == "nodeport" and bool(file.gateway.tls)


RELATIONS: tuple[Relation, ...] = (
    Relation(
        "cluster.dns",
        lambda file: not file.cluster.dns,
        "names nobody, so no pod would find another",
        "leave it out, or name who answers",
    ),
    Relation(
        "monitoring.from",
        lambda file: file.monitoring.kind != "none" and not file.monitoring.scraped_from,
        "names nobody, so nobody could read the figures that are offered",
        'leave it out, name who reads them, or set kind = "none"',
    ),
    Relation(
        "gateway.parent",
        lambda file: file.gateway.way_in == "httproute" and not file.gateway.parent,
        "is missing",
        'name the Gateway: parent = "namespace/name"',
    ),
    Relation(
        "gateway.parent",
        lambda file: file.gateway.way_in != "httproute" and bool(file.gateway.parent),
        "has no use with {way_in}",
        'set way_in = "httproute", or leave it out',
    ),
    Relation(
        "gateway.tls",
        lambda file: file.gateway.way_in == "httproute" and bool(file.gateway.tls),
        "has no use with httproute",
        "TLS ends at the Gateway: name the Secret there",
    ),
    Relation(
        "gateway.hosts",
        lambda file: file.gateway.way_in.startswith("ingress:") and bool(file.gateway.tls) and not file.gateway.hosts,
        "are missing",
        "an Ingress with TLS needs the names of the certificate",
    ),
    Relation(
        "gateway.node_port",
        lambda file: file.gateway.way_in != "nodeport" and bool(file.gateway.node_port),
        "has no use with {way_in}",
        'set way_in = "nodeport", or leave it out',
    ),
    Relation(
        "gateway.load_balancer_class",
        lambda file: file.gateway.way_in != "loadbalancer" and bool(file.gateway.load_balancer_class),
        "has no use with {way_in}",
        'set way_in = "loadbalancer", or leave it out',
    ),
    Relation(
        "gateway.source_ranges",
        lambda file: file.gateway.way_in != "loadbalancer" and bool(file.gateway.source_ranges),
        "has no use with {way_in}",
        'set way_in = "loadbalancer", or leave it out',
    ),
    Relation(
        "gateway.tls_node_port",
        lambda file: bool(file.gateway.tls_node_port) and not _has_tls_at_a_node_port(file),
        "has no use without TLS at a node port",
        'set way_in = "nodeport" and tls, or leave it out',
    ),
    Relation(
        "gateway.tls_node_port",
        lambda file: _has_tls_at_a_node_port(file) and not file.gateway.tls_node_port,
        "is missing",
        "choose one from 30000 to 32767: who comes without TLS is sent there",
    ),
    Relation(
        "gateway.tls_node_port",
        lambda file: file.gateway.node_port == file.gateway.tls_node_port != 0,
        "is that of the port without TLS",
        "choose another",
    ),
    Relation(
        "engines.nats.secret",
        lambda file: bool(file.engines.nats.address) and not file.engines.nats.secret,
        "is missing",
        "name the Secret with the password for the address",
    ),
    Relation(
        "engines.nats.secret",
        lambda file: not file.engines.nats.address and bool(file.engines.nats.secret),
        "has no use with a server inside",
        "give the address of the server that it is for, or leave it out",
    ),
    Relation(
        "telemetry.endpoint",
        lambda file: file.telemetry.collector and bool(file.telemetry.endpoint),
        "has no use beside a collector inside, which forwards nothing",
        "leave it out, or set collector = false and no dashboard",
    ),
    Relation(
        "telemetry.secret",
        lambda file: not file.telemetry.endpoint and bool(file.telemetry.secret),
        "has no use without an endpoint",
        "give the endpoint that it is for, or leave it out",
    ),
)
