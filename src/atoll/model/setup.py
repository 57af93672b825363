"""The document of what makes, once, what a system needs where it is deployed: secrets, and databases with owners."""

from typing import Literal

import msgspec


class Generated(msgspec.Struct, frozen=True):
    """A secret with a random value, made where it is missing and never changed."""

    secret: str
    key: str


class OwnDatabase(msgspec.Struct, frozen=True):
    """A database with an owner of the same name; its DSN is kept in the secret. connections: most at once."""

    name: str
    secret: str
    key: str
    connections: int


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """admin_secret, admin_key: the superuser's password, or with `is_dsn` a DSN of who may create databases.

    watchers: owners of databases who may look at the figures of all.
    host, port, user: of the server inside; a DSN says them itself. kept: secrets are the cluster's, or they were given
    as variables, and none can be made.
    """

    namespace: str
    system: str
    secrets: tuple[Generated, ...] = ()
    databases: tuple[OwnDatabase, ...] = ()
    watchers: tuple[str, ...] = ()
    host: str = ""
    port: int = 5432
    user: str = ""
    admin_secret: str = ""
    admin_key: str = ""
    is_dsn: bool = False
    kept: Literal["cluster", "variables"] = "cluster"


def variable_of(secret: str, key: str) -> str:
    """The variable that holds a key of a secret where there is no cluster to keep it."""
    return f"{secret}_{key}".upper().replace("-", "_").replace(".", "_")
