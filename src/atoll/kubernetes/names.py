"""How things are called in a cluster, and where they listen."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TypeAlias

from atoll.engines.connections import allowed
from atoll.engines.declared import engines_of
from atoll.kubernetes.environment import Environment, ServiceIn
from atoll.wire.description import Description, MemberData

Object: TypeAlias = dict[str, object]
"""A Kubernetes object as JSON has it."""

MANAGER = "atoll"
HOLDER = f"{MANAGER}-replicas"
"""Holds the number of pods from when we stop to name it until an autoscaler does; unheld it would be 1 meanwhile."""

POSTGRES = "postgres"
NATS = "nats"
GATEWAY = "gateway"
SETUP = "setup"
FIGURES = "figures"
MONITORING = "monitoring"
COLLECTOR = "collector"
NAMESPACE = "namespace"
KUSTOMIZATION = "kustomization"
OUTSIDE = "outside"
VOLUMES = "volumes"
RESERVED = (POSTGRES, NATS, GATEWAY, SETUP, COLLECTOR, FIGURES, MONITORING, NAMESPACE, KUSTOMIZATION, OUTSIDE, VOLUMES)
"""What a member can't be called: objects and files of ours have these names."""
RENDERED = "# Made by `atoll render"
"""What a file begins with by which a folder that we wrote is known."""

SERVICE_PORT = 8080
ADMIN_PORT = 8081
GATEWAY_PORT = 8080
GATEWAY_TLS_PORT = 8443
GATEWAY_ADMIN_PORT = 8081
POSTGRES_PORT = 5432
NATS_PORT = 4222
NATS_MONITOR_PORT = 8222
OTLP_PORT = 4318
USER = 10001

DOCUMENTS = "/etc/atoll"
CODE = "/app"


@dataclass(frozen=True)
class Target:
    """What is rendered, and for where. images: of each member that runs, and of the engines and SETUP, by name.

    reads_output: whether the collector finds what containers write by itself; else services send it their lines.
    called: the environment, as commands are told it.
    """

    description: Description
    environment: Environment
    images: Mapping[str, str] = field(default_factory=dict)
    reads_output: bool = True
    called: str = "production"

    @property
    def system(self) -> str:
        return self.description.name

    @property
    def namespace(self) -> str:
        return self.environment.cluster.namespace or self.system

    @cached_property
    def members(self) -> tuple[MemberData, ...]:
        """Those that run in the cluster."""
        return tuple(each for each in self.description.members if each.kind != "external")

    @cached_property
    def _by_name(self) -> Mapping[str, MemberData]:
        return {each.name: each for each in self.description.members}

    def member(self, name: str) -> MemberData | None:
        return self._by_name.get(name)

    def wanted(self, member: MemberData) -> ServiceIn:
        return self.environment.services.get(member.name, ServiceIn())

    def replicas(self, member: MemberData) -> tuple[int, int]:
        """The least and the most."""
        asked = self.wanted(member).replicas
        if asked is None:
            return member.replicas_least, member.replicas_most
        return (asked, asked) if isinstance(asked, int) else asked

    def connections(self, member: MemberData) -> int:
        """Most that the role of its database may have."""
        return allowed(member, self.replicas(member)[1])

    @cached_property
    def runs_postgres(self) -> bool:
        return self.makes_databases and not self.environment.engines.postgres.secret

    @cached_property
    def runs_nats(self) -> bool:
        return "nats" in engines_of(self.description) and not self.environment.engines.nats.address

    @cached_property
    def looks_at_events(self) -> bool:
        """Whether the dashboard is to show them."""
        return self.environment.telemetry.dashboard and "nats" in engines_of(self.description)

    @property
    def otlp(self) -> str:
        """Where telemetry goes, such as "http://collector:4318"; "" for nowhere."""
        wanted = self.environment.telemetry
        return f"http://{COLLECTOR}:{OTLP_PORT}" if wanted.collector else wanted.endpoint.rstrip("/")

    @cached_property
    def makes_databases(self) -> bool:
        return any(self.owns_database(member) for member in self.members)

    def owns_database(self, member: MemberData) -> bool:
        """Whether its database is one that we make: none was named, or the named Secret is ours to generate."""
        database = member.database
        return database is not None and (not database.secret or self.generates(database.secret))

    def generates(self, secret: str) -> bool:
        return self.environment.secrets.get(secret) == "generate"

    def secret(self, name: str) -> str:
        """The Secret that holds what the declaration calls so."""
        return name if self.generates(name) else self.environment.secrets.get(name, name)

    def declared(self, secret: str) -> str:
        """What the declaration calls this Secret."""
        return next((name for name, each in self.environment.secrets.items() if each == secret), secret)


def port_of(member: MemberData) -> int:
    return member.port or SERVICE_PORT


def admin_port_of(member: MemberData) -> int:
    """Where its health is asked for."""
    if member.kind == "process":
        return port_of(member)
    return ADMIN_PORT if port_of(member) != ADMIN_PORT else ADMIN_PORT + 1


def headless(name: str) -> str:
    """The Service whose DNS name stands for the addresses of all ready pods."""
    return f"{name}-pods"


def labels(target: Target, name: str, component: str) -> dict[str, str]:
    return {
        "app": name,
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": target.system,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": MANAGER,
    }


def selector(name: str) -> dict[str, str]:
    return {"app": name}


def hashed(name: str, *content: object) -> str:
    """The name with a hash of the content, for objects whose change must be seen by who uses them."""
    written = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"{name}-{sha256(written.encode()).hexdigest()[:10]}"


def metadata(target: Target, name: str, component: str, app: str = "") -> Object:
    """app: what it belongs to, where that is not its own name."""
    return {"name": name, "namespace": target.namespace, "labels": labels(target, app or name, component)}
