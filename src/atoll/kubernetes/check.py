"""Every rule of a valid environment for this system; all that is wrong is told at once."""

import re
from collections.abc import Iterator

from atoll.errors import BAD_ENVIRONMENT, Problem
from atoll.kubernetes.names import RESERVED, Target, admin_port_of, port_of
from atoll.model.suggest import nearest

_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
_WAYS = ("loadbalancer", "nodeport", "httproute")


def environment_problems(target: Target, file: str) -> list[Problem]:
    """Of the environment read from this file, and of names of the declaration that a cluster can't have."""
    rules = (_names, _services, _quantities, _way_in, _engines, _monitoring, _secrets)
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


def _quantities(target: Target, file: str) -> Iterator[Problem]:
    environment = target.environment
    parts = {
        "defaults": environment.defaults,
        "gateway": environment.gateway,
        "engines.postgres": environment.engines.postgres,
        "engines.nats": environment.engines.nats,
        "telemetry": environment.telemetry,
        **{f"services.{name}": each for name, each in sorted(environment.services.items())},
    }
    for part, values in parts.items():
        for name in ("cpu", "memory", "memory_limit", "storage"):
            value = getattr(values, name, "")
            if value and not _QUANTITY.fullmatch(value):
                yield _wrong(file, f"{part}.{name}", f"is {value!r}, no quantity", 'write such as "250m" or "512Mi"')
    for name, each in sorted(environment.services.items()):
        for path, size in each.volumes.items():
            if size and not _QUANTITY.fullmatch(size):
                yield _wrong(file, f"services.{name}.volumes", f"gives {path} {size!r}", 'write such as "1Gi"')


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
    if wanted.replicas < 1:
        yield _wrong(file, "gateway.replicas", f"is {wanted.replicas}", "write a number from 1")


def _engines(target: Target, file: str) -> Iterator[Problem]:
    engines = target.environment.engines
    if engines.nats.address and not engines.nats.secret:
        yield _wrong(file, "engines.nats.secret", "is missing", "name the Secret with the password for the address")
    if target.environment.images.engines not in {"official", "wheels"}:
        reason = f"is {target.environment.images.engines!r}"
        yield _wrong(file, "images.engines", reason, "use official or wheels")


def _monitoring(target: Target, file: str) -> Iterator[Problem]:
    kind = target.environment.monitoring.kind
    if kind not in {"annotations", "operator", "none"}:
        yield _wrong(file, "monitoring.kind", f"is {kind!r}", "use annotations, operator or none")


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
