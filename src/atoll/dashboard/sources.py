"""Where pages get what they show from: the store, and the supervisor of a run or the cluster that runs it."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from atoll.collector.query import Query, Window
from atoll.dashboard.alertmanager import Alert, alerts
from atoll.dashboard.broker import Broker
from atoll.dashboard.graph import Graph, Seen, graph
from atoll.dashboard.pods import processes_of_pods
from atoll.errors import NOT_RUNNING, AtollError
from atoll.model.launch import Dashboard
from atoll.supervisor.administrator import Login, administrator
from atoll.supervisor.control import ControlClient
from atoll.supervisor.plan import DASHBOARD
from atoll.supervisor.status import ProcessStatus, Status
from atoll.wire.description import Description

BREAKER = "atoll.client.breaker"
LAG = "messaging.consumer.lag"
ALERTMANAGER = "alertmanager"
_FRESH = 30.0
"""Seconds for which the last value of a metric counts."""


class Sources:
    """Every method blocks. What nobody can tell is None, and no error: a page shows what there is.

    pods: of a cluster, as its API tells them; none where there is no cluster. login: as whom its broker is asked.
    """

    def __init__(
        self,
        system: str,
        query: Query,
        document: Dashboard,
        pods: Callable[[], Sequence[Mapping[str, object]]] = tuple,
        login: Login | None = None,
    ) -> None:
        self.system, self.query = system, query
        self.broker = _broker(system, document, login)
        self._document, self._pods = document, pods

    def status(self) -> Status | None:
        """Of the run on this machine."""
        control = self.control
        if control is None:
            return None
        try:
            return control.status()
        except (AtollError, OSError):
            return None

    def processes(self) -> tuple[ProcessStatus, ...]:
        """Of the run, or the pods of the cluster; none where nobody can tell."""
        if self.control is None:
            return processes_of_pods(self._pods(), time.time())
        status = self.status()
        return status.processes if status else ()

    def watching(self) -> dict[str, str]:
        """Who else watches the system, and where; by name."""
        if self.control is None:
            return {ALERTMANAGER: self._document.alertmanager} if self._document.alertmanager else {}
        status = self.status()
        return {name: at for name, at in status.watching.items() if name != DASHBOARD} if status else {}

    @property
    def control(self) -> ControlClient | None:
        return ControlClient(Path(self._document.state)) if self._document.state else None

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
        return msgspec.json.decode(self._document.description, type=Description | None)

    def graph(self, window: Window) -> Graph:
        """How it looks in this window."""
        latest = Window.last(_FRESH, window.until)
        seen = Seen(
            self.query.services(window),
            self.query.edges(window),
            self.query.metrics(latest, BREAKER),
            self.query.metrics(latest, LAG),
        )
        return graph(seen, self.processes(), self.description(), self.alerts() or ())

    def alerts(self) -> list[Alert] | None:
        """That are firing, by the Alertmanager that watches; None without one, or if it does not answer."""
        url = self.watching().get(ALERTMANAGER, "")
        return alerts(url, self.system, self._document.namespace) if url else None


def _broker(system: str, document: Dashboard, login: Login | None) -> Broker | None:
    if document.state:
        state = Path(document.state)
        return Broker(system, lambda: administrator(state))
    return Broker(system, lambda: login) if login else None
