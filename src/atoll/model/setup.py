"""The document of the Job that makes what a namespace needs once: secrets, and databases with their owners."""

import msgspec


class Generated(msgspec.Struct, frozen=True):
    """A secret with a random value, made where it is missing and never changed."""

    secret: str
    key: str


class OwnDatabase(msgspec.Struct, frozen=True):
    """A database with an owner of the same name; its DSN is kept in the secret."""

    name: str
    secret: str
    key: str


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """admin_secret, admin_key: the superuser's password, or with `is_dsn` a DSN of who may create databases.

    host, port, user: of the server inside; a DSN says them itself.
    """

    namespace: str
    system: str
    secrets: tuple[Generated, ...] = ()
    databases: tuple[OwnDatabase, ...] = ()
    host: str = ""
    port: int = 5432
    user: str = ""
    admin_secret: str = ""
    admin_key: str = ""
    is_dsn: bool = False
