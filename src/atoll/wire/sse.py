"""Server-sent events as a caller reads them."""

from dataclasses import dataclass

MOST_BYTES = 1_048_576
"""Of one event."""


class TooLarge(ValueError):
    """An event is larger than MOST_BYTES."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """kind: the `event:` field, "message" where there was none. data: the `data:` lines, joined by newlines."""

    kind: str
    data: bytes


class Reader:
    """Turns the pieces of a body, cut anywhere, into events.

    Comments and events without data are left out, and so is what follows the last blank line.
    Source: HTML Standard, 9.2.6; its ids and retry times are for browsers, which come back by themselves.
    """

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """The events that are whole now. Raises TooLarge."""
        text = self._rest + piece
        held = b""
        if b"\r" in text:
            if text.endswith(b"\r"):
                # Half of a \r\n, perhaps.
                text, held = text[:-1], b"\r"
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *blocks, rest = text.split(b"\n\n")
        self._rest = rest + held
        if len(self._rest) > MOST_BYTES:
            raise TooLarge(f"an event is larger than {MOST_BYTES} bytes")
        return [event for block in blocks if (event := _read(block)) is not None]


def _read(block: bytes) -> ServerEvent | None:
    kind, data = "message", list[bytes]()
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value.decode(errors="replace")
    return ServerEvent(kind, b"\n".join(data)) if data else None
