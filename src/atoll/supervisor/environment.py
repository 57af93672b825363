"""environments/local.toml: the secrets of this machine, and engines that somebody else runs."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec

from atoll.engines.pace import MOST
from atoll.errors import BAD_ARGUMENT
from atoll.model.launch import Forward
from atoll.model.secrets import entries_of


class Engines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Addresses of engines that are not started here; "" starts one.

    postgres: "postgresql://user:password@host:port/database". nats: "nats://user:password@host:port".
    """

    postgres: str = ""
    nats: str = ""


class Monitoring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `atoll run --prometheus` does with alerts.

    page, ticket: webhooks that are told. scale: how many times as fast time goes for rules; an hour is a minute.
    """

    page: str = ""
    ticket: str = ""
    scale: Annotated[float, msgspec.Meta(ge=1.0, le=MOST)] = MOST


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """secrets: by name; a secret with several keys has an entry "name.key" for each, or a table [secrets.name].

    forward: of the collector.
    """

    secrets: dict[str, str] = {}
    engines: Engines = Engines()
    monitoring: Monitoring = Monitoring()
    forward: Forward = Forward()


def read_environment(folder: Path, name: str = "local") -> Environment:
    """The file environments/NAME.toml beside the system file; empty if there is none.

    Raises BAD_ARGUMENT at the file.
    """
    file = folder / "environments" / f"{name}.toml"
    if not file.is_file():
        return Environment()
    try:
        written = tomllib.loads(file.read_text())
        if isinstance(written.get("secrets"), dict):
            written["secrets"] = entries_of(written["secrets"])
        return msgspec.convert(written, Environment)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, OSError) as error:
        do = (
            'it may have [secrets] name = "value", [engines] postgres = "postgresql://…", nats = "nats://…", '
            '[monitoring] page = "http://…", ticket = "http://…", scale = 60, '
            'and [forward] jaeger = "http://…", zipkin = "http://…", opensearch = "http://…"'
        )
        raise BAD_ARGUMENT.error(str(file), argument=str(file), reason=str(error), do=do) from error
