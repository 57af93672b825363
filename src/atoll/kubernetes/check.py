"""Every rule of a valid environment for this system; all that is wrong is told at once."""

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

from atoll.engines import connections
from atoll.errors import BAD_ENVIRONMENT, Problem
from atoll.kubernetes.engines import postgres_busy, postgres_memory_limit, postgres_roles
from atoll.kubernetes.environment import EngineIn, Resources, ServiceIn, WayIn
from atoll.kubernetes.names import RESERVED, Target, admin_port_of, port_of
from atoll.kubernetes.quantities import bytes_of
from atoll.kubernetes.resolve import set_variables
from atoll.model.suggest import nearest

_Asking: TypeAlias = Resources | WayIn | EngineIn | ServiceIn

_CPU = re.compile(r"[0-9]+(\.[0-9]+)?m?")
_BYTES = re.compile(r"[0-9]+(\.[0-9]+)?(k|Ki|M|Mi|G|Gi|T|Ti)?")
_QUANTITIES: Mapping[str, tuple[re.Pattern[str], str]] = {
    "cpu": (_CPU, '"250m" or "2"'),
    "memory": (_BYTES, '"512Mi"'),
    "memory_limit": (_BYTES, '"512Mi"'),
    "storage": (_BYTES, '"10Gi"'),
}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PULLS = ("IfNotPresent", "Always", "Never")
_WAYS = ("loadbalancer", "nodeport", "httproute")


def environment_problems(target: Target, file: str) -> list[Problem]:
    """Of the environment read from this file, and of names of the declaration that a cluster can't have."""
    rules = (
        _names,
        _services,
        _kept_files,
        _quantities,
        _way_in,
        _engines,
        _connections,
        _monitoring,
        _addresses,
        _foreign,
        _secrets,
    )
    return [problem for rule in rules for problem in rule(target, file)]


def _names(target: Target, file: str) -> Iterator[Problem]:
    for member in target.members:
        if member.name in RESERVED:
            yield BAD_ENVIRONMENT.at(
                member.place,
                entry=f"the member {member.name!r}",
                reason="has a name that atoll uses for its own objects in a cluster",
                do="call it otherwise",
            )
        if member.kind != "process" and port_of(member) == admin_port_of(member):
            yield BAD_ENVIRONMENT.at(
                member.place, entry=f"the port of {member.name!r}", reason="is its admin port", do="choose another"
            )
    namespace = target.environment.cluster.namespace
    if namespace and not _LABEL.fullmatch(namespace):
        yield _wrong(file, "cluster.namespace", f"is {namespace!r}, no DNS label", "use a-z, 0-9 and hyphens")


def _services(target: Target, file: str) -> Iterator[Problem]:
    names = [member.name for member in target.members]
    for name, wanted in sorted(target.environment.services.items()):
        if name not in names:
            yield BAD_ENVIRONMENT.at(
                file,
                has=nearest(name, names),
                entry=f"[services.{name}]",
                reason="names no service of the system",
                do="correct the name, or remove the entry",
            )
        asked = wanted.replicas
        least, most = asked if isinstance(asked, tuple) else (asked or 1, asked or 1)
        if not 0 < least <= most:
            do = "write a number from 1, or [least, most]"
            yield _wrong(file, f"services.{name}.replicas", f"is {asked}", do)
        for path in wanted.volumes:
            if not path.startswith("/"):
                yield _wrong(file, f"services.{name}.volumes", f"has {path!r}, no absolute path", "begin it with /")


def _kept_files(target: Target, file: str) -> Iterator[Problem]:
    """And variables: what is wrong of a service only in the light of its declaration."""
    for member in target.members:
        wanted = target.wanted(member)
        _, most = target.replicas(member)
        if most > 1 and any(wanted.volumes.values()):
            reason = f"are of one pod at a time, and there may be {most}"
            do = f'set services.{member.name}.replicas = 1, or the size "" for files that may go with the pod'
            yield _wrong(file, f"services.{member.name}.volumes", reason, do)
        ours = {str(each["name"]) for each in set_variables(target, member)}
        for name in sorted(ours & set(wanted.environment)):
            entry = f"services.{member.name}.environment.{name}"
            yield _wrong(file, entry, "is a variable that atoll sets", "leave it out, or call it otherwise")


def _quantities(target: Target, file: str) -> Iterator[Problem]:
    environment = target.environment
    parts: dict[str, _Asking] = {
        "defaults": environment.defaults,
        "gateway": environment.gateway,
        "engines.postgres": environment.engines.postgres,
        "engines.nats": environment.engines.nats,
        "telemetry": environment.telemetry,
        **{f"services.{name}": each for name, each in sorted(environment.services.items())},
    }
    for part, values in parts.items():
        problems = list(_no_quantities(part, values, file))
        yield from problems or _contradiction(part, values, environment.defaults, file)
    for name, each in sorted(environment.services.items()):
        for path, size in each.volumes.items():
            if size and not _BYTES.fullmatch(size):
                yield _wrong(file, f"services.{name}.volumes", f"gives {path} {size!r}", 'write such as "1Gi"')


def _no_quantities(part: str, values: _Asking, file: str) -> Iterator[Problem]:
    for name, (pattern, example) in _QUANTITIES.items():
        value = getattr(values, name, "")
        # A service's "" is the default.
        is_left_out = not value and isinstance(values, ServiceIn)
        if hasattr(values, name) and not is_left_out and not pattern.fullmatch(value):
            yield _wrong(file, f"{part}.{name}", f"is {value!r}, no quantity", f"write such as {example}")


def _contradiction(part: str, values: _Asking, defaults: Resources, file: str) -> Iterator[Problem]:
    """A limit that was given, and is lower than what is asked for; one that was not given follows."""
    memory, limit = values.memory or defaults.memory, values.memory_limit
    is_given = limit != type(values)().memory_limit
    if is_given and _BYTES.fullmatch(memory) and bytes_of(memory) > bytes_of(limit):
        reason = f"is {limit}, less than the memory that is asked for: {memory}"
        yield _wrong(file, f"{part}.memory_limit", reason, "raise it, or lower memory")


def _way_in(target: Target, file: str) -> Iterator[Problem]:
    wanted = target.environment.gateway
    kind, _, detail = wanted.way_in.partition(":")
    if not (wanted.way_in in _WAYS or (kind == "ingress" and detail)):
        ways = ", ".join((*_WAYS, "ingress:CLASS"))
        yield _wrong(file, "gateway.way_in", f"is {wanted.way_in!r}", f"use one of {ways}")
    for host in wanted.hosts:
        if not _HOST.fullmatch(host):
            yield _wrong(file, "gateway.hosts", f"has {host!r}, no host name", "write such as shop.example.com")
    if kind == "httproute" and not wanted.parent:
        yield _wrong(file, "gateway.parent", "is missing", 'name the Gateway: parent = "namespace/name"')
    if kind == "httproute" and wanted.tls:
        yield _wrong(file, "gateway.tls", "has no use with httproute", "TLS ends at the Gateway: name the Secret there")
    if kind == "ingress" and wanted.tls and not wanted.hosts:
        yield _wrong(file, "gateway.hosts", "are missing", "an Ingress with TLS needs the names of the certificate")
    if wanted.node_port and not 30000 <= wanted.node_port <= 32767:
        yield _wrong(file, "gateway.node_port", f"is {wanted.node_port}", "choose one from 30000 to 32767")
    if wanted.node_port and wanted.way_in != "nodeport":
        do = 'set way_in = "nodeport", or leave it out'
        yield _wrong(file, "gateway.node_port", f"has no use with {wanted.way_in}", do)
    if wanted.replicas < 1:
        yield _wrong(file, "gateway.replicas", f"is {wanted.replicas}", "write a number from 1")


def _engines(target: Target, file: str) -> Iterator[Problem]:
    engines = target.environment.engines
    if engines.nats.address and not engines.nats.secret:
        yield _wrong(file, "engines.nats.secret", "is missing", "name the Secret with the password for the address")
    if target.environment.images.pull not in _PULLS:
        yield _wrong(file, "images.pull", f"is {target.environment.images.pull!r}", f"use one of {', '.join(_PULLS)}")
    if target.environment.images.engines not in {"official", "wheels"}:
        reason = f"is {target.environment.images.engines!r}"
        yield _wrong(file, "images.engines", reason, "use official or wheels")


def _connections(target: Target, file: str) -> Iterator[Problem]:
    """Of a PostgreSQL inside: not more than one server serves, nor than its memory has room for."""
    roles, wanted = postgres_roles(target), target.environment.engines.postgres
    if not target.runs_postgres or not all(_BYTES.fullmatch(each) for each in (wanted.memory, wanted.memory_limit)):
        return
    name = max(roles, key=lambda each: roles[each])
    most, needed = connections.room(roles.values()).connections, connections.memory(postgres_busy(target))
    do = f"lower services.{name}.replicas or its Postgres(connections=...), or name a server elsewhere"
    if most > connections.MOST:
        reason = f"would take {most} connections, {roles[name]} of them for {name}; {connections.MOST} are the most"
        yield _wrong(file, "engines.postgres", reason, do)
    elif bytes_of(postgres_memory_limit(target)) < needed:
        busy = postgres_busy(target)
        reason = f"has no room for {busy} connections of all replicas, most of them of {name}: {needed >> 20}Mi"
        yield _wrong(file, "engines.postgres.memory_limit", reason, f"raise it; or {do}")


def _monitoring(target: Target, file: str) -> Iterator[Problem]:
    kind = target.environment.monitoring.kind
    if kind not in {"annotations", "operator", "none"}:
        yield _wrong(file, "monitoring.kind", f"is {kind!r}", "use annotations, operator or none")


def _addresses(target: Target, file: str) -> Iterator[Problem]:
    environment = target.environment
    urls = {
        "engines.nats.address": (environment.engines.nats.address, ("nats", "tls")),
        "telemetry.endpoint": (environment.telemetry.endpoint, ("http", "https")),
        "monitoring.alertmanager": (environment.monitoring.alertmanager, ("http", "https")),
    }
    for entry, (url, schemes) in urls.items():
        if url and not _is_address(url, schemes):
            written = " or ".join(f"{scheme}://HOST:PORT" for scheme in schemes)
            yield _wrong(file, entry, f"is {url!r}, no address", f"write {written}")
    ports = {
        "engines.postgres.port": environment.engines.postgres.port,
        "cluster.api_port": environment.cluster.api_port or 443,
    }
    for entry, port in ports.items():
        if not 0 < port < 65536:
            yield _wrong(file, entry, f"is {port}", "choose one from 1 to 65535")


def _is_address(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _foreign(target: Target, file: str) -> Iterator[Problem]:
    """Names of what the cluster has already."""
    environment = target.environment
    namespace, _, parent = environment.gateway.parent.rpartition("/")
    kind, _, ingress_class = environment.gateway.way_in.partition(":")
    named = {
        "images.pull_secret": environment.images.pull_secret,
        "gateway.tls": environment.gateway.tls,
        "gateway.way_in": ingress_class if kind == "ingress" else "",
        "engines.postgres.secret": environment.engines.postgres.secret,
        "engines.postgres.storage_class": environment.engines.postgres.storage_class,
        "engines.nats.secret": environment.engines.nats.secret,
        "engines.nats.storage_class": environment.engines.nats.storage_class,
        "telemetry.secret": environment.telemetry.secret,
        "telemetry.storage_class": environment.telemetry.storage_class,
        **{f"secrets.{name}": value for name, value in sorted(environment.secrets.items())},
    }
    for entry, name in named.items():
        if name and not _NAME.fullmatch(name):
            yield _wrong(
                file, entry, f"names {name!r}, which no object can be called", "use a-z, 0-9, hyphens and dots"
            )
    is_parent = _NAME.fullmatch(parent) and (not namespace or _LABEL.fullmatch(namespace))
    if environment.gateway.parent and not is_parent:
        yield _wrong(file, "gateway.parent", f"is {environment.gateway.parent!r}", "write namespace/name of a Gateway")


def _secrets(target: Target, file: str) -> Iterator[Problem]:
    declared = {each.name for member in target.members for each in member.secrets.values()}
    declared |= {member.database.secret for member in target.members if member.database and member.database.secret}
    gateway = target.description.gateway
    keys = gateway.api_keys.secret.name if gateway and gateway.api_keys else ""
    declared |= {keys} if keys else set()
    if keys and target.generates(keys):
        do = "make the Secret of what `atoll key` prints, and leave the entry out"
        yield _wrong(file, f"secrets.{keys}", "holds the keys of clients, which can't be generated", do)
    for name in sorted(target.environment.secrets):
        if name not in declared:
            yield BAD_ENVIRONMENT.at(
                file,
                has=nearest(name, declared),
                entry=f"secrets.{name}",
                reason="is no secret of the declaration",
                do="correct the name, or remove the entry",
            )


def _wrong(file: str, entry: str, reason: str, do: str) -> Problem:
    return BAD_ENVIRONMENT.at(file, entry=entry, reason=reason, do=do)
