"""A request's body as Protocol Buffers, whatever it was sent as."""

import zlib

from atoll.collector.jsonform import to_protobuf
from atoll.collector.refusals import Refused, invalid, too_large

_PART = 2**20
PROTOBUF, JSON = "application/x-protobuf", "application/json"


def plain(body: bytes, encoding: str, most: int) -> bytes:
    """The body without its compression. most: bytes; a bomb is not unpacked beyond them. Raises Refused."""
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise Refused(415, f"the collector unpacks gzip, not {encoding}")
    unpacking = zlib.decompressobj(wbits=31)
    parts: list[bytes] = []
    size = 0
    try:
        while part := unpacking.decompress(body, _PART):
            size += len(part)
            if size > most:
                raise too_large(f"unpacked, a request may have {most} bytes")
            parts.append(part)
            body = unpacking.unconsumed_tail
    except zlib.error as error:
        raise invalid(f"it is no gzip: {error}") from error
    if not unpacking.eof:
        raise invalid("its gzip ends too early")
    return b"".join(parts)


def message(data: bytes, kind: str, form: str) -> bytes:
    """The encoded message. kind: media type without parameters. form: of FORMS. Raises Refused."""
    if kind == PROTOBUF:
        return data
    if kind == JSON:
        return to_protobuf(data, form)
    raise Refused(415, f"the collector reads {PROTOBUF} and {JSON}")
