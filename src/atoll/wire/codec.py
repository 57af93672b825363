"""Values of a contract as JSON, and as the texts of paths and queries."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Protocol, Union, cast, get_args, get_origin

import msgspec

from atoll.model.types import bare, is_pydantic

Decode = Callable[[bytes], object]
Encode = Callable[[object], bytes]
Parse = Callable[[Sequence[str]], object]

_PLACE = re.compile(r"(?P<message>.*?) - at `(?P<path>[^`]*)`\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field. path: "$.items[0].sku" in a body, the name of a path or query parameter."""

    path: str
    message: str


class Unreadable(ValueError):
    """The bytes are not a value of the type."""


class NotJson(Unreadable):
    """The bytes are not JSON at all."""


class InvalidValue(Unreadable):
    """JSON, but not of the type: `errors` says where; msgspec finds the first, pydantic all."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.path}: {error.message}" for error in errors))
        self.errors = errors


class _Model(Protocol):
    """The part of a pydantic model that is used here."""

    @classmethod
    def model_validate(cls, value: object) -> object: ...
    @classmethod
    def model_validate_json(cls, data: bytes) -> object: ...
    def model_dump(self, *, mode: str, by_alias: bool) -> object: ...
    def model_dump_json(self, *, by_alias: bool) -> str: ...


class _Details(Protocol):
    """The part of pydantic's ValidationError that is used here."""

    def errors(self) -> list[dict[str, object]]: ...


def decoder(kind: object) -> Decode:
    """A function from JSON to a value of the type. It raises NotJson and InvalidValue."""
    decode = raw_decoder(kind)

    def translated(data: bytes) -> object:
        try:
            return decode(data)
        except (ValueError, RecursionError) as error:
            raise unreadable(error) from None

    return translated


def raw_decoder(kind: object) -> Decode:
    """The same without a step in between; `unreadable` tells its ValueError and RecursionError in our words."""
    if is_pydantic(bare(kind)):
        return cast(type[_Model], bare(kind)).model_validate_json
    return msgspec.json.Decoder(kind, dec_hook=_from_builtins).decode


def unreadable(error: ValueError | RecursionError) -> Unreadable:
    """What a raw decoder's error means."""
    if isinstance(error, RecursionError):
        return NotJson("it is nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return NotJson("it is not UTF-8")
    return _reason(error)


def _reason(error: ValueError) -> Unreadable:
    if isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError):
        return NotJson(str(error))
    found = _PLACE.fullmatch(str(error))
    path, message = (found["path"], found["message"]) if found else ("$", str(error))
    cause = error if hasattr(error, "errors") else error.__cause__
    if not hasattr(cause, "errors"):
        return InvalidValue(FieldError(path, message))
    # A pydantic model: it knows every error, with a path of its own below ours.
    details = cast(_Details, cause).errors()
    if path == "$" and details and details[0].get("type") == "json_invalid":
        return NotJson(str(details[0]["msg"]))
    return InvalidValue(*(FieldError(path + _below(each.get("loc", ())), str(each["msg"])) for each in details))


def _below(location: object) -> str:
    """("items", 0, "sku") → ".items[0].sku"."""
    steps = cast(tuple[str | int, ...], location)
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _from_builtins(kind: type, value: object) -> object:
    if is_pydantic(kind):
        return cast(type[_Model], kind).model_validate(value)
    raise NotImplementedError(f"{kind.__name__} can't be read")


def encoder(kind: object) -> Encode:
    """A function from a value of the type to JSON. It raises TypeError for what JSON has no form for."""
    if is_pydantic(bare(kind)):
        return _encode_model
    return msgspec.json.Encoder(enc_hook=to_builtins).encode


def _encode_model(value: object) -> bytes:
    if not is_pydantic(type(value)):
        return msgspec.json.encode(value, enc_hook=to_builtins)
    return cast(_Model, value).model_dump_json(by_alias=True).encode()


def to_builtins(value: object) -> object:
    """What msgspec asks about values that it does not know: pydantic models are turned into dictionaries."""
    if is_pydantic(type(value)):
        return cast(_Model, value).model_dump(mode="json", by_alias=True)
    raise NotImplementedError(f"a {type(value).__name__} can't travel as JSON")


def takes_many(kind: object) -> bool:
    """Whether a query parameter of this type may stand several times: a list, tuple, set or frozenset, or None."""
    return any(_is_container(member) for member in _members(kind))


def _is_container(kind: object) -> bool:
    return (get_origin(kind) or kind) in (list, tuple, set, frozenset)


def _members(kind: object) -> Iterable[object]:
    kind = bare(kind)
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def parser(kind: object) -> Parse:
    """A function from the texts of a path or query parameter, in their order and at least one, to its value.

    Of a type that does not take many, the last text counts. It raises InvalidValue, its path "".
    """
    plain = bare(kind)
    if plain is str and kind is str:
        return lambda texts: texts[-1]
    many = takes_many(kind)

    def parse(texts: Sequence[str]) -> object:
        try:
            value = list(texts) if many else texts[-1]
            return msgspec.convert(value, kind, strict=False, dec_hook=_from_builtins)
        except ValueError as error:
            reason = cast(InvalidValue, _reason(error))
            raise InvalidValue(
                *(FieldError(each.path.removeprefix("$"), each.message) for each in reason.errors)
            ) from None

    return parse


def texts(value: object) -> list[str]:
    """The texts of a path or query parameter that `parser` reads as this value; none for None."""
    if value is None:
        return []
    if isinstance(value, (list, tuple, set, frozenset)):
        return [text for item in value for text in texts(item)]
    return [_text(value)]


def _text(value: object) -> str:
    if isinstance(value, str) and type(value) is str:
        return value
    plain = msgspec.to_builtins(value, enc_hook=to_builtins)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return str(plain)
