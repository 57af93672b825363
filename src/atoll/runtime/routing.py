"""Which operation answers a method and path."""

from collections.abc import Sequence
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

T = TypeVar("T")

Pattern = Sequence[str | None]
"""The segments of a path, None for a parameter; ("",) is "/"."""


class _Node(Generic[T]):
    __slots__ = ("endpoints", "literals", "parameter")

    def __init__(self) -> None:
        self.literals: dict[bytes, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.endpoints: dict[bytes, T] = {}


class Router(Generic[T]):
    """A tree of path segments. A literal segment beats a parameter, from left to right, if the method is there."""

    def __init__(self) -> None:
        # "/a/b" split at its slashes begins with "".
        self._start: _Node[T] = _Node()
        self._root = self._start.literals.setdefault(b"", _Node())

    def add(self, method: str, pattern: Pattern, endpoint: T) -> None:
        node = self._root
        for segment in pattern:
            if segment is None:
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment.encode(), _Node())
        node.endpoints[method.encode()] = endpoint

    def find(self, method: bytes, path: bytes) -> tuple[T, list[bytes]] | None:
        """The endpoint, with the texts of its path parameters, decoded. path: as it came, without the query."""
        segments = path.split(b"/")
        if b"%" in path:
            segments = [unquote_to_bytes(segment) for segment in segments]
        values: list[bytes] = []
        # The common case: no node on the way has both a literal and a parameter that fit.
        node = self._start
        for segment in segments:
            child = node.literals.get(segment)
            if child is None:
                child = node.parameter
                if child is None or not segment:
                    return None
                values.append(segment)
            elif node.parameter is not None:
                return _search(self._start, segments, 0, method, [])
            node = child
        endpoint = node.endpoints.get(method)
        return None if endpoint is None else (endpoint, values)

    def allowed(self, path: bytes) -> tuple[str, ...]:
        """The methods that this path answers, sorted; none where nothing is there."""
        segments = [unquote_to_bytes(segment) for segment in path.split(b"/")]
        nodes = [self._root] if not segments[0] else []
        for segment in segments[1:]:
            nodes = [child for node in nodes for child in _children(node, segment)]
        methods = {method.decode() for node in nodes for method in node.endpoints}
        return tuple(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def _children(node: _Node[T], segment: bytes) -> list[_Node[T]]:
    literal = node.literals.get(segment)
    found = [literal] if literal is not None else []
    return [*found, node.parameter] if node.parameter is not None and segment else found


def _search(
    node: _Node[T], segments: Sequence[bytes], index: int, method: bytes, values: list[bytes]
) -> tuple[T, list[bytes]] | None:
    """From this segment on, with a way back out of every literal that leads nowhere."""
    if index == len(segments):
        endpoint = node.endpoints.get(method)
        return None if endpoint is None else (endpoint, values)
    segment = segments[index]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _search(literal, segments, index + 1, method, values)
        if found is not None:
            return found
    if node.parameter is None or not segment:
        return None
    return _search(node.parameter, segments, index + 1, method, [*values, segment])
