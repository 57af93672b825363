"""Write, run, observe and deploy systems of services."""

from atoll.errors import (
    AtollError,
    BadAnswer,
    CallFailed,
    CircuitOpen,
    ConnectionLost,
    ConstraintViolated,
    DatabaseError,
    DeadlineExceeded,
    EventError,
    QueryFailed,
    Refused,
    ServerFailed,
    Unreachable,
)
from atoll.model.access import ApiKeys, Cors, Jwt, RateLimit
from atoll.model.contract import Fault, Response, delete, get, patch, post, put
from atoll.model.resources import Caller, Database, Limits, Postgres, Publisher, Replicas, Secret, Topic, Transaction
from atoll.model.service import consumes, every, publishes
from atoll.model.slo import Slo
from atoll.model.system import Asgi, External, Gateway, Process, Service, System

__all__ = [
    "ApiKeys",
    "Asgi",
    "AtollError",
    "BadAnswer",
    "CallFailed",
    "Caller",
    "CircuitOpen",
    "ConnectionLost",
    "ConstraintViolated",
    "Cors",
    "Database",
    "DatabaseError",
    "DeadlineExceeded",
    "EventError",
    "External",
    "Fault",
    "Gateway",
    "Jwt",
    "Limits",
    "Postgres",
    "Process",
    "Publisher",
    "QueryFailed",
    "RateLimit",
    "Refused",
    "Replicas",
    "Response",
    "Secret",
    "ServerFailed",
    "Service",
    "Slo",
    "System",
    "Topic",
    "Transaction",
    "Unreachable",
    "consumes",
    "delete",
    "every",
    "get",
    "patch",
    "post",
    "publishes",
    "put",
]
