"""An operation prepared for serving: a request becomes arguments, what the handler returns becomes an answer."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl

from atoll.model.contract import Fault, Operation, Parameter, Response
from atoll.runtime.context import caller_of
from atoll.runtime.exchanges import Exchange, status_line
from atoll.runtime.idempotency import Answer
from atoll.runtime.refusals import (
    BAD_TARGET,
    FORBIDDEN,
    INVALID_REQUEST,
    NOT_JSON,
    UNSUPPORTED_ENCODING,
    UNSUPPORTED_MEDIA_TYPE,
    Refusal,
)
from atoll.runtime.telemetry import Telemetry
from atoll.runtime.telemetry.metrics import Histogram
from atoll.wire.codec import FieldError, InvalidValue, Parse, encoder, parser, raw_decoder, unreadable
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
class Outcome:
    """Where answers of one operation with one status are measured, and the attributes of their spans; flat."""

    histogram: Histogram
    attributes: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Argument:
    """A path or query parameter. parse: None for a text that is taken as it is."""

    name: str
    parameter: Parameter
    parse: Parse | None


class ServedOperation:
    """All that is known of an operation before the first request.

    handler: the bound method; `call` is the same where it is no stream.
    name: of its spans, such as "GET /products/{product_id}".
    head: of every successful answer without headers of its own.
    lengthless: the status forbids a body, and so a Content-Length.
    outcomes: by status, of those that have been answered; `outcome` makes what is missing.
    """

    def __init__(self, operation: Operation, handler: Callable[..., object], telemetry: Telemetry) -> None:
        self.operation = operation
        self.become(handler)
        self.name = f"{operation.method} {operation.path}"
        self.status = operation.status
        self.streams = operation.streams
        self.with_headers = operation.with_headers
        self.bodiless = operation.returns is None and not operation.streams
        self.lengthless = operation.status in (204, 304)
        self._scopes = frozenset(operation.scopes)
        self.head = self._head(operation.status, ())
        self.encode = encoder(operation.returns)
        self.faults = {fault: FaultCodec(fault) for fault in operation.faults}
        in_order = [segment[1:-1] for segment in operation.path.split("/") if segment.startswith("{")]
        by_name = {parameter.name: parameter for parameter in operation.parameters}
        self._path = [_argument(by_name[name]) for name in in_order]
        self._query = [_argument(parameter) for parameter in operation.parameters if parameter.source == "query"]
        self._body = operation.body
        self._decode = raw_decoder(self._body.type if self._body else object)
        self._telemetry = telemetry
        self.outcomes: dict[int, Outcome] = {}

    def become(self, handler: Callable[..., object]) -> None:
        """From now on this is what requests are given to."""
        self.handler = handler
        self.call = cast(Callable[..., Awaitable[object]], handler)

    # A request becomes arguments.

    def arguments(self, exchange: Exchange, values: Sequence[bytes], query: bytes) -> dict[str, object]:
        """What the handler is called with. Raises Declined: the caller may not, or with every field that is wrong.

        values: the texts of the path's parameters, in its order.
        """
        # The gateway has looked already; but whoever calls from inside did not come through it.
        if self._scopes and not self._scopes <= caller_of(exchange.headers).scopes:
            raise Declined(FORBIDDEN)
        arguments: dict[str, object] = {}
        errors: list[FieldError] = []
        for index, argument in enumerate(self._path):  # zip(..., strict=True) would take longer than all the rest
            try:
                text = values[index].decode()
            except UnicodeDecodeError:
                raise Declined(BAD_TARGET) from None
            if argument.parse is None:
                arguments[argument.name] = text
            else:
                _read(argument, [text], arguments, errors)
        if self._query:
            self._read_query(query, arguments, errors)
        body = self._body
        if body is not None:
            headers, data = exchange.headers, exchange.body
            if headers.get(b"content-type") != b"application/json" or b"content-encoding" in headers:
                _check_media(headers, data)
            try:
                arguments[body.name] = self._decode(data) if data or body.required else body.default
            except (ValueError, RecursionError) as error:
                errors += _body_errors(error)
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

    def outcome(self, status: int) -> Outcome:
        """What is measured of answers with this status."""
        found = self.outcomes.get(status)
        if found is None:
            found = self.outcomes[status] = self._new_outcome(status)
        return found

    def _new_outcome(self, status: int) -> Outcome:
        labels = {
            "http.request.method": self.operation.method,
            "http.route": self.operation.path,
            "http.response.status_code": str(status),
        }
        histogram = self._telemetry.metrics.histogram(DURATION, DURATION_HELP, labels)
        attributes = (
            *("http.request.method", self.operation.method),
            *("http.route", self.operation.path),
            *("http.response.status_code", status),
            *("code.function.name", str(self.operation)),
        )
        return Outcome(histogram, attributes)


def header(name: str, value: str) -> bytes:
    """A header of the user's own, as a line. Raises ValueError for one that is not theirs or would break the answer."""
    plain = name.lower()
    if plain in _OURS or not plain.isascii() or not plain.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"the header {name!r} can't be set")
    if any((character < " " and character != "\t") or character == "\x7f" for character in value):
        raise ValueError(f"the header {name!r} has a control character in its value")
    return f"{plain}: {value.strip()}\r\n".encode("latin-1", errors="strict")


def _argument(parameter: Parameter) -> _Argument:
    return _Argument(parameter.name, parameter, None if parameter.type is str else parser(parameter.type))


def _read(argument: _Argument, texts: list[str], arguments: dict[str, object], errors: list[FieldError]) -> None:
    name = argument.name
    if argument.parse is None:
        arguments[name] = texts[-1]
        return
    try:
        arguments[name] = argument.parse(texts)
    except InvalidValue as error:
        errors += [FieldError(name + each.path, each.message) for each in error.errors]


def _check_media(headers: Mapping[bytes, bytes], data: bytes) -> None:
    """Decline a body that says of itself that it is not JSON."""
    media = headers.get(b"content-type")
    if data and media is not None and not _is_json(media):
        raise Declined(UNSUPPORTED_MEDIA_TYPE)
    if data and headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Declined(UNSUPPORTED_ENCODING)


def _body_errors(error: ValueError | RecursionError) -> Sequence[FieldError]:
    """What is wrong with the body's fields. Raises Declined where it has none."""
    reason = unreadable(error)
    if isinstance(reason, InvalidValue):
        return reason.errors
    raise Declined(NOT_JSON, f"{reason}.") from None


def _is_json(media: bytes) -> bool:
    """ "application/json; charset=utf-8", "application/merge-patch+json"."""
    kind = media.partition(b";")[0].strip().lower()
    return kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json"))


def _summary(errors: Sequence[FieldError]) -> str:
    first = f"{errors[0].path}: {errors[0].message}"
    return f"{first}, and {len(errors) - 1} more." if len(errors) > 1 else f"{first}."
