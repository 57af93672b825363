"""environments/NAME.toml: what one cluster has and wants. Every value has a default that is right for a first try."""

import msgspec


class Cluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """namespace: "" is the system's name. context: of the kubeconfig; "" is the current one.

    api_port: of the API server, where it is neither 443 nor 6443. dns: who answers questions for names: pods, as
    "namespace/label=value", or machines by address; with ":port" after it where the pods listen at another than 53.
    """

    namespace: str = ""
    context: str = ""
    api_port: int = 0
    dns: tuple[str, ...] = ("kube-system/k8s-app=kube-dns",)


class Images(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """registry: what stands before each image's name, such as "registry.example.com/shop"; "" is the system's name.

    base: with the Python that services run on; python: its version. node: the base of services in Node.js.
    lock: of the project's packages, with hashes. pull: imagePullPolicy of every pod. pull_secret: name of a Secret.
    engines: "official" images, or "wheels": `atoll build` makes them of the programs that a laptop runs.
    include: patterns of files that go into images though git ignores them, or though they look secret.
    """

    registry: str = ""
    base: str = "python:3.13-slim-bookworm"
    python: str = "3.13"
    node: str = "node:22-bookworm-slim"
    lock: str = "requirements.txt"
    pull: str = "IfNotPresent"
    pull_secret: str = ""
    engines: str = "official"
    include: tuple[str, ...] = ()


class WayIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The way in from outside, in front of the gateway.

    way_in: "loadbalancer", "nodeport", "ingress:CLASS" or "httproute". hosts: the names it answers to; () is any.
    tls: name of a Secret with tls.crt and tls.key. node_port, tls_node_port: 0 is any. parent: "namespace/gateway" of
    an httproute. annotations: of the Service, the Ingress or the HTTPRoute by which it is reached.
    load_balancer_class: who makes the load balancer; "" is the cluster's own. source_ranges: who may come; () is all.
    """

    way_in: str = "loadbalancer"
    hosts: tuple[str, ...] = ()
    tls: str = ""
    node_port: int = 0
    tls_node_port: int = 0
    parent: str = ""
    annotations: dict[str, str] = {}
    load_balancer_class: str = ""
    source_ranges: tuple[str, ...] = ()
    replicas: int = 2
    cpu: str = "100m"
    cpu_limit: str = ""
    memory: str = "128Mi"
    memory_limit: str = "512Mi"


class EngineIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An engine inside the cluster, with a volume. storage_class: "" is the cluster's default."""

    storage: str = "10Gi"
    storage_class: str = ""
    cpu: str = "100m"
    cpu_limit: str = ""
    memory: str = "256Mi"
    memory_limit: str = "1Gi"


class PostgresIn(EngineIn, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """PostgreSQL.

    secret, key: of the DSN of a role that may create databases and roles; "" runs a server inside. port: of the server
    that a DSN in a Secret names, which has to be known to let services through to it.
    """

    secret: str = ""
    key: str = "dsn"
    port: int = 5432


class NatsIn(EngineIn, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """NATS.

    address: "nats://host:4222"; "" runs a server inside. user, secret, key: as whom to connect there, and the password.
    """

    address: str = ""
    user: str = "admin"
    secret: str = ""
    key: str = "password"


class Engines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    postgres: PostgresIn = PostgresIn()
    nats: NatsIn = NatsIn()


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a service's process asks for.

    cpu_limit: of every container that has none of its own; "" is none, for it would only make it wait. scale_at: what
    an autoscaler lets a pod use of processors, on average, before it adds another: a Python process uses one at most.
    memory_limit: follows `memory` where that alone is given, and more. scratch: bytes of its /tmp, and of each folder
    whose files may go with the pod.
    """

    cpu: str = "100m"
    cpu_limit: str = ""
    scale_at: str = "500m"
    memory: str = "128Mi"
    memory_limit: str = "512Mi"
    scratch: str = "1Gi"


class SecretIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Secret of the namespace, and the key in it."""

    secret: str
    key: str = "value"


class ServiceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One service; "" and None leave what is declared, or the default.

    replicas: 3, or [2, 10] for as many as its load asks for. volumes: a size such as "1Gi" by the folder that keeps its
    files, "" for files that may go with the pod. environment: added to a program's own; what nobody else may read is
    named, as { secret = "stripe", key = "api-key" }.
    """

    replicas: int | tuple[int, int] | None = None
    cpu: str = ""
    cpu_limit: str = ""
    scale_at: str = ""
    memory: str = ""
    memory_limit: str = ""
    scratch: str = ""
    volumes: dict[str, str] = {}
    environment: dict[str, str | SecretIn] = {}


class Monitoring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How figures are read, and who is told when they are bad.

    kind: "annotations" on pods; "operator": a ServiceMonitor and a PrometheusRule for the Prometheus Operator; "none".
    labels: that the operator wants to see on both. page, ticket: webhooks of `atoll render prometheus`.
    scraped_from: who may read figures, and nobody else: pods, as "namespace/label=value" or "*/label=value" of whatever
    namespace, or machines by address; () lets in nobody.
    alertmanager: whose alerts the dashboard shows, such as "http://alertmanager-operated.monitoring:9093".
    """

    kind: str = "annotations"
    labels: dict[str, str] = {}
    scraped_from: tuple[str, ...] = msgspec.field(default=("*/app.kubernetes.io/name=prometheus",), name="from")
    page: str = ""
    ticket: str = ""
    alertmanager: str = ""


class TelemetryIn(EngineIn, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where spans, log lines and metrics go.

    collector: whether one runs inside, with a volume. dashboard: whether that one also shows what it keeps.
    kept_days: what it keeps, as far as four fifths of the volume have room.
    endpoint: of what takes OTLP over HTTP elsewhere, such as "http://otel-collector.monitoring:4318".
    secret, key: with the headers of each request there, as "name=value,name=value".
    """

    collector: bool = False
    dashboard: bool = False
    kept_days: float = 3.0
    endpoint: str = ""
    secret: str = ""
    key: str = "headers"


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether what is deployed takes orders to fail, from who may read the Secret `faults`; production should not."""

    allowed: bool = False


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file.

    secrets: where a secret of the declaration comes from: "generate", or the name of another Secret in the namespace.
    One that is not listed is in the Secret of its own name.
    """

    cluster: Cluster = Cluster()
    images: Images = Images()
    gateway: WayIn = WayIn()
    engines: Engines = Engines()
    monitoring: Monitoring = Monitoring()
    faults: Faults = Faults()
    telemetry: TelemetryIn = TelemetryIn()
    defaults: Resources = Resources()
    services: dict[str, ServiceIn] = {}
    secrets: dict[str, str] = {}
