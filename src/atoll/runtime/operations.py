"""The operations of a service behind its listener."""

from atoll.runtime.host import Made
from atoll.runtime.listener import Listener
from atoll.runtime.server import Server


class OperationsListener(Listener):
    """A listener that knows the server behind it, to stop both."""

    def __init__(self, made: Made) -> None:
        launch = made.launch
        self._operations = Server(
            made.contracts,
            made.instance,
            made.telemetry,
            concurrency=launch.concurrency,
            patience=launch.deadline,
            claims=made.claims,
            faults=made.faults,
        )
        super().__init__(launch.listen, self._operations, launch.body_limit, share_port=launch.share_port)

    async def stop(self, timeout: float) -> None:
        """Cut the requests that the drain left. timeout: seconds for their handlers' cleaning up."""
        await self._operations.stop(timeout)
        self.abort()


def listener_of(made: Made) -> OperationsListener:
    """What lets calls in to the service's operations."""
    return OperationsListener(made)
