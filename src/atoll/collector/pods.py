"""Follows the output of a system's pods, by the API of the cluster that the collector itself runs in."""

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from atoll.collector.lines import parsed
from atoll.collector.refusals import Refused
from atoll.collector.store import Arrival, LogIn, Position
from atoll.collector.writer import Writer

LOOK_EVERY = 2.0
"""Seconds between two looks at each container."""

MOST_CONTAINERS = 500
"""That are followed; further ones are not, which is logged."""

_AT_ONCE = 2**20
"""Bytes of one container that are read at a time."""

_TIMEOUT = 10.0
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

logger = logging.getLogger("atoll.collector")

Connect = Callable[[], HTTPConnection]


class Container(NamedTuple):
    """One that has output. service: the pod's label `app`."""

    service: str
    pod: str
    uid: str
    name: str


def in_cluster(address: str, folder: Path = _ACCOUNT) -> tuple[Connect, Callable[[], str]]:
    """How a pod reaches the API server ("10.0.0.1:443"), and its token, which is another one every hour."""
    tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    return (
        lambda: HTTPSConnection(address, context=tls, timeout=_TIMEOUT),
        lambda: (folder / "token").read_text().strip(),
    )


class Pods:
    """Follows every container of the system's pods but the collector's own, each line once.

    connect, token: to the API server, and who we are there. look_every: seconds.
    """

    def __init__(
        self,
        system: str,
        namespace: str,
        writer: Writer,
        connect: Connect,
        token: Callable[[], str],
        look_every: float = LOOK_EVERY,
    ) -> None:
        self._system, self._namespace, self._writer = system, namespace, writer
        self._look_every = look_every
        self._connect, self._token = connect, token
        self._connection: HTTPConnection | None = None
        self._positions: dict[str, Position] = {}

    async def run(self) -> None:
        """Until cancelled. An API server that does not answer is asked again."""
        self._positions = await self._writer.positions()
        while True:
            try:
                for container in await asyncio.to_thread(self._containers):
                    await self._follow(container)
            except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
                logger.warning("the log lines of pods can't be read now: %s", error)
            await asyncio.sleep(self._look_every)

    async def _follow(self, container: Container) -> None:
        name = f"pod:{container.pod}/{container.name}"
        known = self._positions.get(name)
        since = known.position if known and known.place == container.uid else ""
        text = await asyncio.to_thread(self._output, container, since)
        lines, last = _lines(text, container, since)
        if not lines:
            return
        position = Position(name, container.uid, last)
        try:
            with self._writer.room() as take:
                take(len(text))
                await self._writer.put(lambda _: Arrival(len(text), logs=lines, positions=[position]), len(text))
        except Refused as refused:
            logger.info("%s waits to be stored: %s", name, refused.reason)
        else:
            self._positions[name] = position

    def _containers(self) -> list[Container]:
        query = urlencode({"labelSelector": f"app.kubernetes.io/part-of={self._system}"})
        found = json.loads(self._ask(f"/api/v1/namespaces/{self._namespace}/pods?{query}"))
        containers = list(_containers(found))
        if len(containers) > MOST_CONTAINERS:
            logger.warning("of %d containers the output of %d is followed", len(containers), MOST_CONTAINERS)
        return containers[:MOST_CONTAINERS]

    def _output(self, container: Container, since: str) -> str:
        """What it wrote in the second of `since` and later; each line begins with its time."""
        wanted = {"container": container.name, "timestamps": "true", "limitBytes": str(_AT_ONCE)}
        if since:
            wanted["sinceTime"] = f"{since[:19]}Z"
        path = f"/api/v1/namespaces/{self._namespace}/pods/{container.pod}/log?{urlencode(wanted)}"
        return self._ask(path, missing_is_empty=True)

    def _ask(self, path: str, *, missing_is_empty: bool = False) -> str:
        """Raises OSError with what the API server says of a failure."""
        connection = self._connection = self._connection or self._connect()
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {self._token()}"})
            answer = connection.getresponse()
            body = answer.read(8 * _AT_ONCE).decode(errors="replace")
        except BaseException:
            self._connection = None
            connection.close()
            raise
        if answer.status in (400, 404) and missing_is_empty:
            return ""  # it has gone, or has not begun
        if answer.status >= 400:
            raise OSError(f"GET {path}: {answer.status} {body[:200]}")
        return body


def _containers(pods: Mapping[str, object]) -> Iterator[Container]:
    items = pods.get("items")
    for item in items if isinstance(items, list) else []:
        labels = item["metadata"].get("labels", {})
        if labels.get("app.kubernetes.io/component") == "collector":
            continue
        for each in (*item["spec"].get("initContainers", ()), *item["spec"]["containers"]):
            yield Container(labels.get("app", ""), item["metadata"]["name"], item["metadata"]["uid"], each["name"])


def _lines(text: str, container: Container, since: str) -> tuple[list[LogIn], str]:
    """Those after the time of `since`, and the time of the last one.

    2026-11-26T12:00:00.123456789Z {"level":"info",…
    """
    lines: list[LogIn] = []
    last = since
    # The last line may have been cut at the limit: its rest would be no line of its own.
    whole = text[: text.rfind("\n") + 1]
    for line in whole.splitlines():
        said, _, rest = line.partition(" ")
        key = _sortable(said)
        if key <= _sortable(since) or not rest.strip():
            continue
        last = said
        lines.append(parsed(rest, container.service, container.pod, _nanoseconds(said)))
    return lines, last


def _sortable(said: str) -> str:
    """Fractions have as many digits as they need: "…00.1Z" is later than "…00.09Z"."""
    seconds, _, fraction = said.removesuffix("Z").partition(".")
    return f"{seconds}.{fraction:0<9}" if said else ""


def _nanoseconds(said: str) -> int:
    try:
        seconds = datetime.strptime(said[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return time.time_ns()
    return int(seconds.timestamp()) * 1_000_000_000 + int(_sortable(said).partition(".")[2][:9] or 0)
