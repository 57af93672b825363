"""The same system for Docker Compose: the same images and documents, networks after the call graph, volumes, health.

What is secret is in variables of a file `.env` beside it, which is made once and stays with whoever keeps it.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import msgspec

from atoll.engines import postgres
from atoll.engines.declared import database_name, uses_broker
from atoll.kubernetes import collector, engines, gateway
from atoll.kubernetes.compose_health import health_check
from atoll.kubernetes.compose_networks import attached, networks
from atoll.kubernetes.environment import Faults, Monitoring
from atoll.kubernetes.names import (
    CODE,
    COLLECTOR,
    DOCUMENTS,
    GATEWAY,
    GATEWAY_PORT,
    GATEWAY_TLS_PORT,
    NATS,
    NATS_MONITOR_PORT,
    OTLP_PORT,
    POSTGRES,
    POSTGRES_PORT,
    RENDERED,
    SETUP,
    USER,
    VOLUMES,
    Object,
    Target,
)
from atoll.kubernetes.networking import preparing
from atoll.kubernetes.quantities import bytes_of, memory_limit_of
from atoll.kubernetes.resolve import (
    PASSWORD_KEY,
    broker_password,
    document,
    dsn_secret,
    from_secret,
    preparation_variables,
    variables,
)
from atoll.kubernetes.setup import FILE as SETUP_FILE
from atoll.kubernetes.setup import setup_document
from atoll.kubernetes.text import yaml
from atoll.kubernetes.workloads import LAUNCH, PREPARE, documents_of
from atoll.model.references import FromEnvironment
from atoll.model.setup import variable_of
from atoll.wire.description import MemberData

DASHBOARD_AT = f"127.0.0.1:{collector.DASHBOARD_PORT}"
DASHBOARD_TOKEN = "DASHBOARD_TOKEN"  # noqa: S105 - a variable's name
"""Of who may look: a container's own loopback is out of reach from here."""

COMPOSE = "compose.yaml"
VARIABLES = ".env"

_HEADER = f"""\
{RENDERED} compose`. Secrets are variables of the file {VARIABLES} beside this one.
"""
_MEGABYTE = 1 << 20
_UNTIL_UP = "service_healthy"
_UNTIL_DONE = "service_completed_successfully"
_OFTEN: Mapping[str, object] = {"interval": "2s", "timeout": "5s", "retries": 5, "start_period": "60s"}
_LOG: Mapping[str, object] = {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
_GATEWAY_READY = (
    f"exec 3<>/dev/tcp/127.0.0.1/{gateway.ADMIN_PORT}; "
    r"printf 'GET /ready HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n' >&3; grep -q '200 OK' <&3"
)
_NATS_HEALTH = f"http://127.0.0.1:{NATS_MONITOR_PORT}/healthz?js-server-only=true"
_COLLECTOR_HEALTH = f"http://127.0.0.1:{OTLP_PORT}/health/ready"
_DASHBOARD_SECRET = ("dashboard", "token")
_PASSWORD_FOLDER = engines.POSTGRES_SECRET
# The password is a variable here, and the script reads a file.
_POSTGRES_START = (
    f'umask 077; printf %s "$$POSTGRES_PASSWORD" > {_PASSWORD_FOLDER / PASSWORD_KEY}; unset POSTGRES_PASSWORD; '
    f"exec /bin/sh {engines.CONFIGURATION}/start.sh"
)


@dataclass(frozen=True, slots=True)
class Secret:
    """A variable of the file `.env`. before, after: what stands around a random password; None if it is to be given."""

    variable: str
    what: str
    around: tuple[str, str] | None


def render_compose(target: Target, checked: Container[str] = ()) -> Mapping[str, str]:
    """Files by path: compose.yaml and the configuration that its containers read.

    checked: programs whose images say themselves how their health is asked for.
    """
    target = _unwatched(target)
    files: dict[str, str] = {}
    services: dict[str, object] = {}
    for name, made in _containers(target):
        services[name] = made.service
        member = target.member(name)
        if member is not None and member.kind == "process" and member.health and name not in checked:
            made.service["healthcheck"] = health_check(member)
        files |= {f"{name}/{file}": content for file, content in made.files.items()}
    written: Object = {"services": services}
    joined = networks(services.values())
    if joined:
        written["networks"] = joined
    kept = _volumes(target)
    if kept:
        written["volumes"] = {each.name: {} for each in kept}
    return {COMPOSE: _HEADER + yaml([written]).removeprefix("---\n"), **files}


def _unwatched(target: Target) -> Target:
    """Nothing here looks for what a Prometheus is offered, orders faults, or tells what containers write."""
    environment = msgspec.structs.replace(target.environment, monitoring=Monitoring(kind="none"), faults=Faults())
    return replace(target, environment=environment, reads_output=False)


def secrets_of(target: Target) -> tuple[Secret, ...]:
    """Every variable that the file `.env` has to have."""
    target = _unwatched(target)
    generated = {_DASHBOARD_SECRET, *((each.secret, each.key) for each in setup_document(target).secrets)}
    found: dict[str, Secret] = {}
    for member in target.members:
        if member.database and target.owns_database(member) and target.runs_postgres:
            name = database_name(member)
            secret, key = dsn_secret(target, member)
            dsn = (f"postgresql://{name}:", f"@{POSTGRES}:{POSTGRES_PORT}/{name}")
            variable = variable_of(secret, key)
            found[variable] = Secret(variable, f"the database of {member.name}", dsn)
    for _, made in _containers(target):
        for secret, key in made.secrets:
            variable = variable_of(secret, key)
            around = ("", "") if (secret, key) in generated else None
            found.setdefault(variable, Secret(variable, f"{key} of the secret {secret}", around))
    return tuple(found[each] for each in sorted(found))


def completed(before: str, target: Target, passwords: Iterable[str]) -> tuple[str, tuple[Secret, ...]]:
    """The file `.env` with what it lacks, and what is still to be given; what is there stays as it is.

    before: "" for none. passwords: as many new ones as are asked for.
    """
    fresh = iter(passwords)
    there = {name: value for name, _, value in (line.partition("=") for line in before.splitlines())}
    lines: list[str] = []
    if "COMPOSE_PROJECT_NAME" not in there:
        lines.append(f"COMPOSE_PROJECT_NAME={target.system}")
    missing: list[Secret] = []
    for each in secrets_of(target):
        if each.variable not in there:
            value = next(fresh).join(each.around) if each.around else ""
            lines += [f"# {each.what}", f"{each.variable}={value}"]
            there[each.variable] = value
        if not there[each.variable]:
            missing.append(each)
    gap = "" if not before or before.endswith("\n") else "\n"
    return before + gap + "".join(f"{line}\n" for line in lines), tuple(missing)


@dataclass(frozen=True, slots=True)
class _Volume:
    """A named volume, and who is to own it."""

    name: str
    user: int
    image: str


@dataclass(frozen=True, slots=True)
class _Made:
    """A container: its entry, the files that it reads, and the (secret, key)s that its variables are filled from."""

    service: Object
    files: Mapping[str, str]
    secrets: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Container:
    """What one container has that others have otherwise.

    files: its configuration, mounted in DOCUMENTS. folders: in memory. after: what has to be so before, by service.
    """

    own: Object
    files: Mapping[str, str]
    mounts: Sequence[str] = ()
    folders: Sequence[str] = ("/tmp",)  # noqa: S108 - in the container's memory
    after: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    user: int = USER
    memory: str = "256Mi"
    grace: int = 10
    is_one_off: bool = False


def _containers(target: Target) -> list[tuple[str, _Made]]:
    """In the order in which they start."""
    found: list[tuple[str, _Made]] = []
    if _volumes(target):
        found.append((VOLUMES, _owners(target)))
    if target.runs_postgres:
        found.append((POSTGRES, _postgres(target)))
    if target.runs_nats:
        found.append((NATS, _nats(target)))
    if target.makes_databases:
        found.append((SETUP, _setup(target)))
    if target.environment.telemetry.collector:
        found.append((COLLECTOR, _collector(target)))
    for member in target.members:
        documents = documents_of(target, member)
        if PREPARE in documents:
            found.append((preparing(member), _preparation(target, member, documents[PREPARE])))
        found.append((member.name, _member(target, member, documents)))
    if target.description.gateway:
        found.append((GATEWAY, _gateway(target)))
    return found


def _member(target: Target, member: MemberData, documents: Mapping[str, str]) -> _Made:
    is_process = member.kind == "process"
    own: Object = {}
    if is_process:
        own |= {"entrypoint": _escaped(member.command), "working_dir": CODE}
    files = {name: content for name, content in documents.items() if name == LAUNCH}
    if files:
        own["command"] = [f"{DOCUMENTS}/{LAUNCH}"]
    environment, secrets = _environment(variables(target, member))
    wanted = target.wanted(member)
    defaults = target.environment.defaults
    limit = memory_limit_of(wanted.memory or defaults.memory, wanted.memory_limit or defaults.memory_limit)
    sizes = sorted(wanted.volumes.items())
    mounts = [f"{_files_of(member, number)}:{path}" for number, (path, size) in enumerate(sizes, 1) if size]
    after = {preparing(member): _UNTIL_DONE} if PREPARE in documents else {}
    if mounts:
        after[VOLUMES] = _UNTIL_DONE
    container = _Container(
        own={**own, "environment": environment} if environment else own,
        files=files,
        mounts=mounts,
        folders=["/tmp", *(path for path, size in sizes if not size)],  # noqa: S108 - in the container's memory
        after=after,
        memory=limit,
        grace=int(member.grace) + 1,
    )
    service = _service(target, member.name, container)
    least, _ = target.replicas(member)
    if least != 1:
        service["deploy"] = {"replicas": least}
    return _Made(service, files, secrets)


def _preparation(target: Target, member: MemberData, document: str) -> _Made:
    files = {PREPARE: document}
    environment, secrets = _environment(preparation_variables(target, member))
    after: dict[str, str] = {}
    if target.runs_postgres and target.owns_database(member):
        after[SETUP] = _UNTIL_DONE
    if target.runs_nats and uses_broker(member):
        after[NATS] = _UNTIL_UP
    own: Object = {"command": ["prepare", f"{DOCUMENTS}/{PREPARE}"], "environment": environment}
    container = _Container(own=own, files=files, after=after, image=target.images[member.name], is_one_off=True)
    return _Made(_service(target, preparing(member), container), files, secrets)


def _setup(target: Target) -> _Made:
    """Makes the databases and their owners where they are missing; secrets are there already."""
    wanted = msgspec.structs.replace(setup_document(target), kept="variables", secrets=())
    files = {SETUP_FILE: document(wanted)}
    secrets = [(wanted.admin_secret, wanted.admin_key), *((each.secret, each.key) for each in wanted.databases)]
    environment = {variable_of(*each): _filled(*each) for each in secrets}
    after = {POSTGRES: _UNTIL_UP} if target.runs_postgres else {}
    own: Object = {"command": ["setup", f"{DOCUMENTS}/{SETUP_FILE}"], "environment": environment}
    container = _Container(own=own, files=files, after=after, is_one_off=True)
    return _Made(_service(target, SETUP, container), files, secrets)


def _postgres(target: Target) -> _Made:
    files = engines.postgres_files(target)
    secret = (POSTGRES, PASSWORD_KEY)
    own: Object = {
        "entrypoint": ["/bin/sh", "-c", _POSTGRES_START],
        "stop_signal": "SIGINT",
        "shm_size": limit_of(engines.postgres_shared_memory(target)),
        "environment": {"LC_ALL": "C", "TZ": "UTC", "POSTGRES_PASSWORD": _filled(*secret)},
        "healthcheck": {
            "test": ["CMD", "pg_isready", "--host", "127.0.0.1", "--username", postgres.SUPERUSER],
            **_OFTEN,
        },
    }
    user = engines.POSTGRES_USER
    container = _Container(
        own=own,
        files=files,
        mounts=[f"{POSTGRES}:{engines.POSTGRES_DATA}"],
        folders=["/tmp", f"{_PASSWORD_FOLDER}:mode=0700,uid={user},gid={user}"],  # noqa: S108 - as above
        after={VOLUMES: _UNTIL_DONE},
        user=user,
        memory=engines.postgres_memory_limit(target),
        grace=60,
    )
    return _Made(_service(target, POSTGRES, container), files, [secret])


def _nats(target: Target) -> _Made:
    files = engines.nats_files(target)
    secrets = {engines.password_variable(user): engines.password_secret(user) for user in engines.nats_users(target)}
    is_official = target.environment.images.engines == "official"
    asks = (
        ["CMD", "wget", "-q", "-O", "/dev/null", _NATS_HEALTH]
        if is_official
        else ["CMD", "python3", "-c", f"from urllib.request import urlopen; urlopen('{_NATS_HEALTH}')"]
    )
    own: Object = {
        "entrypoint": ["nats-server", "-c", f"{engines.CONFIGURATION}/nats.conf"],
        "environment": {name: _filled(*secret) for name, secret in secrets.items()},
        "healthcheck": {"test": asks, **_OFTEN},
    }
    container = _Container(
        own=own,
        files=files,
        mounts=[f"{NATS}:{engines.NATS_DATA}"],
        after={VOLUMES: _UNTIL_DONE},
        memory=memory_limit_of(target.environment.engines.nats.memory, target.environment.engines.nats.memory_limit),
        grace=30,
    )
    return _Made(_service(target, NATS, container), files, list(secrets.values()))


def _collector(target: Target) -> _Made:
    """Whom services send spans, metrics and lines; its pages are asked for with a token."""
    wanted = target.environment.telemetry
    at = f"0.0.0.0:{collector.DASHBOARD_PORT}"
    files = {collector.FILE: collector.collection(target, at, FromEnvironment(DASHBOARD_TOKEN))}
    filled = [broker_password(target)] if target.looks_at_events else []
    filled += [from_secret(DASHBOARD_TOKEN, *_DASHBOARD_SECRET)] if wanted.dashboard else []
    environment, secrets = _environment(filled)
    asks = f"from urllib.request import urlopen; urlopen('{_COLLECTOR_HEALTH}')"
    own: Object = {
        "entrypoint": collector.program(target),
        "command": [f"{DOCUMENTS}/{collector.FILE}"],
        **({"environment": environment} if environment else {}),
        **(
            {"ports": [f"${{DASHBOARD_ADDRESS:-{DASHBOARD_AT}}}:{collector.DASHBOARD_PORT}"]}
            if wanted.dashboard
            else {}
        ),
        "healthcheck": {"test": ["CMD", "python", "-c", asks], **_OFTEN},
    }
    container = _Container(
        own=own,
        files=files,
        mounts=[f"{COLLECTOR}:{collector.STORE}"],
        after={VOLUMES: _UNTIL_DONE},
        memory=memory_limit_of(wanted.memory, wanted.memory_limit),
        grace=15,
    )
    return _Made(_service(target, COLLECTOR, container), files, secrets)


def _gateway(target: Target) -> _Made:
    files = gateway.gateway_files(target)
    ports = [f"${{GATEWAY_ADDRESS:-127.0.0.1:8080}}:{GATEWAY_PORT}"]
    mounts: list[str] = []
    if gateway.ends_tls(target):
        ports.append(f"${{GATEWAY_TLS_ADDRESS:-127.0.0.1:8443}}:{GATEWAY_TLS_PORT}")
        mounts.append(f"./tls:{gateway.TLS_FOLDER}:ro")
    environment, secrets = _environment(gateway.gateway_variables(target))
    own: Object = {
        "entrypoint": ["envoy"],
        "command": gateway.arguments(target),
        **({"environment": environment} if environment else {}),
        "ports": ports,
        "healthcheck": {"test": ["CMD", "/bin/bash", "-c", _escaped([_GATEWAY_READY])[0]], **_OFTEN},
    }
    limit = memory_limit_of(target.environment.gateway.memory, target.environment.gateway.memory_limit)
    container = _Container(own=own, files=files, mounts=mounts, memory=limit)
    return _Made(_service(target, GATEWAY, container), files, secrets)


def _owners(target: Target) -> _Made:
    """A new volume belongs to root; this gives it to who writes there."""
    kept = _volumes(target)
    commands = [f"chown {each.user}:{each.user} /volumes/{each.name}" for each in kept]
    service: Object = {
        "image": target.images.get(SETUP, kept[0].image),
        "entrypoint": ["/bin/sh", "-c", " && ".join(commands)],
        "user": "0:0",
        "read_only": True,
        "cap_drop": ["ALL"],
        "cap_add": ["CHOWN"],
        "security_opt": ["no-new-privileges:true"],
        "network_mode": "none",
        "restart": "no",
        "volumes": [f"{each.name}:/volumes/{each.name}" for each in kept],
    }
    return _Made(service, {})


def _service(target: Target, name: str, container: _Container) -> Object:
    """An entry with all that every container of ours has."""
    files, after = container.files, container.after
    read = [f"./{name}/{file}:{DOCUMENTS}/{file}:ro" for file in files]
    # A container is made anew when its entry changes; so its files are told in it.
    digest = sha256(msgspec.json.encode(sorted(files.items()))).hexdigest()[:10]
    joined = attached(target, name)
    return {
        "image": container.image or target.images[name],
        **container.own,
        **({"labels": {"atoll.configuration": digest}} if files else {}),
        **({"depends_on": {each: {"condition": condition} for each, condition in after.items()}} if after else {}),
        **({"networks": joined} if joined else {"network_mode": "none"}),
        **({"volumes": [*read, *container.mounts]} if read or container.mounts else {}),
        "tmpfs": list(container.folders),
        "user": f"{container.user}:{container.user}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": limit_of(container.memory),
        "stop_grace_period": f"{container.grace}s",
        "restart": "no" if container.is_one_off else "unless-stopped",
        "logging": dict(_LOG),
    }


def _volumes(target: Target) -> list[_Volume]:
    found: list[_Volume] = []
    if target.runs_postgres:
        found.append(_Volume(POSTGRES, engines.POSTGRES_USER, target.images[POSTGRES]))
    if target.runs_nats:
        found.append(_Volume(NATS, USER, target.images[NATS]))
    if target.environment.telemetry.collector:
        found.append(_Volume(COLLECTOR, USER, target.images[COLLECTOR]))
    for member in target.members:
        for number, (_, size) in enumerate(sorted(target.wanted(member).volumes.items()), 1):
            if size:
                found.append(_Volume(_files_of(member, number), USER, target.images[member.name]))
    return found


def _files_of(member: MemberData, number: int) -> str:
    return f"{member.name}-files-{number}"


def _environment(made: Iterable[Object]) -> tuple[Object, list[tuple[str, str]]]:
    """Variables as a pod has them; those of secrets are filled from the file `.env`."""
    found: Object = {}
    secrets: list[tuple[str, str]] = []
    for each in made:
        name = str(each["name"])
        source = each.get("valueFrom")
        if isinstance(source, dict):
            reference = source["secretKeyRef"]
            secrets.append((reference["name"], reference["key"]))
            found[name] = _filled(*secrets[-1])
        else:
            found[name] = str(each["value"]).replace("$", "$$")
    return found, secrets


def _filled(secret: str, key: str) -> str:
    variable = variable_of(secret, key)
    return f"${{{variable}:?{variable} is missing in {VARIABLES}}}"


def _escaped(words: Iterable[str]) -> list[str]:
    return [each.replace("$", "$$") for each in words]


def limit_of(quantity: str) -> str:
    """A quantity of memory as Compose has it."""
    size = bytes_of(quantity)
    return f"{size // _MEGABYTE}m" if size % _MEGABYTE == 0 else f"{size}b"
