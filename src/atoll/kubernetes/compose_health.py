"""How a container of Compose asks a program whether it is well, with what the program's image has to ask with."""

from collections.abc import Mapping

from atoll.kubernetes.names import Object, port_of
from atoll.wire.description import MemberData

_PERIODS: Mapping[str, object] = {"interval": "10s", "timeout": "5s", "retries": 3, "start_period": "60s"}
_NODE = "fetch('{url}').then(a => process.exit(a.ok ? 0 : 1), () => process.exit(1))"
_PYTHON = "import urllib.request; urllib.request.urlopen('{url}', timeout=4)"
_ASKING = (
    ("curl", "curl -fsS -m 4 -o /dev/null {url}"),
    ("wget", "wget -q -T 4 -O /dev/null {url}"),
    ("node", f'node -e "{_NODE}"'),
    ("python3", f'python3 -c "{_PYTHON}"'),
)
"""The first of them that an image has asks."""


def health_check(member: MemberData) -> Object:
    """By the path of its declaration, as a cluster's probes ask."""
    url = f"http://127.0.0.1:{port_of(member)}{member.health}"
    tried = "; ".join(f"command -v {name} >/dev/null && exec {asking.format(url=url)}" for name, asking in _ASKING)
    return {"test": ["CMD-SHELL", f"{tried}; echo 'nothing here can ask'; exit 1".replace("$", "$$")], **_PERIODS}
