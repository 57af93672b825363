"""Every rule of a valid environment for this system; all that is wrong is told at once."""

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from atoll.engines import connections
from atoll.engines.declared import stored
from atoll.errors import BAD_ENVIRONMENT, Problem
from atoll.kubernetes.clashes import clashes
from atoll.kubernetes.engines import postgres_busy, postgres_memory_limit, postgres_roles, room_for_streams
from atoll.kubernetes.entries import BYTES, CPU, LABEL, entry_problems
from atoll.kubernetes.environment import EngineIn, Resources, ServiceIn, WayIn
from atoll.kubernetes.names import CODE, DOCUMENTS, RESERVED, Target, admin_port_of, port_of
from atoll.kubernetes.quantities import bytes_of, cpu_limit_of, processors_of
from atoll.kubernetes.resolve import set_variables
from atoll.kubernetes.written import Written
from atoll.model import keeping
from atoll.model.suggest import nearest

_Asking: TypeAlias = Resources | WayIn | EngineIn | ServiceIn

_BYTES, _CPU, _LABEL = re.compile(BYTES), re.compile(CPU), re.compile(LABEL)
_TOLERANCE = 1.1
"""An autoscaler leaves alone what is within a tenth of what it aims at."""
_SHARED = ("default", "kube-")
"""A namespace that is called so, or begins so, has others in it."""
_TAKEN: Mapping[str, str] = {
    CODE: "the code is",
    "/tmp": "every pod has a volume for passing files",  # noqa: S108 - of the pod
    DOCUMENTS: "atoll's own documents are",
    "/dev": "the kernel's files are",
    "/proc": "the kernel's files are",
    "/sys": "the kernel's files are",
}
"""Folders that no volume can hide, by itself or above them."""
_WHOLE = (DOCUMENTS, "/dev", "/proc", "/sys")
"""Those in which there is no room for one either."""


def environment_problems(target: Target, file: Written) -> list[Problem]:
    """Of the environment read from this file, and of names of the declaration that a cluster can't have."""
    rules = (_names, _services, _folders, _kept_files, _contradictions, _scaling, _connections, _streams, _secrets)
    found = [problem for rule in rules for problem in rule(target, file)]
    found += entry_problems(target.environment, file)
    # What is made of an environment that is wrong says nothing.
    return found or list(clashes(target))


def _names(target: Target, file: Written) -> Iterator[Problem]:
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
    namespace = target.namespace
    if not _LABEL.fullmatch(namespace):
        yield _wrong(file, "cluster.namespace", f"is {namespace!r}, no DNS label", "use a-z, 0-9 and hyphens")
    if namespace == _SHARED[0] or namespace.startswith(_SHARED[1]):
        do = "choose one for this system alone: it is labelled `restricted`, and taken for the system's own"
        yield _wrong(file, "cluster.namespace", f"is {namespace!r}, where others are", do)


def _services(target: Target, file: Written) -> Iterator[Problem]:
    names = [member.name for member in target.members]
    for name in sorted(target.environment.services):
        if name not in names:
            yield BAD_ENVIRONMENT.at(
                file.at(f"services.{name}"),
                has=nearest(name, names),
                entry=f"[services.{name}]",
                reason="names no service of the system",
                do="correct the name, or remove the entry",
            )


def _folders(target: Target, file: Written) -> Iterator[Problem]:
    for name, wanted in sorted(target.environment.services.items()):
        for path in sorted(wanted.volumes):
            for folder, what in _TAKEN.items():
                is_within = folder in _WHOLE and path.startswith(f"{folder}/")
                if path == folder or folder.startswith(f"{path}/") or is_within:
                    reason, do = (
                        f"has {path!r}, but {what} at {folder}",
                        "choose another folder, such as /var/lib/files",
                    )
                    yield _wrong(file, f"services.{name}.volumes", reason, do)


def _kept_files(target: Target, file: Written) -> Iterator[Problem]:
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
        for name, secret in sorted(member.secret_environment.items()):
            if isinstance(wanted.environment.get(name), str):
                # Not with the value: it may be the secret itself.
                entry, reason = f"services.{member.name}.environment.{name}", "is plain text, and declared as a Secret"
                do = f'write {{ secret = "...", key = "..." }}, or name the Secret in [secrets]: {secret.name} = "..."'
                yield _wrong(file, entry, reason, do)


def _contradictions(target: Target, file: Written) -> Iterator[Problem]:
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
        yield from _contradiction(part, values, environment.defaults, file)


def _contradiction(part: str, values: _Asking, defaults: Resources, file: Written) -> Iterator[Problem]:
    """A limit that was given, and is lower than what is asked for; one that was not given follows."""
    memory, limit = values.memory or defaults.memory, values.memory_limit
    is_given = limit != type(values)().memory_limit
    are_sizes = _BYTES.fullmatch(memory) and _BYTES.fullmatch(limit)
    if is_given and are_sizes and bytes_of(memory) > bytes_of(limit):
        reason = f"is {limit}, less than the memory that is asked for: {memory}"
        yield _wrong(file, f"{part}.memory_limit", reason, "raise it, or lower memory")
    cpu, limit = values.cpu or defaults.cpu, values.cpu_limit
    if _are_processors(cpu, limit) and processors_of(cpu) > processors_of(limit):
        reason = f"is {limit}, less than what is asked for: {cpu}"
        yield _wrong(file, f"{part}.cpu_limit", reason, "raise it, or lower cpu")


def _scaling(target: Target, file: Written) -> Iterator[Problem]:
    """Of autoscalers: a pod that its limit holds below their aim never asks for another."""
    defaults = target.environment.defaults
    for member in target.members:
        wanted, (least, most) = target.wanted(member), target.replicas(member)
        cpu, limit = wanted.cpu or defaults.cpu, wanted.cpu_limit or defaults.cpu_limit
        at = wanted.scale_at or defaults.scale_at
        if least == most or not _are_processors(cpu, limit, at):
            continue
        limit = cpu_limit_of(cpu, limit)
        if processors_of(limit) <= processors_of(at) * _TOLERANCE:
            reason = f"is {at}, which a pod of {member.name} hardly exceeds with a limit of {limit}"
            yield _wrong(file, f"services.{member.name}.scale_at", reason, "lower it, or raise cpu_limit")


def _are_processors(*quantities: str) -> bool:
    return all(_CPU.fullmatch(each) for each in quantities)


def _connections(target: Target, file: Written) -> Iterator[Problem]:
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


def _streams(target: Target, file: Written) -> Iterator[Problem]:
    """Of a NATS inside: it would refuse the streams that its volume has no room for, one after the other."""
    storage, topics = target.environment.engines.nats.storage, target.description.topics
    if not target.runs_nats or not _BYTES.fullmatch(storage):
        return
    wanted, has = stored(target.description), room_for_streams(target)
    if wanted > has:
        largest = max(topics, key=lambda each: each.kept_bytes)
        reason = (
            f"is {storage}, of which streams may take {_shown(has)}; "
            f"all topics ({len(topics)}) and dead letters may take {_shown(wanted)}"
        )
        do = (
            f'write "{-(-keeping.volume_for(wanted) >> 30)}Gi", or lower kept_bytes of a Topic: '
            f"{largest.name} has the most, {_shown(largest.kept_bytes)}"
        )
        yield _wrong(file, "engines.nats.storage", reason, do)


def _shown(count: int) -> str:
    return f"{count >> 20:,}Mi"


def _secrets(target: Target, file: Written) -> Iterator[Problem]:
    declared = {each.name for member in target.members for each in member.all_secrets}
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
                file.at(f"secrets.{name}"),
                has=nearest(name, declared),
                entry=f"secrets.{name}",
                reason="is no secret of the declaration",
                do="correct the name, or remove the entry",
            )


def _wrong(file: Written, entry: str, reason: str, do: str) -> Problem:
    return BAD_ENVIRONMENT.at(file.at(entry), entry=entry, reason=reason, do=do)
