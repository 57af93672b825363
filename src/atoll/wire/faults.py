"""Errors as problem documents (RFC 9457), and declared faults inside them."""

import inspect
import re
from collections.abc import Sequence
from typing import Generic, TypeVar, cast

import msgspec

from atoll.model.contract import Fault, fault_struct
from atoll.wire.codec import FieldError, decoder, to_builtins

F = TypeVar("F", bound=Fault)

MEDIA_TYPE = "application/problem+json"

_PROBLEM = "urn:atoll:problem:"
_FAULT = "urn:atoll:fault:"
_RESERVED = frozenset(("type", "title", "status", "detail", "instance", "trace_id", "errors"))


class Document(msgspec.Struct, frozen=True):
    """A problem document as a caller reads it, whoever wrote it. trace_id: 32 hexadecimal digits, "" if unknown."""

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    instance: str = ""
    trace_id: str = ""
    errors: tuple[FieldError, ...] = ()

    @property
    def kind(self) -> str:
        """ "not-found" where the type is one of ours, else ""."""
        return self.type.removeprefix(_PROBLEM) if self.type.startswith(_PROBLEM) else ""

    @property
    def fault(self) -> str:
        """ "unknown-product" where it is a declared fault, else ""."""
        return self.type.removeprefix(_FAULT) if self.type.startswith(_FAULT) else ""


_read = decoder(Document)


def read_problem(body: bytes) -> Document:
    """The document in an answer's body. Raises Unreadable."""
    return cast(Document, _read(body))


def problem_type(kind: str) -> str:
    """The URI of one of our own problems, such as "not-found"."""
    return _PROBLEM + kind


def problem(
    status: int,
    kind: str,
    title: str,
    detail: str = "",
    *,
    instance: str = "",
    trace_id: int = 0,
    errors: Sequence[FieldError] = (),
    **fields: object,
) -> bytes:
    """A problem document. kind: the last part of the type, such as "not-found"; fields: extension members."""
    return _document(problem_type(kind), status, title, detail, instance, trace_id, errors, fields)


def _document(
    uri: str,
    status: int,
    title: str,
    detail: str,
    instance: str,
    trace_id: int,
    errors: Sequence[FieldError],
    fields: dict[str, object],
) -> bytes:
    document: dict[str, object] = {"type": uri, "title": title, "status": status}
    if detail:
        document["detail"] = detail
    if instance:
        document["instance"] = instance
    if trace_id:
        document["trace_id"] = f"{trace_id:032x}"
    if errors:
        document["errors"] = errors
    return msgspec.json.encode(document | fields, enc_hook=to_builtins)


def kebab(name: str) -> str:
    """ "UnknownProduct" → "unknown-product", "HTTPGone" → "http-gone"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).replace("_", "-").lower()


class FaultCodec(Generic[F]):
    """A declared fault on its way through a problem document.

    Its fields are members of the document; one named like a member that every document has gets a "_" behind.
    """

    def __init__(self, fault: type[F]) -> None:
        self.fault = fault
        self.type = _FAULT + kebab(fault.__name__)
        self.title = " ".join(kebab(fault.__name__).split("-")).capitalize()
        self.detail = _first_line(fault)
        fields = msgspec.structs.fields(fault_struct(fault))
        self._names = {known.name: f"{known.name}_" if known.name in _RESERVED else known.name for known in fields}
        self._decode = decoder(
            msgspec.defstruct(
                fault.__name__, [_definition(known) for known in fields], kw_only=True, rename=self._names
            )
        )

    def encode(self, fault: Fault, *, instance: str = "", trace_id: int = 0) -> bytes:
        """The document of this fault."""
        fields = {written: getattr(fault, name) for name, written in self._names.items()}
        return _document(self.type, self.fault.status, self.title, self.detail, instance, trace_id, (), fields)

    def decode(self, body: bytes) -> F:
        """The fault in a document of its type. Raises Unreadable if a field is missing or wrong."""
        value = self._decode(body)
        return self.fault(**{name: getattr(value, name) for name in self._names})


def _first_line(fault: type[Fault]) -> str:
    """Of the docstring; dataclasses write a signature where there is none."""
    doc = inspect.cleandoc(fault.__doc__ or "")
    return "" if doc.startswith(f"{fault.__name__}(") else doc.partition("\n")[0]


def _definition(known: msgspec.structs.FieldInfo) -> tuple[str, object] | tuple[str, object, object]:
    """The field as `defstruct` takes it."""
    if known.default_factory is not msgspec.NODEFAULT:
        return (known.name, known.type, msgspec.field(default_factory=known.default_factory))
    return (known.name, known.type) if known.required else (known.name, known.type, known.default)
