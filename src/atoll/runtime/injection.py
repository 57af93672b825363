"""What a constructor or factory is called with: each dependency by what it wants."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from atoll.errors import BAD_SETTINGS
from atoll.model.launch import Launch
from atoll.model.references import Source
from atoll.model.resources import Database, Publisher
from atoll.model.service import Dependency
from atoll.runtime.context import CurrentCaller


@dataclass(frozen=True, slots=True)
class Provided:
    """What there is to inject. clients: by the parameter that wants them."""

    launch: Launch
    reveal: Callable[[Source], str]
    clients: Mapping[str, object]
    database: Database | None
    publisher: Publisher | None


def arguments_for(dependencies: Sequence[Dependency], provided: Provided) -> dict[str, object]:
    """The call's keyword arguments. Raises AtollError BAD_SETTINGS; what else could be missing `check` has refused."""
    arguments: dict[str, object] = {}
    for dependency in dependencies:
        if dependency.wants == "call" and dependency.parameter in provided.clients:
            arguments[dependency.parameter] = provided.clients[dependency.parameter]
        elif dependency.wants == "database" and provided.database is not None:
            arguments[dependency.parameter] = provided.database
        elif dependency.wants == "publisher" and provided.publisher is not None:
            arguments[dependency.parameter] = provided.publisher
        elif dependency.wants == "caller":
            arguments[dependency.parameter] = CurrentCaller()
        elif dependency.wants == "settings" and not dependency.optional:
            arguments[dependency.parameter] = settings(dependency.type, provided.launch, provided.reveal)
    return arguments


def settings(kind: type[object], launch: Launch, reveal: Callable[[Source], str]) -> object:
    """The settings, with the values of their secrets. Raises AtollError BAD_SETTINGS."""
    fields: dict[str, object] = msgspec.json.decode(launch.settings) or {}
    for name, source in launch.secrets.items():
        fields[name] = {"name": name, "value": reveal(source)}
    try:
        return msgspec.convert(fields, kind, dec_hook=_refuse)
    except (msgspec.ValidationError, TypeError, NotImplementedError) as error:
        do = f"correct the settings of {launch.service} in the system file"
        raise BAD_SETTINGS.error(service=launch.service, reason=f"its settings don't fit: {error}", do=do) from None


def _refuse(kind: type, value: object) -> object:
    del value
    raise NotImplementedError(f"settings can't hold a {kind.__name__}")
