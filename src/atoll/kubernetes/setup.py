"""What has to be there once in a namespace: itself, its secrets, and the databases; made by a Job of the cluster."""

from atoll.engines import postgres
from atoll.engines.connections import WATCHING
from atoll.engines.declared import database_name
from atoll.kubernetes.engines import nats_users
from atoll.kubernetes.monitoring import watches_engines
from atoll.kubernetes.names import (
    DOCUMENTS,
    FIGURES,
    POSTGRES,
    POSTGRES_PORT,
    SETUP,
    Object,
    Target,
    hashed,
    metadata,
)
from atoll.kubernetes.objects import key_of
from atoll.kubernetes.resolve import DSN_KEY, FAULT_SECRET, PASSWORD_KEY, document, dsn_secret, nats_secret
from atoll.kubernetes.workloads import CONTAINER_SECURITY, account, configuration, job, mounted_map, pod, resources
from atoll.model.setup import Generated, OwnDatabase, Setup, variable_of

FILE = "setup.json"
FIGURES_SECRET = (f"{FIGURES}-database", DSN_KEY)
"""The Secret and key with the DSN of who may look at all databases, and into none."""

_COMPONENT = "job"


def namespace_object(target: Target) -> Object:
    level = "restricted"
    described = metadata(target, target.namespace, "namespace")
    del described["namespace"]
    kept = described["labels"]
    assert isinstance(kept, dict)
    kept |= {f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "audit", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": described}


def setup_document(target: Target) -> Setup:
    """Which secrets and databases to make where they are missing."""
    owners = [each for each in target.members if target.owns_database(each)]
    databases = [
        OwnDatabase(database_name(each), *dsn_secret(target, each), target.connections(each)) for each in owners
    ]
    watchers: tuple[str, ...] = ()
    if watches_engines(target) and target.runs_postgres:
        databases.append(OwnDatabase(FIGURES, *FIGURES_SECRET, WATCHING))
        watchers = (FIGURES,)
    generated: list[Generated] = []
    if target.runs_postgres:
        generated.append(Generated(POSTGRES, PASSWORD_KEY))
    if target.runs_nats:
        generated += [Generated(nats_secret(user), PASSWORD_KEY) for user in nats_users(target)]
    if target.environment.faults.allowed:
        generated.append(Generated(*FAULT_SECRET))
    for member in target.members:
        generated += [Generated(each.name, each.key) for each in member.all_secrets if target.generates(each.name)]
    elsewhere = target.environment.engines.postgres
    return Setup(
        namespace=target.namespace,
        system=target.system,
        secrets=tuple(dict.fromkeys(generated)),
        host=POSTGRES,
        port=POSTGRES_PORT,
        user=postgres.SUPERUSER,
        admin_secret=elsewhere.secret or POSTGRES,
        admin_key=elsewhere.key if elsewhere.secret else PASSWORD_KEY,
        is_dsn=bool(elsewhere.secret),
        databases=tuple(databases),
        watchers=watchers,
    )


def sets_up(target: Target) -> bool:
    """Whether a namespace needs anything that is not rendered."""
    made = setup_document(target)
    return bool(made.secrets or made.databases)


def setup_objects(target: Target) -> list[Object]:
    """The Job that makes them, once; it alone may make Secrets, and read those. Nothing, if nothing is to be made."""
    if not sets_up(target):
        return []
    made = setup_document(target)
    data = {FILE: document(made)}
    written = configuration(target, SETUP, SETUP, _COMPONENT, data)
    return [account(target, SETUP, _COMPONENT), *_rights(target), written, _job(target, data, key_of(written).name)]


def _rights(target: Target) -> list[Object]:
    made = setup_document(target)
    names = {each.secret for each in made.secrets} | {each.secret for each in made.databases}
    # Who runs the server made it, and may use it elsewhere too.
    read = {made.admin_secret} - names if made.databases else set()
    secrets: Object = {"apiGroups": [""], "resources": ["secrets"]}
    subject = {"kind": "ServiceAccount", "name": SETUP, "namespace": target.namespace}
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata(target, SETUP, _COMPONENT),
            # Who makes one can't be bound to a name: it has none before.
            "rules": [
                {**secrets, "verbs": ["create"]},
                {**secrets, "resourceNames": sorted(names), "verbs": ["get", "patch"]},
                *({**secrets, "resourceNames": [each], "verbs": ["get"]} for each in sorted(read)),
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata(target, SETUP, _COMPONENT),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": SETUP},
            "subjects": [subject],
        },
    ]


def _job(target: Target, data: dict[str, str], configuration_name: str) -> Object:
    image = target.images[SETUP]
    container: Object = {
        "name": SETUP,
        "image": image,
        "args": ["setup", f"{DOCUMENTS}/{FILE}"],
        **({"env": [_awaited(setup_document(target))]} if target.environment.engines.postgres.secret else {}),
        "resources": resources("10m", "64Mi", "256Mi"),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "documents", "mountPath": DOCUMENTS, "readOnly": True}],
    }
    spec: Object = {
        "automountServiceAccountToken": True,
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [mounted_map("documents", configuration_name)],
    }
    return job(target, hashed(SETUP, data, image), SETUP, SETUP, pod(target, SETUP, spec))


def _awaited(made: Setup) -> Object:
    """Of the Secret that somebody else makes: a pod waits for it, where a try would fail. It is read by the API."""
    reference = {"name": made.admin_secret, "key": made.admin_key}
    return {"name": variable_of(made.admin_secret, made.admin_key), "valueFrom": {"secretKeyRef": reference}}
