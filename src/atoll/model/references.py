"""Values that are not known yet: where to find an address, a DSN or a secret when a process starts."""

from collections.abc import Callable

import msgspec


class Literal(msgspec.Struct, frozen=True, tag="literal"):
    """The value itself. Never used for a secret."""

    value: str


class FromFile(msgspec.Struct, frozen=True, tag="file"):
    """The whole content of a file; on the laptop one with mode 0600."""

    path: str


class FromEnvironment(msgspec.Struct, frozen=True, tag="environment"):
    """A variable of the process; in the cluster filled by a `secretKeyRef`."""

    variable: str


Source = Literal | FromFile | FromEnvironment


def resolve(source: Source, read: Callable[[str], str], environment: Callable[[str], str]) -> str:
    """The value behind a source. `read` gives a file's content, `environment` a variable's value; both may raise."""
    if isinstance(source, Literal):
        return source.value
    if isinstance(source, FromFile):
        return read(source.path)
    return environment(source.variable)
