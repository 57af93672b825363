"""Spans as the trees that they are."""

from collections.abc import Sequence

from atoll.collector.values import Hop, Span

DEEPEST = 200
"""Spans below each other; what is deeper is shown as a tree of its own."""


def trees(spans: Sequence[Span]) -> tuple[Hop, ...]:
    """The spans of one trace below what caused them, in the order of time."""
    ordered = sorted(spans, key=lambda each: (each.start, -each.end))
    known = {span.span for span in spans}
    children: dict[str, list[Span]] = {}
    for span in ordered:
        children.setdefault(span.parent, []).append(span)
    shown: set[str] = set()

    def hop(span: Span, depth: int = 0) -> Hop:
        shown.add(span.span)
        below = children.get(span.span, ()) if depth < DEEPEST else ()
        return Hop(span, tuple(hop(each, depth + 1) for each in below if each.span not in shown))

    roots = [hop(span) for span in ordered if span.parent not in known]
    # Spans that claim to be each other's parents have no root: the first of them is taken for one.
    return (*roots, *(hop(span) for span in ordered if span.span not in shown))
