"""The document of what asks the engines inside a cluster for figures."""

import msgspec

from atoll.model.references import Source


class FiguresOf(msgspec.Struct, frozen=True, kw_only=True):
    """listen: "host:port" of the page. postgres: DSN of a role that may monitor. nats: "host:port" of the monitor."""

    listen: str
    postgres: Source | None = None
    nats: str = ""
