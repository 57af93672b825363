"""A running system for tests that are not asynchronous: it lives in a thread of its own."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from atoll.testing.running import PATIENCE, Running, running


@contextmanager
def running_in_background(
    target: str,
    folder: Path,
    *,
    variables: Mapping[str, str],
    replicas: Mapping[str, int] | None = None,
    namespace: str = "",
    fresh: bool = False,
    patience: float = PATIENCE,
) -> Iterator[Running]:
    """The same as `running`; what of it is asynchronous can't be used from the test's own thread."""
    began: Future[Running] = Future()
    done = threading.Event()

    async def run() -> None:
        async with running(
            target,
            folder,
            variables=variables,
            replicas=replicas,
            namespace=namespace,
            fresh=fresh,
            patience=patience,
        ) as system:
            began.set_result(system)
            await asyncio.to_thread(done.wait)

    def live() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 (raised again where the test can see it)
            if not began.done():
                began.set_exception(error)

    thread = threading.Thread(target=live, name=f"run {target}")
    thread.start()
    try:
        yield began.result()
    finally:
        done.set()
        thread.join()
