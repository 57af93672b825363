"""As whom the broker of a run is asked by who looks from outside."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from atoll.errors import BROKER_UNREACHABLE
from atoll.model.launch import Preparation
from atoll.model.references import FromFile


@dataclass(frozen=True, slots=True)
class Login:
    """Where the broker is, and as whom it is asked."""

    url: str
    user: str
    password: str


def administrator(state: Path) -> Login:
    """Who may do everything there, as any document has it that prepares a broker. Raises BROKER_UNREACHABLE."""
    for file in sorted(state.glob("launch/*.prepare.json")):
        document = msgspec.json.decode(file.read_bytes(), type=Preparation)
        if document.url and isinstance(document.password, FromFile):
            return Login(document.url, document.user, Path(document.password.path).read_text().strip())
    raise BROKER_UNREACHABLE.error(reason=f"{state.name} has no events")
