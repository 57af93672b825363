"""Protocol Buffers' encoding: fields of a message, written and read one by one."""

from collections.abc import Iterator
from struct import Struct

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_FIXED64, _FIXED32, _DOUBLE = Struct("<Q"), Struct("<I"), Struct("<d")

Field = tuple[int, int, int, int]
"""Number, wire type, and then the value of a varint or fixed number twice, or start and end of what has a length."""


class MalformedError(ValueError):
    """These bytes are no message. Says why."""


def varint(number: int) -> bytes:
    """number: from 0 to 2**64 - 1."""
    if number < 0x80:
        return bytes((number,))
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def number_field(number: int, value: int) -> bytes:
    """A varint; a negative one takes the place of its two's complement, as int64 has it."""
    return varint(number << 3 | VARINT) + varint(value & 0xFFFFFFFFFFFFFFFF)


def fixed_field(number: int, value: int) -> bytes:
    return varint(number << 3 | FIXED64) + _FIXED64.pack(value)


def double_field(number: int, value: float) -> bytes:
    return varint(number << 3 | FIXED64) + _DOUBLE.pack(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """Bytes, a string in UTF-8, or a message."""
    return varint(number << 3 | LENGTH) + varint(len(value)) + value


def text_field(number: int, value: str) -> bytes:
    return bytes_field(number, value.encode(errors="replace"))


def read_varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    """The number at this place, and the place behind it. Raises MalformedError."""
    value = shift = 0
    while place < end:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place
        shift += 7
        if shift >= 70:
            raise MalformedError("a number has more than ten bytes")
    raise MalformedError("it ends within a number")


def fields(data: bytes, start: int, end: int) -> Iterator[Field]:
    """Each field between the two places. Raises MalformedError."""
    place = start
    while place < end:
        tag = data[place]
        if tag < 0x80:
            place += 1
        else:
            tag, place = read_varint(data, place, end)
        kind = tag & 7
        if kind == LENGTH:
            length, place = read_varint(data, place, end)
            if length > end - place:
                raise MalformedError("a field is longer than its message")
            yield tag >> 3, kind, place, place + length
            place += length
        elif kind == VARINT:
            value, place = read_varint(data, place, end)
            yield tag >> 3, kind, value, value
        elif kind in (FIXED64, FIXED32):
            layout = _FIXED64 if kind == FIXED64 else _FIXED32
            if layout.size > end - place:
                raise MalformedError("it ends within a number")
            value = layout.unpack_from(data, place)[0]
            yield tag >> 3, kind, value, value
            place += layout.size
        else:
            raise MalformedError(f"there is no wire type {kind}")
        if not tag >> 3:
            raise MalformedError("there is no field with the number 0")


def text(data: bytes, start: int, end: int) -> str:
    """Raises MalformedError if it is no UTF-8."""
    try:
        return data[start:end].decode()
    except UnicodeDecodeError as error:
        raise MalformedError("a text is no UTF-8") from error


def signed(value: int) -> int:
    """The int64 with these bits."""
    return value - (1 << 64) if value >> 63 else value


def double(value: int) -> float:
    """The double with these bits."""
    number: float = _DOUBLE.unpack(_FIXED64.pack(value))[0]
    return number
