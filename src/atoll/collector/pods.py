"""Follows the output of a system's pods, by the API of the cluster that the collector itself runs in."""

import asyncio
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from atoll.collector import following
from atoll.collector.api_server import ApiServer, Body
from atoll.collector.arrivals import Arrival, LogIn, Position
from atoll.collector.lines import parsed
from atoll.collector.records import when
from atoll.collector.refusals import Refused
from atoll.collector.writer import Writer
from atoll.engines.edge import is_access_line

LOOK_EVERY = 2.0
"""Seconds between two looks for pods."""

MOST_CONTAINERS = 500
"""That are followed; further ones are not, which is logged."""

_LONGEST = 600.0
"""Seconds after which an output is asked for anew: a connection that died in silence would not be noticed."""

_LONGEST_LINE = 2**20
"""Bytes; the rest is cut."""

_TOGETHER = 0.2
"""Seconds in which lines of a container are stored together, and after which what waits tries again."""

_MUCH = 2**15
"""Bytes that are worth to be stored by themselves."""

_TROUBLES = (OSError, TimeoutError, Refused, msgspec.MsgspecError)

_GATEWAY = "gateway"
"""The label `app` of Envoy's pods."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
"""As a node writes it, by its own time zone."""

logger = logging.getLogger("atoll.collector")


class Container(NamedTuple):
    """One that has output. service: the pod's label `app`. id: another one after each restart."""

    service: str
    pod: str
    uid: str
    name: str
    id: str

    @property
    def position(self) -> str:
        """Under which name it is kept how far it was followed."""
        return f"pod:{self.pod}/{self.name}"


class _Status(msgspec.Struct):
    """Of a container. state: its one key is waiting, running or terminated."""

    name: str
    container_id: str = msgspec.field(default="", name="containerID")
    state: dict[str, object] = {}


class _Statuses(msgspec.Struct, rename="camel"):
    init_container_statuses: tuple[_Status, ...] = ()
    container_statuses: tuple[_Status, ...] = ()


class _Metadata(msgspec.Struct):
    name: str
    uid: str
    labels: dict[str, str] = {}


class _Pod(msgspec.Struct):
    metadata: _Metadata
    status: _Statuses = msgspec.field(default_factory=_Statuses)


class _Listed(msgspec.Struct):
    items: list[dict[str, object]] = []


class Pods:
    """Follows every container of the system's pods but the collector's own, each line once.

    look_every: seconds.
    """

    def __init__(
        self, system: str, namespace: str, writer: Writer, api: ApiServer, look_every: float = LOOK_EVERY
    ) -> None:
        self._system, self._namespace, self._writer, self._api = system, namespace, writer, api
        self._look_every = look_every
        self._positions: dict[str, Position] = {}
        self._listed: Sequence[Mapping[str, object]] = ()
        # Of each container there is: at work, MOST_CONTAINERS at most, or whether it came to its end.
        self._followed: dict[Container, asyncio.Task[bool]] = {}

    def listed(self) -> Sequence[Mapping[str, object]]:
        """The pods as the API server told them a moment ago; none while it does not answer."""
        return self._listed

    async def run(self) -> None:
        """Until cancelled. An API server that does not answer is asked again."""
        self._positions = await self._writer.positions()
        try:
            while True:
                try:
                    await self._look()
                except _TROUBLES as error:
                    self._listed = ()
                    logger.warning("the pods can't be listed now: %s", error)
                await asyncio.sleep(self._look_every)
        finally:
            for task in self._followed.values():
                task.cancel()
            await asyncio.gather(*self._followed.values(), return_exceptions=True)

    async def _look(self) -> None:
        # As of a moment ago is enough, and spares the cluster's own store.
        query = urlencode({"labelSelector": f"app.kubernetes.io/part-of={self._system}", "resourceVersion": "0"})
        answer = await self._api.get(f"/api/v1/namespaces/{self._namespace}/pods?{query}")
        listed = msgspec.json.decode(answer, type=_Listed).items
        containers = dict(_containers(msgspec.convert(listed, list[_Pod])))
        self._listed = listed
        await self._leave(containers)
        for container, is_running in containers.items():
            task = self._followed.get(container)
            if task and not (task.done() and (is_running or not task.result())):
                continue
            if sum(not each.done() for each in self._followed.values()) >= MOST_CONTAINERS:
                logger.warning("of %d containers the output of %d is followed", len(containers), MOST_CONTAINERS)
                return
            self._followed[container] = asyncio.create_task(self._follow(container))

    async def _leave(self, containers: Mapping[Container, bool]) -> None:
        """Forget those that are gone and read to their end."""
        for each in [each for each, task in self._followed.items() if each not in containers and task.done()]:
            del self._followed[each]
        kept = {each.position for each in (*containers, *self._followed)}
        gone = [name for name in self._positions if name not in kept]
        if gone:
            await self._writer.put(lambda _: Arrival(gone=gone), 0)
            for name in gone:
                del self._positions[name]

    async def _follow(self, container: Container) -> bool:
        """Until it ends, or for so long. Whether it came to its end."""
        name = container.position
        known = self._positions.get(name)
        since = known.position if known and known.place == container.uid else ""
        wanted = {"container": container.name, "timestamps": "true", "follow": "true"}
        if since:
            # Of which it takes the seconds alone.
            wanted["sinceTime"] = _TIME.sub(r"\1\3", since)
        path = f"/api/v1/namespaces/{self._namespace}/pods/{container.pod}/log?{urlencode(wanted)}"
        output, rest, until = _Output(container, since), b"", time.monotonic() + _LONGEST
        try:
            async with self._api.ask(path) as body:
                while part := await _part(body, until):
                    whole, rest = _whole(rest + part)
                    await self._store(output, whole)
                    if len(part) < _MUCH:
                        await asyncio.sleep(_TOGETHER)
                if time.monotonic() >= until:
                    # What is left of it comes when it is asked for anew, also if it ended meanwhile.
                    return False
                # Perhaps without the end of a line.
                await self._store(output, rest)
        except _TROUBLES as error:
            logger.info("the output of %s can't be read now: %s", name, error)
            return False
        except Exception:  # what one container writes must not end the following of all
            logger.exception("the output of %s can't be read", name)
            return False
        return True

    async def _store(self, output: "_Output", text: bytes) -> None:
        """What is too much waits here, and what comes after it in the cluster."""
        lines = output.lines(text.decode(errors="replace"), time.time_ns())
        position = output.position
        while lines:
            try:
                await following.store(self._writer, lines, position, len(text))
            except Refused as refused:
                logger.info("%s waits to be stored: %s", position.name, refused.reason)
                await asyncio.sleep(_TOGETHER)
            else:
                break
        self._positions[position.name] = position


class _Output:
    """What a connection brings of a container: at first, perhaps, lines up to a time, which are known already.

    last: that time, as the node wrote it, and then the latest of what came; "" for none.
    """

    def __init__(self, container: Container, last: str) -> None:
        self._container = container
        self.last, self._latest = last, _nanoseconds(last) or 0
        self._is_new = not last

    @property
    def position(self) -> Position:
        return Position(self._container.position, self._container.uid, self.last)

    def lines(self, text: str, now: int) -> list[LogIn]:
        """Those that are new. now: nanoseconds.

        2026-11-26T12:00:00.123456789Z {"level":"info",…

        A newline alone ends a line: for splitlines() so does U+2028, which a text may hold, with what looks like a
        time behind it. A line whose time can't be read belongs to the one before it.
        """
        service, pod = self._container.service, self._container.pod
        found: list[LogIn] = []
        at = now
        for line in text.split("\n"):
            said, _, rest = line.partition(" ")
            # A node that can't read a file says so in its place, without a time.
            if not _TIME.fullmatch(said) or not rest.strip():
                continue
            moment = _nanoseconds(said)
            if moment is not None:
                at = when(moment, now)
                self._came(said, moment, now)
            if self._is_new and not (service == _GATEWAY and is_access_line(rest)):
                found.append(parsed(rest, service, pod, at))
        return found

    def _came(self, said: str, moment: int, now: int) -> None:
        """A clock that is set back hides nothing: within a connection all is new that follows what is."""
        is_later = moment > self._latest
        self._is_new = self._is_new or is_later
        if is_later or (self._is_new and when(self._latest, now) != self._latest):
            self.last, self._latest = said, moment


def _containers(pods: Sequence[_Pod]) -> Iterator[tuple[Container, bool]]:
    """Those that have begun, and whether they run."""
    for pod in pods:
        known, status = pod.metadata, pod.status
        if known.labels.get("app.kubernetes.io/component") == "collector":
            continue
        for each in (*status.init_container_statuses, *status.container_statuses):
            if each.container_id:
                container = Container(known.labels.get("app", ""), known.name, known.uid, each.name, each.container_id)
                yield container, "running" in each.state


async def _part(body: Body, until: float) -> bytes:
    """What comes next; b"" at the end, and when it is time."""
    try:
        async with asyncio.timeout(until - time.monotonic()):
            return await body.read()
    except TimeoutError:
        return b""


def _whole(text: bytes) -> tuple[bytes, bytes]:
    """Lines with their ends, and the rest.

    What is cut of a long line is not read as another one: it would begin with a time that the node did not write.
    """
    end = text.rfind(b"\n") + 1
    return text[:end], text[end : end + _LONGEST_LINE]


def _nanoseconds(said: str) -> int | None:
    """None for what is no time. Fractions have as many digits as they need: "…00.1Z" is later than "…00.09Z"."""
    found = _TIME.fullmatch(said)
    if found is None:
        return None
    seconds, fraction, zone = found.groups(default="")
    try:
        moment = datetime.fromisoformat(seconds + zone)
    except ValueError:
        return None
    return int(moment.timestamp()) * 1_000_000_000 + int(f"{fraction:0<9}")
