"""An operation prepared for calling: arguments become a request, an answer becomes a value or an error."""

from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import quote

from atoll.errors import BadAnswer, CallFailed, DeadlineExceeded, Refused, ServerFailed
from atoll.model.contract import REQUIRED, Fault, Operation, Parameter, Response
from atoll.runtime.refusals import DEPENDENCY_FAILED, DEPENDENCY_LATE
from atoll.wire.codec import Encode, NotJson, Unreadable, decoder, encoder, texts
from atoll.wire.faults import Document, FaultCodec, read_problem
from atoll.wire.headers import DEADLINE, RETRIED, RETRY_AFTER, TRACEPARENT

Headers = Callable[[], Sequence[tuple[bytes, bytes]]]

_BELOW = frozenset((DEPENDENCY_FAILED.kind, DEPENDENCY_LATE.kind))
"""The problems whose cause is below whoever tells of them."""

_LONGEST_DETAIL = 300  # characters of a callee's own words in our sentence


class Rejection(Exception):
    """The callee's answer is no success.

    error: what the caller gets. retry_after: seconds, where the callee declined to act and the call may be made again;
    None where it must not be. good: whether the callee itself is well, as far as the answer tells.
    """

    def __init__(self, error: Fault | CallFailed, status: int, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.status = status
        self.retry_after = retry_after
        self.good = status < 500 or (isinstance(error, CallFailed) and error.below)


class Prepared:
    """One operation of one service. Everything that can be found out beforehand is found out here, once.

    head: of a request, to be filled with base, target, authority, trace id, span id, sampled, milliseconds, further
    lines and, where it `carries` a body, length and body.
    common, attributes: of its spans, flat; the latter of a call that went well.
    """

    def __init__(self, service: str, operation: Operation) -> None:
        self.service = service
        self.name = operation.name
        self.title = f"{service}.{operation.name}"
        self.method, self.path, self.status = operation.method, operation.path, operation.status
        self.streams, self.idempotent = operation.streams, operation.idempotent
        self.idempotency_key = operation.idempotency_key
        self.count = len(operation.parameters)
        self.common = ("peer.service", service, "http.request.method", self.method, "url.template", self.path)
        self.attributes = (*self.common, "http.response.status_code", self.status)
        self._with_headers = operation.with_headers
        self._names = [parameter.name for parameter in operation.parameters]
        self._places = {parameter.name: place for place, parameter in enumerate(operation.parameters)}
        self._defaults = [parameter.default for parameter in operation.parameters]
        self._target, self._in_path = _path_format(operation)
        self._query = [(quote(p.name, safe=""), i) for i, p in enumerate(operation.parameters) if p.source == "query"]
        self._body, self._encode = _body(operation)
        self.carries = self._encode is not None or operation.method in ("POST", "PUT", "PATCH")
        self.head = _head_format(operation, self._encode is not None, self.carries)
        self._decode = None if operation.returns is None else decoder(operation.returns)
        self._faults = {codec.type: codec for codec in (FaultCodec(fault) for fault in operation.faults)}

    def bind(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> tuple[object, ...]:
        """The arguments in the order of the parameters, with the defaults. Raises TypeError as any function does."""
        if len(args) > self.count:
            raise TypeError(f"{self.name}() takes {self.count} arguments, {len(args)} were given")
        bound = [*args, *self._defaults[len(args) :]]
        for name, value in kwargs.items():
            place = self._places.get(name)
            if place is None:
                raise TypeError(f"{self.name}() has no parameter {name!r}")
            if place < len(args):
                raise TypeError(f"{self.name}() got {name!r} twice")
            bound[place] = value
        missing = [name for name, place in self._places.items() if bound[place] is REQUIRED]
        if missing:
            raise TypeError(f"{self.name}() lacks {', '.join(missing)}")
        return tuple(bound)

    def target(self, args: tuple[object, ...]) -> bytes:
        """Path and query. Raises ValueError for a value that a path has no place for."""
        path, places = self._target, self._in_path
        if places:
            # One parameter is what most paths have.
            if len(places) == 1:
                path = path % self._segment(places[0], args[places[0]])
            else:
                path = path % tuple([self._segment(place, args[place]) for place in places])
        if self._query:
            pairs = [f"{name}={quote(text, safe='')}" for name, place in self._query for text in texts(args[place])]
            if pairs:
                path = f"{path}?{'&'.join(pairs)}"
        return path.encode()

    def body(self, args: tuple[object, ...]) -> bytes:
        """The JSON of the body; b"" where there is none."""
        return b"" if self._encode is None else self._encode(args[self._body])

    def value(self, status: int, headers: Headers, body: bytes) -> object:
        """What the call returns. headers: gives those of the answer, if asked. Raises Rejection."""
        if not 200 <= status < 300:
            raise self._rejection(status, headers, body)
        value = None
        if self._decode is not None:
            try:
                value = self._decode(body)
            except Unreadable as error:
                raise self._bad(status, error) from error
        if not self._with_headers:
            return value
        return Response(value, {name.decode("latin-1"): text.decode("latin-1") for name, text in headers()})

    def element(self, kind: str, data: bytes) -> object:
        """One element of a stream, from an event of this kind. Raises Rejection."""
        if kind == "problem":
            raise self._rejection(500, tuple, data)
        try:
            return self._decode(data) if self._decode is not None else None
        except Unreadable as error:
            raise self._bad(200, error) from error

    def _segment(self, place: int, value: object) -> str:
        if type(value) is str and value.isalnum() and value.isascii():
            return value
        found = texts(value)
        # "." and ".." are taken out of a path by whatever it passes, and nothing is no segment.
        if len(found) != 1 or found[0] in ("", ".", ".."):
            raise ValueError(f"{self.title}: {self._names[place]} can't be {value!r}, for a path has no place for it")
        return quote(found[0], safe="")

    def _bad(self, status: int, error: Unreadable) -> Rejection:
        reason = f"the answer is not {'JSON' if isinstance(error, NotJson) else 'what the contract says'}: {error}"
        return Rejection(BadAnswer(self.service, self.name, reason), status)

    def _rejection(self, status: int, headers: Headers, body: bytes) -> Rejection:
        try:
            document = read_problem(body)
        except Unreadable:
            document = Document()
        codec = self._faults.get(document.type)
        if codec is not None:
            try:
                return Rejection(codec.decode(body), status)
            except Unreadable as error:
                return self._bad(status, error)
        found = {name.lower(): value for name, value in headers()}
        reason = _sentence(status, document)
        wait = None
        # 409: an earlier attempt of this very call is at work, and its answer will be kept under the key.
        if status in (429, 503) or (status == 409 and document.kind == "key-refused"):
            known = found.get(RETRY_AFTER.encode(), b""), found.get(b"date", b"")
            wait = None if RETRIED.encode() in found else retry_after(*known)
        if wait is not None and status != 409:
            return Rejection(Refused(self.service, self.name, reason), status, wait)
        if status < 400:
            return Rejection(BadAnswer(self.service, self.name, reason), status)
        failed: CallFailed = (
            DeadlineExceeded(self.service, self.name, reason)
            if status == 504
            else ServerFailed(self.service, self.name, reason, status)
        )
        failed.below = document.kind in _BELOW
        return Rejection(failed, status, wait)


def retry_after(value: bytes, date: bytes) -> float:
    """Seconds that a Retry-After header asks for, 0 where it is none. date: the answer's own Date, if it has one.

    Source: RFC 9110, 10.2.3. A point in time is read against the callee's clock, not ours.
    """
    if value.isdigit():
        return float(value) if len(value) < 10 else float("inf")
    try:
        until, now = (parsedate_to_datetime(text.decode("ascii")) for text in (value, date))
        return max((until - now).total_seconds(), 0.0)
    except (ValueError, TypeError, UnicodeDecodeError):
        return 0.0


def _sentence(status: int, document: Document) -> str:
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = ""
    said = ": ".join(dict.fromkeys(filter(None, (document.title or title, document.detail))))
    said += "".join(f"; {error.path} {error.message}" for error in document.errors)
    return f"it answered {status} {said[:_LONGEST_DETAIL]}".rstrip(" .")


def _path_format(operation: Operation) -> tuple[str, tuple[int, ...]]:
    """The path with %s for each parameter, and which arguments these are, in the order of the path."""
    places = {f"{{{p.name}}}": i for i, p in enumerate(operation.parameters) if p.source == "path"}
    segments = operation.path.split("/")
    in_path = tuple(places[segment] for segment in segments if segment in places)
    literal = [quote(segment, safe="~!$&'()*+,;=:@%-._") for segment in segments]
    if in_path:
        literal = [segment.replace("%", "%%") for segment in literal]
    path = "/".join("%s" if segment in places else text for segment, text in zip(segments, literal, strict=True))
    return path, in_path


def _body(operation: Operation) -> tuple[int, Encode | None]:
    """Which argument is the body, and how it is encoded."""
    for place, parameter in enumerate(operation.parameters):
        if parameter.source == "body":
            return place, _encoder(parameter)
    return 0, None


def _encoder(parameter: Parameter) -> Callable[[object], bytes]:
    return encoder(parameter.type)


def _head_format(operation: Operation, has_body: bool, carries: bool) -> bytes:
    lines = [
        f"{operation.method} %b%b HTTP/1.1",
        "host: %b",
        f"{TRACEPARENT}: 00-%032x-%016x-0%d",
        f"{DEADLINE}: %d",
        *(["accept: text/event-stream"] if operation.streams else []),
        *(["content-type: application/json"] if has_body else []),
    ]
    ending = "%bcontent-length: %d\r\n\r\n%b" if carries else "%b\r\n"
    return ("\r\n".join(lines) + "\r\n" + ending).encode()
