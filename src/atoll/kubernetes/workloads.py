"""What runs of a service: Deployment, autoscaler, disruption budget, and the Job that prepares it."""

from collections.abc import Mapping, Sequence

from atoll.kubernetes.monitoring import scraped
from atoll.kubernetes.names import (
    CODE,
    DOCUMENTS,
    USER,
    Object,
    Target,
    admin_port_of,
    hashed,
    headless,
    labels,
    metadata,
    port_of,
    selector,
)
from atoll.kubernetes.networking import preparing
from atoll.kubernetes.objects import items, mapping
from atoll.kubernetes.quantities import cpu_limit_of, memory_limit_of
from atoll.kubernetes.resolve import document, launch, preparation, preparation_variables, variables
from atoll.wire.description import MemberData

COMPONENT = "service"
UNFIT = 3
"""How a preparation ends that no other try can mend, such as one with a wrong migration."""
LAUNCH, PREPARE = "launch.json", "prepare.json"
_LEAVES = 12
"""Seconds that a pod still serves after it was told to stop, until every caller has heard of it: name servers keep an
answer for 5 s, callers ask every 5 s (runtime/replicas.py), and the cluster needs a moment to tell its name servers."""
_COMES_UP, _IS_PREPARED = 600, 3600
"""Seconds without progress after which a cluster calls a Deployment failed, and Argo CD and Flux their first sync: the
second where pods wait for a Job, which may have a volume, an image, engines and long migrations before it. Nothing is
stopped by it, and `atoll deploy` looks at pods and Jobs themselves, so it only has to be long enough."""
_TRIES = 20
"""Of a Job after the first; each waits longer, ten minutes at most: three hours for what it needs to come up."""


def service_objects(target: Target, member: MemberData) -> list[Object]:
    """Everything of one member, in the order to apply it."""
    documents = documents_of(target, member)
    found = [_account(target, member), *([_configuration(target, member, documents)] if documents else [])]
    found += _claims(target, member)
    if PREPARE in documents:
        found.append(_job(target, member, documents))
    found += [_deployment(target, member, documents), *_services(target, member)]
    least, most = target.replicas(member)
    if most > least:
        found.append(_autoscaler(target, member, least, most))
    if most > 1:
        found.append(_budget(target, member))
    return found


def security(user: int = USER) -> Object:
    """Of a pod: what the Pod Security level `restricted` asks for."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        # Or every start would go through all files of a large volume first.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


CONTAINER_SECURITY: Mapping[str, object] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def resources(cpu: str, memory: str, memory_limit: str, cpu_limit: str = "") -> Object:
    """cpu_limit: "" leaves it to the environment's defaults (pod)."""
    limits: Object = {"memory": memory_limit_of(memory, memory_limit)}
    if cpu_limit:
        limits["cpu"] = cpu_limit
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": limits}


def pod(target: Target, name: str, spec: Object, *, user: int = USER, account: str = "") -> Object:
    """A pod's spec with all that every pod of ours has. account: "" is the namespace's, without a token."""
    images, cpu_limit = target.environment.images, target.environment.defaults.cpu_limit
    for container in (*items(spec, "initContainers"), *items(spec, "containers")):
        if images.pull != "IfNotPresent":
            container["imagePullPolicy"] = images.pull
        if cpu_limit:
            # Of every container: a ResourceQuota of limits refuses a pod for the one that has none.
            limits, asked = mapping(container, "resources", "limits"), mapping(container, "resources", "requests")
            limits.setdefault("cpu", cpu_limit_of(str(asked["cpu"]), cpu_limit))
    return {
        "serviceAccountName": account or name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security(user),
        **({"imagePullSecrets": [{"name": images.pull_secret}]} if images.pull_secret else {}),
        **spec,
    }


def spread(name: str) -> list[Object]:
    """Replicas in different zones and on different machines where there are some.

    Both have to be said: one alone takes the place of a scheduler's own rules, which are for both.
    """
    return [
        {
            "maxSkew": 1,
            "topologyKey": place,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector(name)},
        }
        for place in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def http_probe(path: str, port: str, *, period: int, failures: int, timeout: int = 2) -> Object:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def account(target: Target, name: str, component: str) -> Object:
    """An identity of its own, which may do nothing."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(target, name, component),
        "automountServiceAccountToken": False,
    }


def configuration(target: Target, name: str, app: str, component: str, data: dict[str, str]) -> Object:
    """A ConfigMap that never changes: another content is another name, so that who uses it is replaced."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(target, hashed(name, data), component, app),
        "immutable": True,
        "data": data,
    }


def passing(target: Target, volume: str, member: MemberData | None = None) -> Object:
    """An empty volume that goes with its pod. Who fills it is moved away, before he fills the machine."""
    wanted = target.wanted(member).scratch if member else ""
    return {"name": volume, "emptyDir": {"sizeLimit": wanted or target.environment.defaults.scratch}}


def mounted_map(volume: str, name: str) -> Object:
    return {"name": volume, "configMap": {"name": name}}


def _account(target: Target, member: MemberData) -> Object:
    return account(target, member.name, COMPONENT)


def documents_of(target: Target, member: MemberData) -> dict[str, str]:
    """The files its processes are started with."""
    if member.kind == "process":
        return {}
    found = {LAUNCH: document(launch(target, member))}
    prepared = preparation(target, member)
    if prepared is not None:
        found[PREPARE] = document(prepared)
    return found


def _configuration(target: Target, member: MemberData, documents: dict[str, str]) -> Object:
    return configuration(target, member.name, member.name, COMPONENT, documents)


def _deployment(target: Target, member: MemberData, documents: dict[str, str]) -> Object:
    least, most = target.replicas(member)
    keeps_files = bool(_claims(target, member))
    notes = {} if member.kind == "process" else scraped(target, admin_port_of(member))
    # An autoscaler is the only one who says how many, where there is one.
    replicas = least if least == most else None
    spec = _pod(target, member, documents)
    return deployment(target, member.name, COMPONENT, spec, replicas=replicas, notes=notes, keeps_files=keeps_files)


def deployment(
    target: Target,
    name: str,
    component: str,
    spec: Object,
    *,
    replicas: int | None = 1,
    notes: Object | None = None,
    keeps_files: bool = False,
) -> Object:
    """spec: of its pods. notes: more of their metadata. keeps_files: in a volume, which is one pod's at a time."""
    rolling: Object = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(target, name, component),
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": _IS_PREPARED if "initContainers" in spec else _COMES_UP,
            "selector": {"matchLabels": selector(name)},
            "strategy": {"type": "Recreate"} if keeps_files else rolling,
            "template": {"metadata": {"labels": labels(target, name, component), **(notes or {})}, "spec": spec},
        },
    }


def _pod(target: Target, member: MemberData, documents: dict[str, str]) -> Object:
    container = _container(target, member)
    mounts, volumes = _volumes(target, member, documents)
    container["volumeMounts"] = mounts
    spec: Object = {
        # What it takes to leave, to finish, and a second more than it gives itself.
        "terminationGracePeriodSeconds": _LEAVES + int(member.grace) + 1,
        "topologySpreadConstraints": spread(member.name),
    }
    if PREPARE in documents and member.database:
        spec["initContainers"] = [_waiting(target, member)]
    spec["containers"] = [container]
    spec["volumes"] = volumes
    return pod(target, member.name, spec)


def _container(target: Target, member: MemberData) -> Object:
    is_process = member.kind == "process"
    health = member.health if is_process else "/health/live"
    admin = "http" if is_process else "admin"
    ports: list[Object] = [{"name": "http", "containerPort": port_of(member)}]
    if not is_process:
        ports.append({"name": "admin", "containerPort": admin_port_of(member)})
    wanted = target.wanted(member)
    defaults = target.environment.defaults
    made: Object = {"name": member.name, "image": target.images[member.name]}
    if is_process:
        made["command"] = list(member.command)
        made["workingDir"] = CODE
    else:
        made["args"] = [f"{DOCUMENTS}/{LAUNCH}"]
    made["ports"] = ports
    env = variables(target, member)
    if env:
        made["env"] = env
    made["resources"] = resources(
        wanted.cpu or defaults.cpu,
        wanted.memory or defaults.memory,
        wanted.memory_limit or defaults.memory_limit,
        wanted.cpu_limit,
    )
    if health:
        made["startupProbe"] = http_probe(health, admin, period=1, failures=60)
        made["livenessProbe"] = http_probe(health, admin, period=10, failures=3)
        ready = health if is_process else "/health/ready"
        made["readinessProbe"] = http_probe(ready, admin, period=2, failures=2)
    made["lifecycle"] = {"preStop": {"sleep": {"seconds": _LEAVES}}}
    made["securityContext"] = CONTAINER_SECURITY
    return made


def _volumes(target: Target, member: MemberData, documents: dict[str, str]) -> tuple[list[Object], list[Object]]:
    """Where what is mounted: its documents, a place for passing files, and the folders that keep theirs."""
    mounts: list[Object] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - an empty volume of the pod
    volumes: list[Object] = [passing(target, "tmp", member)]
    if documents:
        mounts.append({"name": "documents", "mountPath": DOCUMENTS, "readOnly": True})
        volumes.append(mounted_map("documents", hashed(member.name, documents)))
    for number, (path, size) in enumerate(sorted(target.wanted(member).volumes.items()), 1):
        mounts.append({"name": f"files-{number}", "mountPath": path})
        claim: Object = {"persistentVolumeClaim": {"claimName": _claim_name(member, number)}}
        volume = f"files-{number}"
        volumes.append({"name": volume, **claim} if size else passing(target, volume, member))
    return mounts, volumes


def _claims(target: Target, member: MemberData) -> list[Object]:
    sizes = enumerate(sorted(target.wanted(member).volumes.items()), 1)
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata(target, _claim_name(member, number), COMPONENT, member.name),
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
        }
        for number, (_, size) in sizes
        if size
    ]


def _claim_name(member: MemberData, number: int) -> str:
    return f"{member.name}-files-{number}"


def _waiting(target: Target, member: MemberData) -> Object:
    """Holds a new pod until its database has what this version needs: whoever applies the objects, in any order."""
    return {
        "name": "prepared",
        "image": target.images[member.name],
        "args": ["prepared", f"{DOCUMENTS}/{PREPARE}"],
        "env": [each for each in variables(target, member) if each["name"] == "DATABASE_URL"],
        "resources": resources("10m", "64Mi", "128Mi"),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "documents", "mountPath": DOCUMENTS, "readOnly": True}],
    }


def _job(target: Target, member: MemberData, documents: dict[str, str]) -> Object:
    """Migrations, streams and consumers. A Job can't be changed, so what it does is in its name."""
    image = target.images[member.name]
    container: Object = {
        "name": "prepare",
        "image": image,
        "args": ["prepare", f"{DOCUMENTS}/{PREPARE}"],
        "env": preparation_variables(target, member),
        "resources": resources("10m", "64Mi", "256Mi"),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "documents", "mountPath": DOCUMENTS, "readOnly": True}],
    }
    spec: Object = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [mounted_map("documents", hashed(member.name, documents))],
    }
    name = hashed(f"{member.name}-prepare", documents, image)
    return job(target, name, member.name, preparing(member), pod(target, member.name, spec), final=[UNFIT])


def job(target: Target, name: str, part: str, app: str, spec: Object, *, final: Sequence[int] = ()) -> Object:
    """Work that is done once. part: what it belongs to. app: label of its pods. final: how they end where no other try
    helps.

    It has no deadline, which would count the time that it waits for an image, a Secret or a machine, and then fail for
    good: a Job of the same name is not run again by applying it again. Its tries are what is bounded.
    """
    rules: list[Object] = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
    if final:
        rules.insert(0, {"action": "FailJob", "onExitCodes": {"operator": "In", "values": list(final)}})
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(target, name, "job", part),
        "spec": {
            "backoffLimit": _TRIES,
            "podFailurePolicy": {"rules": rules},
            "template": {"metadata": {"labels": labels(target, app, "job")}, "spec": spec},
        },
    }


def _services(target: Target, member: MemberData) -> list[Object]:
    """One address that is balanced by the cluster, and one that stands for every pod."""
    ports: list[Object] = [{"name": "http", "port": port_of(member), "targetPort": "http"}]
    admin: list[Object] = (
        [] if member.kind == "process" else [{"name": "admin", "port": admin_port_of(member), "targetPort": "admin"}]
    )
    return [
        service(target, member.name, member.name, ports),
        service(target, headless(member.name), member.name, [*ports, *admin], is_headless=True),
    ]


def service(
    target: Target, name: str, app: str, ports: list[Object], component: str = COMPONENT, *, is_headless: bool = False
) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(target, name, component, app),
        "spec": {**({"clusterIP": "None"} if is_headless else {}), "selector": selector(app), "ports": ports},
    }


def _autoscaler(target: Target, member: MemberData, least: int, most: int) -> Object:
    # Processors, not a share of what is asked for: that is what a pod gets at least, not what a process can do with.
    busy = target.wanted(member).scale_at or target.environment.defaults.scale_at
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(target, member.name, COMPONENT),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": member.name},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": busy}},
                }
            ],
            # Up at once, down when it has been quiet for two minutes.
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 120}},
        },
    }


def _budget(target: Target, member: MemberData) -> Object:
    return budget(target, member.name, COMPONENT)


def budget(target: Target, name: str, component: str) -> Object:
    """One pod at a time may be moved away on purpose; one that is not ready any time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(target, name, component),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
