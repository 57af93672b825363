"""Where pages get what they show from: the store, and on a laptop the supervisor of the run."""

from pathlib import Path

import msgspec

from atoll.collector.query import Query, Window
from atoll.dashboard.graph import Graph, Seen, graph
from atoll.errors import NOT_RUNNING, AtollError
from atoll.model.launch import Dashboard
from atoll.supervisor.control import ControlClient
from atoll.supervisor.status import Status
from atoll.wire.description import Description

BREAKER = "atoll.client.breaker"
LAG = "messaging.consumer.lag"
_FRESH = 30.0
"""Seconds for which the last value of a metric counts."""


class Sources:
    """Every method blocks. What nobody can tell is None, and no error: a page shows what there is."""

    def __init__(self, system: str, query: Query, document: Dashboard) -> None:
        self.system, self.query = system, query
        self.state = Path(document.state) if document.state else None
        self._declared = document.description

    def status(self) -> Status | None:
        """Of the run on this machine."""
        control = self.control
        if control is None:
            return None
        try:
            return control.status()
        except (AtollError, OSError):
            return None

    @property
    def control(self) -> ControlClient | None:
        return ControlClient(self.state) if self.state else None

    def required_control(self) -> ControlClient:
        """Raises AtollError NOT_RUNNING."""
        if self.control is None:
            raise NOT_RUNNING.error(system=self.system)
        return self.control

    def description(self) -> Description | None:
        if self.control is not None:
            try:
                return self.control.description()
            except (AtollError, OSError):
                return None
        return msgspec.json.decode(self._declared, type=Description | None)

    def graph(self, window: Window) -> Graph:
        """How it looks in this window."""
        latest = Window.last(_FRESH, window.until)
        seen = Seen(
            self.query.services(window),
            self.query.edges(window),
            self.query.metrics(latest, BREAKER),
            self.query.metrics(latest, LAG),
        )
        return graph(seen, self.status(), self.description())
