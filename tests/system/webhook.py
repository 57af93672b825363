"""Whom a real Alertmanager tells of alerts."""

import json

from tests.receiver import Receiver


class Webhook(Receiver):
    """Keeps what Alertmanager sends."""

    @property
    def told(self) -> list[tuple[str, str, dict[str, str]]]:
        """Path, status and labels of each alert."""
        return [
            (path, alert["status"], alert["labels"])
            for path, _, body in tuple(self.requests)
            for alert in json.loads(body)["alerts"]
        ]

    def has(self, path: str, status: str, **labels: str) -> bool:
        return any(
            (path, status) == (where, how) and labels.items() <= found.items() for where, how, found in self.told
        )
