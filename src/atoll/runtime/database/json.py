"""Columns of type json and jsonb as Python values."""

import msgspec

from atoll.model.types import is_pydantic
from atoll.runtime.database.pool import Connection


async def set_codecs(connection: Connection) -> None:
    """Let json and jsonb take structs, dataclasses, models and plain values, and give plain values; no round trip."""
    for name, encode, decode in (("json", _encode, msgspec.json.decode), ("jsonb", _encode_binary, _decode_binary)):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=encode, decoder=decode, format="binary")


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=_to_builtins)


# jsonb travels behind the number of its format, which is 1.
def _encode_binary(value: object) -> bytes:
    return b"\x01" + _encode(value)


def _decode_binary(data: bytes) -> object:
    return msgspec.json.decode(data[1:])


def _to_builtins(value: object) -> object:
    if is_pydantic(type(value)):
        dumped: object = value.model_dump(mode="json", by_alias=True)  # type: ignore[attr-defined]
        return dumped
    raise TypeError(f"a {type(value).__name__} has no form in JSON")
