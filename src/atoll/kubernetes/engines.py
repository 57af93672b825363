"""PostgreSQL and NATS inside the cluster: one server each, with a volume, configured as on a laptop."""

from pathlib import PurePosixPath

from atoll.engines import nats, postgres
from atoll.engines.connections import WATCHING, memory, opened, room
from atoll.engines.declared import account_of, looking_account, uses_broker
from atoll.kubernetes.environment import EngineIn, PostgresIn
from atoll.kubernetes.monitoring import watches_engines
from atoll.kubernetes.names import (
    COLLECTOR,
    FIGURES,
    NATS,
    NATS_MONITOR_PORT,
    NATS_PORT,
    POSTGRES,
    POSTGRES_PORT,
    USER,
    Object,
    Target,
    headless,
    labels,
    metadata,
    selector,
)
from atoll.kubernetes.objects import key_of
from atoll.kubernetes.quantities import bytes_of, memory_limit_of
from atoll.kubernetes.resolve import PASSWORD_KEY, nats_secret
from atoll.kubernetes.workloads import (
    CONTAINER_SECURITY,
    account,
    configuration,
    http_probe,
    mounted_map,
    passing,
    pod,
    resources,
    service,
)
from atoll.model import keeping

POSTGRES_USER = 999
"""The account `postgres` of the official image: initdb refuses a user without a name."""

CONFIGURATION = PurePosixPath("/etc/atoll")
POSTGRES_DATA = PurePosixPath("/var/lib/postgresql/data")
NATS_DATA = PurePosixPath("/data")
NATS_FILE = "nats.conf"
POSTGRES_SECRET = PurePosixPath("/run/secrets/postgres")

_COMPONENT = "engine"
_MEMORY_STEP = 256 * 2**20
_CLUSTER = POSTGRES_DATA / "pgdata"
_START = f"""\
#!/bin/sh
# Makes the data folder the first time, and then becomes the server.
set -eu
if [ ! -s {_CLUSTER}/PG_VERSION ]; then
  rm -rf {_CLUSTER}.new
  initdb --pgdata {_CLUSTER}.new --username {postgres.SUPERUSER} --pwfile {POSTGRES_SECRET / PASSWORD_KEY} \\
    --auth scram-sha-256 --encoding UTF8 --locale C --locale-provider builtin --builtin-locale C.UTF-8
  mv {_CLUSTER}.new {_CLUSTER}
fi
# Who mounts a volume may have given its group more than the server accepts.
chmod 0700 {_CLUSTER}
exec postgres -D {_CLUSTER} -c config_file={CONFIGURATION}/postgresql.conf -c hba_file={CONFIGURATION}/pg_hba.conf
"""


def postgres_roles(target: Target) -> dict[str, int]:
    """How many connections each role of the server inside may have, by whose it is."""
    found = {each.name: target.connections(each) for each in target.members if target.owns_database(each)}
    return {**found, **({FIGURES: WATCHING} if watches_engines(target) else {})}


def postgres_busy(target: Target) -> int:
    """How many connections all replicas have when all of them are busy."""
    owning = (each for each in target.members if target.owns_database(each))
    return sum(opened(each, target.replicas(each)[1]) for each in owning)


def postgres_memory_limit(target: Target) -> str:
    """Room for every connection, where the environment says nothing else."""
    wanted = target.environment.engines.postgres
    limit, needed = memory_limit_of(wanted.memory, wanted.memory_limit), memory(postgres_busy(target))
    is_given = wanted.memory_limit != PostgresIn().memory_limit
    return limit if is_given or bytes_of(limit) >= needed else f"{-(-needed // _MEMORY_STEP) * _MEMORY_STEP >> 20}Mi"


def postgres_shared_memory(target: Target) -> str:
    """What the processes of one query may share; it counts as the server's memory.

    A container has 64 MB otherwise, with which a parallel join of some size fails.
    """
    return f"{bytes_of(postgres_memory_limit(target)) // 4 >> 20}Mi"


def postgres_files(target: Target) -> dict[str, str]:
    """What the server reads in CONFIGURATION, and the script that starts it."""
    server = postgres.Server(
        programs=PurePosixPath(),
        data=_CLUSTER,
        port=POSTGRES_PORT,
        host="*",
        clients=("0.0.0.0/0", "::/0"),
        limits=room(postgres_roles(target).values()),
    )
    return {**{each.path.name: each.content for each in postgres.configuration(server)}, "start.sh": _START}


def postgres_objects(target: Target) -> list[Object]:
    made = configuration(target, POSTGRES, POSTGRES, _COMPONENT, postgres_files(target))
    wanted = target.environment.engines.postgres
    ready = {"exec": {"command": ["pg_isready", "--host", "127.0.0.1", "--username", postgres.SUPERUSER]}}
    container: Object = {
        "name": POSTGRES,
        "image": target.images[POSTGRES],
        "command": ["/bin/sh", str(CONFIGURATION / "start.sh")],
        "ports": [{"name": "postgres", "containerPort": POSTGRES_PORT}],
        "env": [{"name": "LC_ALL", "value": "C"}, {"name": "TZ", "value": "UTC"}],
        "resources": resources(wanted.cpu, wanted.memory, postgres_memory_limit(target), wanted.cpu_limit),
        # Recovery after a crash may take its time; a server that recovers is not to be killed.
        "startupProbe": {**ready, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 600},
        "livenessProbe": {"tcpSocket": {"port": "postgres"}, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {**ready, "periodSeconds": 2, "timeoutSeconds": 5},
        # Fast shutdown: transactions are rolled back, the rest is written; SIGTERM would wait for the clients.
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", "kill -INT 1"]}}},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "data", "mountPath": str(POSTGRES_DATA)},
            {"name": "configuration", "mountPath": str(CONFIGURATION), "readOnly": True},
            {"name": "password", "mountPath": str(POSTGRES_SECRET), "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an empty volume of the pod
            {"name": "shared", "mountPath": "/dev/shm"},  # noqa: S108 - as above
        ],
    }
    spec: Object = {
        "terminationGracePeriodSeconds": 60,
        "containers": [container],
        "volumes": [
            mounted_map("configuration", key_of(made).name),
            {"name": "password", "secret": {"secretName": POSTGRES}},
            passing(target, "tmp"),
            {"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": postgres_shared_memory(target)}},
        ],
    }
    return [
        account(target, POSTGRES, _COMPONENT),
        made,
        _stateful(target, POSTGRES, pod(target, POSTGRES, spec, user=POSTGRES_USER), wanted),
        *_services(target, POSTGRES, [_port("postgres", POSTGRES_PORT)]),
    ]


def nats_users(target: Target) -> tuple[str, ...]:
    """The administrator, every member that uses the broker, and the dashboard."""
    members = (each.name for each in target.members if uses_broker(each))
    return (nats.ADMIN, *members, *((COLLECTOR,) if target.looks_at_events else ()))


def room_for_streams(target: Target) -> int:
    """Bytes that streams may take of the volume."""
    return keeping.room(bytes_of(target.environment.engines.nats.storage))


def nats_files(target: Target) -> dict[str, str]:
    """What the server reads in CONFIGURATION. Passwords are in variables."""
    accounts = [account_of(target.system, each, _unquoted(each.name)) for each in target.members if uses_broker(each)]
    if target.looks_at_events:
        accounts.append(looking_account(target.description, COLLECTOR, _unquoted(COLLECTOR)))
    broker = nats.Broker(
        port=NATS_PORT,
        monitor_port=NATS_MONITOR_PORT,
        admin_password=_unquoted(nats.ADMIN),
        accounts=tuple(accounts),
        host="0.0.0.0",  # noqa: S104 - a pod has its own network
        monitor_host="0.0.0.0",  # noqa: S104 - for probes; the network policy keeps others out
        limits=nats.Limits(store=room_for_streams(target)),
    )
    written = nats.configuration(broker, NATS_DATA).content
    for user in nats_users(target):
        # A variable is only one where it has no quotes.
        written = written.replace(f'"{_unquoted(user)}"', _unquoted(user))
    return {NATS_FILE: written}


def nats_objects(target: Target) -> list[Object]:
    made = configuration(target, NATS, NATS, _COMPONENT, nats_files(target))
    wanted = target.environment.engines.nats
    container: Object = {
        "name": NATS,
        "image": target.images[NATS],
        "args": ["-c", str(CONFIGURATION / NATS_FILE)],
        "ports": [
            {"name": "nats", "containerPort": NATS_PORT},
            {"name": "monitor", "containerPort": NATS_MONITOR_PORT},
        ],
        "env": [_password(user) for user in nats_users(target)],
        "resources": resources(wanted.cpu, wanted.memory, wanted.memory_limit, wanted.cpu_limit),
        "startupProbe": http_probe("/healthz", "monitor", period=1, failures=300),
        "livenessProbe": http_probe("/healthz?js-server-only=true", "monitor", period=10, failures=6),
        "readinessProbe": http_probe("/healthz?js-server-only=true", "monitor", period=2, failures=2),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "data", "mountPath": str(NATS_DATA)},
            {"name": "configuration", "mountPath": str(CONFIGURATION), "readOnly": True},
        ],
    }
    spec: Object = {
        "terminationGracePeriodSeconds": 30,
        "containers": [container],
        "volumes": [mounted_map("configuration", key_of(made).name)],
    }
    ports = [_port("nats", NATS_PORT), _port("monitor", NATS_MONITOR_PORT)]
    return [
        account(target, NATS, _COMPONENT),
        made,
        _stateful(target, NATS, pod(target, NATS, spec, user=USER), wanted),
        *_services(target, NATS, ports),
    ]


def password_variable(user: str) -> str:
    """The variable from which NATS takes a user's password."""
    return f"PASSWORD_{user.upper().replace('-', '_')}"


def password_secret(user: str) -> tuple[str, str]:
    """The Secret and key of a user's password."""
    return nats_secret(user), PASSWORD_KEY


def _unquoted(user: str) -> str:
    return f"${password_variable(user)}"


def _password(user: str) -> Object:
    secret, key = password_secret(user)
    return {"name": password_variable(user), "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _port(name: str, number: int) -> Object:
    return {"name": name, "port": number, "targetPort": name}


def _services(target: Target, name: str, ports: list[Object]) -> list[Object]:
    """The address for clients, and the one without an address that gives its pod a name."""
    return [
        service(target, name, name, ports, _COMPONENT),
        service(target, headless(name), name, ports, _COMPONENT, is_headless=True),
    ]


def _stateful(target: Target, name: str, spec: Object, wanted: EngineIn) -> Object:
    """One pod with a volume of its own, which stays when the pod goes."""
    storage_class = {"storageClassName": wanted.storage_class} if wanted.storage_class else {}
    claim: Object = {
        "accessModes": ["ReadWriteOnce"],
        **storage_class,
        "resources": {"requests": {"storage": wanted.storage}},
        "volumeMode": "Filesystem",
    }
    # As the API server completes it: kubectl and Argo CD compare it word by word, and would see a change forever.
    template: Object = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "labels": labels(target, name, _COMPONENT)},
        "spec": claim,
        "status": {"phase": "Pending"},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(target, name, _COMPONENT),
        "spec": {
            "serviceName": headless(name),
            "replicas": 1,
            # Or a pod that can't start would never be replaced by one of a corrected version.
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": selector(name)},
            "template": {"metadata": {"labels": labels(target, name, _COMPONENT)}, "spec": spec},
            "volumeClaimTemplates": [template],
        },
    }
