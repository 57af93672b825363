"""How many connections to PostgreSQL a system may open: the bound of each role, and what a server has room for."""

from collections.abc import Iterable

from atoll.engines.postgres import Limits
from atoll.wire.description import MemberData

MOST = 5_000
"""Of a server of our own: beyond it PostgreSQL spends its time on connections, and wants a pooler before it."""
WATCHING = 5
"""Of the role that reads the figures of all databases: one connection, that of the version before, and who looks."""

_BESIDE = 2
"""Of a replica beside its pool: to be elected who relays and runs schedules, and for the locks of idempotency keys."""
_VERSIONS = 2
"""A pod that leaves keeps its connections until it has drained, and a rolling update does not wait for that."""
_PREPARING = 3
"""Of a service beside its replicas: who prepares its database, the one of the version before, and who looks in."""
_OTHERS = 20
"""Of a server: its superuser's, the setup's, and those of people."""
_LEAST, _STEP = 200, 100
"""Room is made in steps, or the server would be restarted for each replica more."""
_EACH = 2 * 2**20
"""Bytes of a connection that has asked some small questions (1.75 MiB of its own, measured); large sorts take more."""
_SHARED = 192 * 2**20
"""Bytes that a server takes without any: `shared_buffers`, and its own processes."""


def opened(member: MemberData, replicas: int) -> int:
    """What so many replicas of a member open when all are busy; 0 without a database."""
    return replicas * (member.database.connections + _BESIDE) if member.database else 0


def allowed(member: MemberData, replicas: int) -> int:
    """The limit of its role: at no time of a rollout is one refused that a service's own pool would open."""
    return _VERSIONS * opened(member, replicas) + _PREPARING


def memory(connections: int) -> int:
    """Bytes below which a server can't serve so many."""
    return _SHARED + connections * _EACH


def room(roles: Iterable[int]) -> Limits:
    """Of a server, all of whose roles use what they are allowed."""
    wanted = sum(roles) + _OTHERS
    return Limits(connections=max(_LEAST, -(-wanted // _STEP) * _STEP))
