"""What Alertmanager says. Source: Alertmanager's API v2, GET /api/v2/alerts."""

from datetime import datetime
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import msgspec

WITHIN = 1.0
"""Seconds for it to answer."""

_LARGEST = 4 * 2**20


class State(msgspec.Struct, frozen=True):
    """state: active, suppressed or unprocessed."""

    state: str = "active"


class Alert(msgspec.Struct, frozen=True, rename="camel"):
    """An alert as it is now."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    starts_at: datetime | None = None
    status: State = State()

    @property
    def sentence(self) -> str:
        """What it says of itself, in one."""
        return self.annotations.get("summary") or self.labels.get("alertname", "")

    @property
    def is_page(self) -> bool:
        return self.labels.get("severity") == "page"


def alerts(url: str, system: str, namespace: str = "") -> list[Alert] | None:
    """All of the system that are firing, pages first; None if it does not answer. Blocks.

    namespace: of a cluster, whose Alertmanager is not ours alone; "" on one machine.
    """
    whose = [f'system="{system}"', *([f'namespace="{namespace}"'] if namespace else [])]
    wanted = urlencode({"inhibited": "false", "filter": whose}, doseq=True)
    try:
        with urlopen(f"{url}/api/v2/alerts?{wanted}", timeout=WITHIN) as answer:  # noqa: S310 (the run's own)
            found = msgspec.json.decode(answer.read(_LARGEST), type=list[Alert])
    except (URLError, OSError, msgspec.DecodeError):
        return None
    return sorted(found, key=lambda each: (not each.is_page, each.labels.get("alertname", "")))
