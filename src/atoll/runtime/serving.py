"""An operation prepared for serving: a request becomes arguments, what the handler returns becomes an answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl

from atoll.model.contract import Fault, Operation, Parameter, Response
from atoll.runtime.exchanges import Exchange, status_line
from atoll.runtime.idempotency import Answer
from atoll.runtime.refusals import (
    BAD_TARGET,
    INVALID_REQUEST,
    NOT_JSON,
    UNSUPPORTED_ENCODING,
    UNSUPPORTED_MEDIA_TYPE,
    Refusal,
)
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.metrics import Histogram
from atoll.wire.codec import FieldError, InvalidValue, NotJson, Parse, decoder, encoder, parser
from atoll.wire.faults import FaultCodec

MOST_QUERY_FIELDS = 1_000

DURATION = "http.server.request.duration"
DURATION_HELP = "Duration of requests served, in seconds."

_JSON = b"content-type: application/json\r\n"
_EVENTS = b"content-type: text/event-stream\r\ncache-control: no-store\r\n"
_OURS = frozenset(("connection", "content-length", "content-type", "date", "keep-alive", "transfer-encoding"))


class Declined(Exception):
    """The request can't be given to the handler."""

    def __init__(self, refusal: Refusal, detail: str = "", errors: Sequence[FieldError] = ()) -> None:
        super().__init__(refusal.kind)
        self.refusal, self.detail, self.errors = refusal, detail or refusal.detail, errors


@dataclass(frozen=True, slots=True)
class _Argument:
    """A path or query parameter. parse: None for a text that is taken as it is."""

    parameter: Parameter
    parse: Parse | None


class ServedOperation:
    """All that is known of an operation before the first request.

    handler: the bound method. name: of its spans, such as "GET /products/{product_id}".
    head: of every successful answer without headers of its own.
    lengthless: the status forbids a body, and so a Content-Length.
    """

    def __init__(self, operation: Operation, handler: Callable[..., object], telemetry: Telemetry) -> None:
        self.operation = operation
        self.handler = handler
        self.name = f"{operation.method} {operation.path}"
        self.status = operation.status
        self.streams = operation.streams
        self.with_headers = operation.with_headers
        self.bodiless = operation.returns is None and not operation.streams
        self.lengthless = operation.status in (204, 304)
        self.head = self._head(operation.status, ())
        self.encode = encoder(operation.returns)
        self.faults = {fault: FaultCodec(fault) for fault in operation.faults}
        in_order = [segment[1:-1] for segment in operation.path.split("/") if segment.startswith("{")]
        by_name = {parameter.name: parameter for parameter in operation.parameters}
        self._path = [_argument(by_name[name]) for name in in_order]
        self._query = [_argument(parameter) for parameter in operation.parameters if parameter.source == "query"]
        self._body = operation.body
        self._decode = decoder(self._body.type) if self._body else None
        self._telemetry = telemetry
        self._histograms: dict[int, Histogram] = {}
        self._attributes: dict[int, tuple[object, ...]] = {}

    # A request becomes arguments.

    def arguments(self, exchange: Exchange, values: Sequence[bytes], query: bytes) -> dict[str, object]:
        """What the handler is called with. Raises Declined with every field that is wrong.

        values: the texts of the path's parameters, in its order.
        """
        arguments: dict[str, object] = {}
        errors: list[FieldError] = []
        for argument, value in zip(self._path, values, strict=True):
            try:
                text = value.decode()
            except UnicodeDecodeError:
                raise Declined(BAD_TARGET) from None
            _read(argument, [text], arguments, errors)
        if self._query:
            self._read_query(query, arguments, errors)
        if self._body is not None:
            self._read_body(exchange, self._body, arguments, errors)
        if errors:
            raise Declined(INVALID_REQUEST, _summary(errors), errors)
        return arguments

    def _read_query(self, query: bytes, arguments: dict[str, object], errors: list[FieldError]) -> None:
        given: dict[str, list[str]] = {}
        if query:
            try:
                pairs = parse_qsl(
                    query.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_QUERY_FIELDS
                )
            except ValueError:
                raise Declined(BAD_TARGET) from None
            for name, value in pairs:
                given.setdefault(name, []).append(value)
        for argument in self._query:
            parameter = argument.parameter
            texts = given.get(parameter.name)
            if texts is not None:
                _read(argument, texts, arguments, errors)
            elif parameter.required:
                errors.append(FieldError(parameter.name, "The query parameter is missing"))
            else:
                arguments[parameter.name] = parameter.default

    def _read_body(
        self, exchange: Exchange, parameter: Parameter, arguments: dict[str, object], errors: list[FieldError]
    ) -> None:
        headers, body = exchange.headers, exchange.body
        if not body and not parameter.required:
            arguments[parameter.name] = parameter.default
            return
        media = headers.get(b"content-type", b"application/json")
        if media != b"application/json" and not _is_json(media):
            raise Declined(UNSUPPORTED_MEDIA_TYPE)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Declined(UNSUPPORTED_ENCODING)
        assert self._decode is not None
        try:
            arguments[parameter.name] = self._decode(body)
        except NotJson as error:
            raise Declined(NOT_JSON, f"{error}.") from None
        except InvalidValue as error:
            errors += error.errors

    # What the handler returns becomes an answer.

    def answer(self, value: object) -> Answer:
        """The answer that this value is. Raises TypeError or ValueError for what can't be sent."""
        headers: Mapping[str, str] = {}
        if self.with_headers:
            if not isinstance(value, Response):
                raise TypeError(f"{self.operation} returned {value!r:.100}, and declares Response[...]")
            response = cast(Response[object], value)
            value, headers = response.body, response.headers
        body = b"" if self.bodiless else self.encode(value)
        return Answer(self.status, tuple(headers.items()), body)

    def head_of(self, answer: Answer) -> bytes:
        """Status line and headers of this answer. Raises ValueError for headers that would break it."""
        if not answer.headers and answer.status == self.status:
            return self.head
        return self._head(answer.status, answer.headers)

    def _head(self, status: int, headers: Sequence[tuple[str, str]]) -> bytes:
        kind = _EVENTS if self.streams else b"" if self.bodiless else _JSON
        return status_line(status) + kind + b"".join(header(name, value) for name, value in headers)

    def fault(self, error: Fault) -> FaultCodec[Fault] | None:
        """How the fault is told; None if the contract does not declare it."""
        return next((self.faults[cls] for cls in type(error).__mro__ if cls in self.faults), None)

    # What is measured of it.

    def histogram(self, status: int) -> Histogram:
        found = self._histograms.get(status)
        if found is None:
            labels = {
                "http.request.method": self.operation.method,
                "http.route": self.operation.path,
                "http.response.status_code": str(status),
            }
            found = self._telemetry.metrics.histogram(DURATION, DURATION_HELP, labels)
            self._histograms[status] = found
        return found

    def attributes(self, status: int) -> tuple[object, ...]:
        """Of a span that ended with this status; flat."""
        found = self._attributes.get(status)
        if found is None:
            found = self._attributes[status] = (
                *("http.request.method", self.operation.method),
                *("http.route", self.operation.path),
                *("http.response.status_code", status),
                *("code.function.name", str(self.operation)),
            )
        return found


def header(name: str, value: str) -> bytes:
    """A header of the user's own, as a line. Raises ValueError for one that is not theirs or would break the answer."""
    plain = name.lower()
    if plain in _OURS or not plain.isascii() or not plain.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"the header {name!r} can't be set")
    if any((character < " " and character != "\t") or character == "\x7f" for character in value):
        raise ValueError(f"the header {name!r} has a control character in its value")
    return f"{plain}: {value.strip()}\r\n".encode("latin-1", errors="strict")


def _argument(parameter: Parameter) -> _Argument:
    return _Argument(parameter, None if parameter.type is str else parser(parameter.type))


def _read(argument: _Argument, texts: list[str], arguments: dict[str, object], errors: list[FieldError]) -> None:
    name = argument.parameter.name
    if argument.parse is None:
        arguments[name] = texts[-1]
        return
    try:
        arguments[name] = argument.parse(texts)
    except InvalidValue as error:
        errors += [FieldError(name + each.path, each.message) for each in error.errors]


def _is_json(media: bytes) -> bool:
    """ "application/json; charset=utf-8", "application/merge-patch+json"."""
    kind = media.partition(b";")[0].strip().lower()
    return kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json"))


def _summary(errors: Sequence[FieldError]) -> str:
    first = f"{errors[0].path}: {errors[0].message}"
    return f"{first}, and {len(errors) - 1} more." if len(errors) > 1 else f"{first}."
