"""Envoy in the cluster with the routes of the declaration, and the way in from outside before it."""

from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from atoll.engines import envoy
from atoll.engines.access import Access, ClientKeys
from atoll.engines.certificates import Tls, certificate_file
from atoll.engines.declared import exposed, issuers_of, limits_of, policy_of, routes_of
from atoll.engines.envoy import Observed, Places
from atoll.kubernetes.monitoring import ENVOY_PATH, scraped
from atoll.kubernetes.names import (
    DOCUMENTS,
    GATEWAY,
    GATEWAY_ADMIN_PORT,
    GATEWAY_PORT,
    GATEWAY_TLS_PORT,
    Object,
    Target,
    admin_port_of,
    headless,
    metadata,
    port_of,
    selector,
)
from atoll.kubernetes.objects import key_of
from atoll.kubernetes.quantities import bytes_of, memory_limit_of, processors_of
from atoll.kubernetes.workloads import (
    CONTAINER_SECURITY,
    account,
    budget,
    configuration,
    deployment,
    http_probe,
    mounted_map,
    pod,
    resources,
    spread,
)
from atoll.wire.description import MemberData

ENVOY = "envoy.json"
CERTIFICATE = "certificate.json"
ADMIN_PORT = GATEWAY_ADMIN_PORT
TLS_FOLDER = PurePosixPath("/etc/tls")

API_KEYS = "ATOLL_API_KEYS"

_COMPONENT = "gateway"
_LEAST_THREADS = 2
"""Or one slow handshake would hold all others; what is asked for is no limit."""
_HEAP = 0.75
"""Of its memory for what Envoy counts; the rest is for what it does not."""
_ENVOY_ADMIN = 9901
_LEAVES: Mapping[str, int] = {"loadbalancer": 35, "nodeport": 5, "ingress": 15, "httproute": 15}
"""Seconds that a pod serves on after it was told to stop, until nobody sends it new clients, by the kind of way in.

A load balancer asks each machine whether it has a ready pod, and is sure of a no after two or three answers, commonly
10 s apart. A controller follows the list of pods, and takes some seconds to write and load what it makes of it. At a
node port it is the cluster's own proxies that have to hear of it.
"""
_DRAINS = 10
"""Seconds in which each answer tells its client not to use the connection again; new ones are still taken."""
# Envoy ends at once when it is told to, so it is told before. Its image has a shell and nothing else that speaks HTTP.
_DRAIN = (
    f"exec 3<>/dev/tcp/127.0.0.1/{_ENVOY_ADMIN}; "
    r"printf 'POST /drain_listeners?graceful&skip_exit HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n' >&3; "
    f"cat <&3 >/dev/null; sleep {_DRAINS}"
)


def arguments(target: Target) -> list[str]:
    """Envoy by itself would run a thread for each processor of the machine, whatever part of it a pod is for."""
    threads = max(ceil(processors_of(target.environment.gateway.cpu)), _LEAST_THREADS)
    return [
        *("-c", f"{DOCUMENTS}/{ENVOY}", "--concurrency", str(threads), "--disable-hot-restart"),
        *("--drain-strategy", "immediate", "-l", "warning", "--component-log-level", "tracing:off"),
    ]


def gateway_variables(target: Target) -> list[Object]:
    """The hashed keys of clients, from the Secret that holds them."""
    gateway = target.description.gateway
    if gateway is None or gateway.api_keys is None:
        return []
    secret = gateway.api_keys.secret
    reference = {"name": target.secret(secret.name), "key": secret.key}
    return [{"name": API_KEYS, "valueFrom": {"secretKeyRef": reference}}]


def gateway_objects(target: Target) -> list[Object]:
    made = configuration(target, GATEWAY, GATEWAY, _COMPONENT, gateway_files(target))
    found = [account(target, GATEWAY, _COMPONENT), made, _deployment(target, made), _service(target)]
    if target.environment.gateway.replicas > 1:
        found.append(budget(target, GATEWAY, _COMPONENT))
    kind, _, detail = target.environment.gateway.way_in.partition(":")
    if kind == "ingress":
        found.append(_ingress(target, detail))
    if kind == "httproute":
        found.append(_route(target))
    return found


def gateway_files(target: Target) -> dict[str, str]:
    """What Envoy reads in DOCUMENTS: a change of it is a new ConfigMap, and new pods."""
    files = {ENVOY: envoy_configuration(target)}
    tls = _tls(target)
    return {**files, CERTIFICATE: certificate_file(tls).content} if tls else files


def envoy_configuration(target: Target) -> str:
    """All that it is told, in one document."""
    behind = exposed(target.description)
    declared, wanted = target.description.gateway, target.environment.gateway
    assert declared is not None
    keys = declared.api_keys
    # As declared, and nobody else's: a developer's own tokens are good on the developer's machine alone.
    found = ClientKeys(keys.header, keys.scopes, variable=API_KEYS) if keys else None
    access = Access(issuers_of(declared), found, waits=True)
    gateway = envoy.Gateway(
        port=GATEWAY_PORT,
        routes=tuple(route for member in behind for route in routes_of(target.description, member)),
        clusters=tuple(_cluster(member) for member in behind),
        host="0.0.0.0",  # noqa: S104 - a pod has its own network
        hosts=tuple(dict.fromkeys(wanted.hosts)) if is_first(target) else (),
        tls=_tls(target),
        moved={
            GATEWAY_PORT: GATEWAY_TLS_PORT,
            **({wanted.node_port: wanted.tls_node_port} if wanted.node_port else {}),
        },
        observed=Observed(GATEWAY_ADMIN_PORT, _ENVOY_ADMIN),
        collector=_collector(target),
        limits=replace(
            limits_of(declared), heap=int(bytes_of(memory_limit_of(wanted.memory, wanted.memory_limit)) * _HEAP)
        ),
        policy=policy_of(declared, access, wanted.replicas),
        # The controller of an Ingress or a Gateway says whom it speaks for.
        trusted_hops=0 if is_first(target) else 1,
    )
    unused = PurePosixPath(DOCUMENTS)
    return envoy.merged(gateway, Places(unused, unused, PurePosixPath("/dev/stdout")))


def _cluster(member: MemberData) -> envoy.Cluster:
    admin = admin_port_of(member)
    endpoint = envoy.Endpoint(headless(member.name), port_of(member), admin if admin != port_of(member) else 0)
    return envoy.Cluster(
        name=member.name,
        endpoints=(endpoint,),
        health_path=member.health if member.kind == "process" else "/health/ready",
        dns=True,
    )


def _collector(target: Target) -> str:
    """ "host:port" of what takes the gateway's spans; "" where there is none, or only by HTTPS."""
    url = urlsplit(target.otlp)
    return f"{url.hostname}:{url.port or 80}" if url.scheme == "http" else ""


def is_first(target: Target) -> bool:
    """Whether Envoy is the first to read a request, and not the controller of an Ingress or a Gateway before it."""
    return target.environment.gateway.way_in in {"loadbalancer", "nodeport"}


def ends_tls(target: Target) -> bool:
    return bool(target.environment.gateway.tls) and is_first(target)


def _tls(target: Target) -> Tls | None:
    if not ends_tls(target):
        return None
    return Tls(GATEWAY_TLS_PORT, TLS_FOLDER / "tls.crt", TLS_FOLDER / "tls.key", PurePosixPath(DOCUMENTS) / CERTIFICATE)


def _deployment(target: Target, made: Object) -> Object:
    wanted = target.environment.gateway
    leaves = _LEAVES[wanted.way_in.partition(":")[0]]
    tls_port: list[Object] = [{"name": "https", "containerPort": GATEWAY_TLS_PORT}] if ends_tls(target) else []
    mounts: list[Object] = [{"name": "configuration", "mountPath": DOCUMENTS, "readOnly": True}]
    volumes: list[Object] = [mounted_map("configuration", key_of(made).name)]
    if ends_tls(target):
        mounts.append({"name": "tls", "mountPath": str(TLS_FOLDER), "readOnly": True})
        volumes.append({"name": "tls", "secret": {"secretName": wanted.tls}})
    variables = gateway_variables(target)
    container: Object = {
        "name": GATEWAY,
        "image": target.images[GATEWAY],
        "command": ["envoy"],
        "args": arguments(target),
        "ports": [
            {"name": "http", "containerPort": GATEWAY_PORT},
            *tls_port,
            {"name": "admin", "containerPort": GATEWAY_ADMIN_PORT},
        ],
        **({"env": variables} if variables else {}),
        "resources": resources(wanted.cpu, wanted.memory, wanted.memory_limit, wanted.cpu_limit),
        "startupProbe": http_probe("/ready", "admin", period=1, failures=60),
        "livenessProbe": http_probe("/ready", "admin", period=10, failures=6),
        "readinessProbe": http_probe("/ready", "admin", period=2, failures=2),
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/bash", "-c", f"sleep {leaves}; {_DRAIN}"]}}},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": mounts,
    }
    spec: Object = {
        "terminationGracePeriodSeconds": leaves + _DRAINS + 5,
        "topologySpreadConstraints": spread(GATEWAY),
        "containers": [container],
        "volumes": volumes,
    }
    notes = scraped(target, GATEWAY_ADMIN_PORT, ENVOY_PATH)
    return deployment(target, GATEWAY, _COMPONENT, pod(target, GATEWAY, spec), replicas=wanted.replicas, notes=notes)


def _service(target: Target) -> Object:
    wanted = target.environment.gateway
    kinds = {"loadbalancer": "LoadBalancer", "nodeport": "NodePort"}
    ports: list[Object] = [{"name": "http", "port": 80, "targetPort": "http", **_node_port(wanted.node_port)}]
    if ends_tls(target):
        ports.append({"name": "https", "port": 443, "targetPort": "https", **_node_port(wanted.tls_node_port)})
    # Or it would see the machines that pass requests on instead of clients. A node port is to answer at every machine.
    seen: Object = {"externalTrafficPolicy": "Local"} if wanted.way_in == "loadbalancer" else {}
    if wanted.load_balancer_class:
        seen["loadBalancerClass"] = wanted.load_balancer_class
    if wanted.source_ranges:
        seen["loadBalancerSourceRanges"] = list(wanted.source_ranges)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _reached(target) if wanted.way_in in kinds else metadata(target, GATEWAY, _COMPONENT),
        "spec": {"type": kinds.get(wanted.way_in, "ClusterIP"), **seen, "selector": selector(GATEWAY), "ports": ports},
    }


def _reached(target: Target) -> Object:
    """Of the object by which it is reached, with what its controller is told."""
    notes = target.environment.gateway.annotations
    return metadata(target, GATEWAY, _COMPONENT) | ({"annotations": dict(sorted(notes.items()))} if notes else {})


def _node_port(number: int) -> Object:
    return {"nodePort": number} if number else {}


def _ingress(target: Target, ingress_class: str) -> Object:
    wanted = target.environment.gateway
    backend = {"service": {"name": GATEWAY, "port": {"name": "http"}}}
    http = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    hosts: list[Object] = [{"host": host, **http} for host in wanted.hosts]
    tls = {"tls": [{"hosts": list(wanted.hosts), "secretName": wanted.tls}]} if wanted.tls else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": _reached(target),
        "spec": {"ingressClassName": ingress_class, **tls, "rules": hosts or [http]},
    }


def _route(target: Target) -> Object:
    wanted = target.environment.gateway
    namespace, _, name = wanted.parent.rpartition("/")
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": _reached(target),
        "spec": {
            "parentRefs": [{"name": name, **({"namespace": namespace} if namespace else {})}],
            **({"hostnames": list(wanted.hosts)} if wanted.hosts else {}),
            "rules": [{"backendRefs": [{"name": GATEWAY, "port": 80}]}],
        },
    }
