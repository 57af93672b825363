"""A request's body as Protocol Buffers, whatever it was sent as."""

import zlib
from collections.abc import Iterator

from atoll.collector.jsonform import to_protobuf
from atoll.collector.refusals import Refused, invalid, too_large

_PART, _GIVEN = 2**20, 2**16
_MEMBERS = 1_024
PROTOBUF, JSON = "application/x-protobuf", "application/json"


def plain(body: bytes, encoding: str, most: int) -> bytes:
    """The body without its compression. most: bytes; a bomb is not unpacked beyond them. Raises Refused."""
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise Refused(415, f"the collector unpacks gzip, not {encoding}")
    parts: list[bytes] = []
    size = 0
    try:
        for part in _unpacked(memoryview(body)):
            size += len(part)
            if size > most:
                raise too_large(f"unpacked, a request may have {most} bytes")
            parts.append(part)
    except zlib.error as error:
        raise invalid(f"it is no gzip: {error}") from error
    return b"".join(parts)


def _unpacked(body: memoryview) -> Iterator[bytes]:
    """Of all members: a gzip may be several, one behind the other (RFC 1952). Raises Refused, zlib.error."""
    at = 0
    for _ in range(_MEMBERS):
        unpacking = zlib.decompressobj(wbits=31)
        while not unpacking.eof:
            # Little at a time, for what is behind the end of a member is copied.
            given = body[at : at + _GIVEN]
            part = unpacking.decompress(given, _PART)
            if not given and not part:
                raise invalid("its gzip ends too early")
            at += len(given) - len(unpacking.unconsumed_tail) - len(unpacking.unused_data)
            yield part
        if at == len(body):
            return
    raise invalid(f"its gzip has more than {_MEMBERS} members")


def message(data: bytes, kind: str, form: str) -> bytes:
    """The encoded message. kind: media type without parameters. form: of FORMS. Raises Refused."""
    if kind == PROTOBUF:
        return data
    if kind == JSON:
        return to_protobuf(data, form)
    raise Refused(415, f"the collector reads {PROTOBUF} and {JSON}")
