"""Names at the engines that are somebody's before any member has one."""

BROKER_ADMIN = "admin"
"""The account at NATS that may do everything."""
DATABASE_ADMIN = "postgres"
"""PostgreSQL's superuser, and a database that every server has."""
DEAD_LETTERS = "dead"
"""The stream of a system that is no topic's."""

_DATABASES = (DATABASE_ADMIN, "template0", "template1")
_NO_ROLES = ("public", "none")
_SYSTEM_ROLES = "pg-"


def taken(name: str, *, has_database: bool, has_events: bool) -> str:
    """Why a member that asks engines for this can't be called so; "" if it can.

    Its account at NATS has its name; its database and its role have it, with underscores for hyphens.
    """
    if has_events and name == BROKER_ADMIN:
        return "atoll's own account at NATS is called so"
    if has_database and name in _DATABASES:
        return "a database that every PostgreSQL has is called so"
    if has_database and (name in _NO_ROLES or name.startswith(_SYSTEM_ROLES)):
        return "PostgreSQL keeps the name of such a role for itself"
    return ""
