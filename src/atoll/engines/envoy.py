"""The gateway as Envoy's configuration: a fixed bootstrap, and routes, clusters and endpoints that change by file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from atoll.engines.access import clusters as issuer_clusters
from atoll.engines.certificates import Tls, encrypted
from atoll.engines.doors import sent_on
from atoll.engines.edge import COLLECTOR, Limits, Policy, connection_manager
from atoll.engines.engine import Command, Engine, File, HttpGet
from atoll.engines.observing import admin_cluster, observing
from atoll.engines.routing import Route, route_table
from atoll.engines.xds import TYPE, address, compact, named, resources, seconds, text, watched

NAME = "envoy"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One replica. health_port: where its health is asked for; 0 is the service port itself."""

    host: str
    port: int
    health_port: int = 0


@dataclass(frozen=True, slots=True)
class Cluster:
    """The replicas of one service.

    dns: hosts of endpoints are names, each of which stands for all of its addresses.
    health_path: what a healthy replica answers with 200; "" asks for nothing, as for a process without health.
    connect_timeout: seconds.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    health_path: str = "/health/ready"
    connect_timeout: float = 0.25
    dns: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """What a cluster sees of a gateway. port: answers GET /ready and /stats/prometheus, and nothing else.

    admin_port: of the admin interface, on loopback.
    """

    port: int
    admin_port: int


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where the gateway listens, and what stands behind it.

    collector: "host:port" that takes OTLP over HTTP; "" keeps spans in the access log alone.
    trusted_hops: how many proxies before it are ours, and say in `x-forwarded-for` whom they speak for.
    hosts: the names it answers to; () is any.
    tls: a second door, to which the first then sends everybody; None if there is none. moved: ports of the second by
    those of the first, as clients know them, where they are not the usual ones.
    observed: None where the admin interface is at the Unix socket alone.
    """

    port: int
    routes: tuple[Route, ...]
    clusters: tuple[Cluster, ...]
    host: str = "127.0.0.1"
    collector: str = ""
    limits: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)
    hosts: tuple[str, ...] = ()
    tls: Tls | None = None
    moved: Mapping[int, int] = field(default_factory=dict)
    observed: Observed | None = None
    trusted_hops: int = 0


@dataclass(frozen=True, slots=True)
class Places:
    """Where Envoy's files are.

    folder: of the configuration; each kind of file has a folder below it, for Envoy watches folders.
    admin: the Unix socket of the admin interface, at most 100 bytes long.
    """

    folder: PurePath
    admin: PurePath
    access_log: PurePath

    @property
    def bootstrap(self) -> PurePath:
        return self.folder / "bootstrap.json"

    @property
    def routes(self) -> PurePath:
        return self.folder / "routes" / "routes.json"

    @property
    def clusters(self) -> PurePath:
        return self.folder / "clusters" / "clusters.json"

    def endpoints(self, cluster: str) -> PurePath:
        return self.folder / "endpoints" / f"{cluster}.json"


def engine(program: PurePath, gateway: Gateway, places: Places) -> Engine:
    """Envoy in front of the services: start it once, then write `changing` anew whenever anything changes."""
    command = Command(
        arguments=(
            str(program),
            *("-c", str(places.bootstrap)),
            *("--concurrency", "1", "--disable-hot-restart", "--reject-unknown-dynamic-fields"),
            # When it is drained, each answer at once tells its client not to use the connection again.
            *("--drain-strategy", "immediate"),
            # A collector that is not there is no news.
            *("-l", "warning", "--component-log-level", "tracing:off", "--file-flush-interval-msec", "100"),
        ),
        directory=places.folder,
        end_signal="SIGKILL",
        grace=5.0,
    )
    ready = HttpGet("/ready", socket=places.admin)
    return Engine(NAME, (*changing(gateway, places), bootstrap(gateway, places)), command, ready)


def bootstrap(gateway: Gateway, places: Places) -> File:
    """What Envoy reads once, at its start; a change needs a restart."""
    config = _bootstrap(gateway, places)
    config["static_resources"] = {
        "listeners": [_listener(gateway, places, {"rds": _rds(places)})],
        "clusters": [_collector(gateway), *issuer_clusters(gateway.policy.access)],
    }
    config["dynamic_resources"] = {"cds_config": watched(places.clusters)}
    return File(places.bootstrap, text(config))


def changing(gateway: Gateway, places: Places, before: Gateway | None = None) -> tuple[File, ...]:
    """What Envoy follows while it runs, without dropping a connection: replace these by renaming, never in place.

    In the order to write them: endpoints before the clusters that need them, clusters before the routes to them.
    before: what it was; its clusters stay this once, for until Envoy reads the new routes the old ones lead there.
    """
    wanted = {each.name for each in gateway.clusters}
    retired = [each for each in (before.clusters if before else ()) if each.name not in wanted]
    known = [_cluster(each, gateway, places) for each in _sorted([*gateway.clusters, *retired])]
    return (
        *(_resources_of(each, places) for each in _sorted(gateway.clusters)),
        resources(places.clusters, known),
        resources(places.routes, [route_table(gateway.routes, gateway.policy)]),
    )


def _resources_of(cluster: Cluster, places: Places) -> File:
    return resources(places.endpoints(cluster.name), [_assignment(cluster)])


def merged(gateway: Gateway, places: Places) -> str:
    """All of it in one document: for who replaces the process at a change, as a cluster does."""
    config = _bootstrap(gateway, places)
    table = route_table(gateway.routes, gateway.policy, gateway.hosts)
    table.pop("@type")
    clusters = [_cluster(each, gateway, None) for each in _sorted(gateway.clusters)]
    for cluster in clusters:
        cluster.pop("@type")
    plain = sent_on(gateway.hosts, gateway.policy, gateway.moved) if gateway.tls else table
    listeners = [_listener(gateway, places, {"route_config": plain})]
    if gateway.tls:
        listeners.append(_listener(gateway, places, {"route_config": table}, gateway.tls))
    if gateway.observed:
        listeners.append(observing(gateway.host, gateway.observed.port))
        clusters.append(admin_cluster(gateway.observed.admin_port))
    clusters += issuer_clusters(gateway.policy.access)
    config["static_resources"] = {"listeners": listeners, "clusters": [_collector(gateway), *clusters]}
    return compact(config)


def _bootstrap(gateway: Gateway, places: Places) -> dict[str, object]:
    return {
        "node": {"id": "gateway", "cluster": "gateway"},
        "admin": {"address": _admin(gateway, places)},
        "application_log_config": {
            "log_format": {"json_format": {"time": "%Y-%m-%dT%H:%M:%S.%e%z", "level": "%l", "message": "%j"}}
        },
        # Or the spans of a quiet gateway would be seen five seconds later.
        "layered_runtime": {
            "layers": [
                {
                    "name": "atoll",
                    "static_layer": {
                        "tracing.opentelemetry.flush_interval_ms": 200,
                        "tracing.opentelemetry.min_flush_spans": 256,
                    },
                }
            ]
        },
        "overload_manager": _overload(gateway.limits),
    }


def _overload(limits: Limits) -> dict[str, object]:
    """What is given up when connections or memory run out. Source: Envoy's guide for edge proxies."""
    heap = "envoy.resource_monitors.fixed_heap"
    actions = {"envoy.overload_actions.shrink_heap": 0.90, "envoy.overload_actions.stop_accepting_requests": 0.95}
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            named(
                "envoy.resource_monitors.global_downstream_max_connections",
                "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=limits.connections,
            ),
            named(
                heap,
                "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                max_heap_size_bytes=limits.heap,
            ),
        ],
        "actions": [
            {"name": name, "triggers": [{"name": heap, "threshold": {"value": share}}]}
            for name, share in actions.items()
        ],
    }


def _admin(gateway: Gateway, places: Places) -> dict[str, object]:
    if gateway.observed:
        return address("127.0.0.1", gateway.observed.admin_port)
    return {"pipe": {"path": str(places.admin), "mode": 0o600}}


def _listener(
    gateway: Gateway, places: Places, routes: Mapping[str, object], tls: Tls | None = None
) -> dict[str, object]:
    return {
        "name": "gateway-tls" if tls else "gateway",
        "address": address(gateway.host, tls.port if tls else gateway.port),
        # Or a second Envoy would silently share the port.
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": 2**20,
        "filter_chains": [
            {
                "filters": [
                    named(
                        "envoy.filters.network.http_connection_manager",
                        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                        **connection_manager(gateway.limits, gateway.policy, places.access_log),
                        **({"xff_num_trusted_hops": gateway.trusted_hops} if gateway.trusted_hops else {}),
                        **routes,
                    )
                ],
                **({"transport_socket": encrypted(tls)} if tls else {}),
            }
        ],
    }


def _collector(gateway: Gateway) -> dict[str, object]:
    """The tracer must have one: without an address it has no endpoint, and the spans end there."""
    host, _, port = gateway.collector.rpartition(":")
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(host, int(port))}}]}] if host else []
    return {
        "name": COLLECTOR,
        "type": "STRICT_DNS" if host else "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": COLLECTOR, "endpoints": endpoints},
    }


def _cluster(cluster: Cluster, gateway: Gateway, places: Places | None) -> dict[str, object]:
    source: dict[str, object] = (
        {**_found(cluster), "load_assignment": _assignment(cluster, typed=False)}
        if places is None
        else {"type": "EDS", "eds_cluster_config": {"eds_config": watched(places.endpoints(cluster.name))}}
    )
    return {
        "@type": TYPE + "envoy.config.cluster.v3.Cluster",
        "name": cluster.name,
        **source,
        "connect_timeout": seconds(cluster.connect_timeout),
        "per_connection_buffer_limit_bytes": 2**20,
        # Two random choices, the less busy one.
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": gateway.limits.requests,
                    "max_pending_requests": gateway.limits.requests,
                    "max_requests": gateway.limits.requests,
                    # What is tried again has reached nobody, so it makes no storm; when a replica dies, it is half of
                    # what is under way to two of them.
                    "max_retries": gateway.limits.requests,
                }
            ]
        },
        # Only a replica that refuses connections is left out; what it answers is its own affair.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 3,
            "enforcing_local_origin_success_rate": 0,
            "enforcing_success_rate": 0,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "interval": "1s",
            "base_ejection_time": "1s",
            "max_ejection_time": "10s",
            "max_ejection_percent": 67,
        },
        **({"health_checks": [_health_check(cluster)]} if cluster.health_path else {}),
        # Who leaves answers well until the last moment; by default it would be asked until it doesn't.
        "ignore_health_on_host_removal": True,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
                # Less than the 5 s after which uvicorn and Node.js close an idle connection: a request that meets
                # the closing must fail, for it may have been read.
                "common_http_protocol_options": {"idle_timeout": "4s"},
            }
        },
    }


def _found(cluster: Cluster) -> dict[str, object]:
    if not cluster.dns:
        return {"type": "STATIC"}
    # Replicas come and go, so their names are looked up every second, whatever the DNS server says of it.
    dns = named("envoy.clusters.dns", "envoy.extensions.clusters.dns.v3.DnsCluster", dns_refresh_rate="1s")
    return {"cluster_type": dns}


def _health_check(cluster: Cluster) -> dict[str, object]:
    return {
        "http_health_check": {"path": cluster.health_path},
        "timeout": "1s",
        "interval": "1s",
        # Also before the first request: by default a cluster without traffic is looked at once a minute.
        "no_traffic_interval": "1s",
        "unhealthy_interval": "0.5s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
    }


def _assignment(cluster: Cluster, *, typed: bool = True) -> dict[str, object]:
    endpoints: list[object] = []
    for each in sorted(cluster.endpoints, key=lambda endpoint: (endpoint.host, endpoint.port)):
        health = {"health_check_config": {"port_value": each.health_port}} if each.health_port else {}
        endpoints.append({"endpoint": {"address": address(each.host, each.port), **health}})
    return {
        **({"@type": TYPE + "envoy.config.endpoint.v3.ClusterLoadAssignment"} if typed else {}),
        "cluster_name": cluster.name,
        "endpoints": [{"lb_endpoints": endpoints}],
    }


def _rds(places: Places) -> dict[str, object]:
    return {"route_config_name": "gateway", "config_source": watched(places.routes)}


def _sorted(clusters: Iterable[Cluster]) -> list[Cluster]:
    return sorted(clusters, key=lambda each: each.name)
