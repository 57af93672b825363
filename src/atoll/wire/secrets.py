"""What a member is told, apart: what may be read by everybody, and the names of what is secret."""

from collections.abc import Mapping

import msgspec

from atoll.model.resources import Secret
from atoll.model.types import field_names


class SecretData(msgspec.Struct, frozen=True):
    """The name of a secret and the key in it."""

    name: str
    key: str


def settings_of(settings: object) -> tuple[msgspec.Raw, dict[str, SecretData]]:
    """The constant fields as JSON, and the secret ones by field name."""
    if settings is None:
        return msgspec.Raw(b"null"), {}
    constant, secrets = _apart({name: getattr(settings, name) for name in field_names(settings)})
    return msgspec.Raw(msgspec.json.encode(constant)), secrets


def environment_of(environment: Mapping[str, str | Secret]) -> tuple[dict[str, str], dict[str, SecretData]]:
    """The constant variables, and the secret ones, by name."""
    constant, secrets = _apart(environment)
    return {name: str(value) for name, value in constant.items()}, secrets


def _apart(values: Mapping[str, object]) -> tuple[dict[str, object], dict[str, SecretData]]:
    constant: dict[str, object] = {}
    secrets: dict[str, SecretData] = {}
    for name, value in values.items():
        if isinstance(value, Secret):
            secrets[name] = SecretData(value.name, value.key)
        else:
            constant[name] = value
    return constant, secrets
