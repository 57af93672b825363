"""Waits for workloads, and tells why one does not come up."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from atoll.errors import ROLLOUT_FAILED, AtollError, Problem
from atoll.kubernetes.client import Api
from atoll.kubernetes.objects import Key, key_of, mapping
from atoll.kubernetes.rollout import WATCHED, Log, Row, Seen, rows, waiting_apps

_LOOK_AGAIN = 1.0
_LOOK_AT_LEAST = 4.0
_REST = 3.0
"""How often as long as a look took there is none: who waits asks a busy API server less."""

_NAMED = 50
"""Workloads that are named when their pods are asked for; of more than that, those of the whole system are."""

_EVENTS = 2_000
"""Warnings of a namespace that are looked at."""

_LAST_LINES = 12
_PATIENCE = 10.0
"""Seconds that a failure has to last: a cluster mends some by itself."""

Show: TypeAlias = Callable[[Sequence[Row]], None]


async def wait(api: Api, system: str, keys: Sequence[Key], show: Show, within: float) -> None:
    """Until all of these workloads of a system are done. Raises AtollError ROLLOUT_FAILED."""
    if not keys:
        return
    loop = asyncio.get_running_loop()
    limit = loop.time() + within
    failing: dict[Key, float] = {}
    while True:
        began = loop.time()
        found = rows(await observe(api, system, keys), keys)
        show(found)
        now = loop.time()
        failing = {row.key: failing.get(row.key, now) for row in found if row.state == "failed"}
        if all(row.state == "done" for row in found):
            return
        if any(now - failing[row.key] >= _patience(row) for row in found if row.key in failing):
            raise AtollError(*[await _failure(api, row) for row in found if row.state == "failed"])
        if now > limit:
            raise AtollError(*[await _failure(api, row) for row in found if row.state != "done"])
        await asyncio.sleep(min(max(_LOOK_AGAIN, _REST * (now - began)), _LOOK_AT_LEAST))


async def until_left(api: Api, system: str, within: float) -> None:
    """Wait for pods that were told to stop, which still serve what they have begun. `within` seconds are enough."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + within
    while loop.time() < limit:
        pods = await api.all("Pod", f"app.kubernetes.io/part-of={system}", is_bare=True)
        if not any("deletionTimestamp" in mapping(each, "metadata") for each in pods):
            return
        await asyncio.sleep(_LOOK_AGAIN)


def _patience(row: Row) -> float:
    # A Job that has tried as often as it may says so itself, with its last words.
    has_tried = row.key.kind == "Job" and row.why is not None and row.why.log is not None
    return 0.0 if has_tried else _PATIENCE


async def observe(api: Api, system: str, keys: Sequence[Key] = ()) -> Seen:
    """The workloads of a system with their pods; of these keys, where some are named, pods of those alone that wait."""
    ours = f"app.kubernetes.io/part-of={system}"
    kinds = (*WATCHED, "HorizontalPodAutoscaler")
    *workloads, autoscalers = await asyncio.gather(*(api.all(kind, ours) for kind in kinds))
    seen = Seen(tuple(each for found in workloads for each in found), autoscalers=tuple(autoscalers))
    waiting = waiting_apps(seen, keys or [key_of(each) for each in seen.workloads])
    if keys and not waiting:
        return seen
    labels = f"{ours},app in ({','.join(waiting)})" if keys and len(waiting) <= _NAMED else ours
    reads = [api.all("ReplicaSet", labels), api.all("Pod", labels)]
    if waiting:
        reads.append(api.all("Event", fields="type=Warning", most=_EVENTS))
    replica_sets, pods, *events = await asyncio.gather(*reads)
    return replace(
        seen,
        replica_sets=tuple(replica_sets),
        pods=tuple(pods),
        events=tuple(each for found in events for each in found),
    )


async def _failure(api: Api, row: Row) -> Problem:
    why = row.why
    lines = await last_words(api, why.log) if why and why.log else []
    return ROLLOUT_FAILED.at(
        name=row.key,
        reason=(why.reason if why else "it is not ready").rstrip("."),
        do=(why.do if why else "") or "see its log; the old version still serves",
        detail="\n".join(lines),
    )


async def last_words(api: Api, log: Log) -> list[str]:
    """The last lines of a container; where they are problems as data, as a person reads them."""
    lines = await api.log(log.pod, log.container, lines=_LAST_LINES, is_previous=log.is_previous)
    return [shown for line in lines for shown in _readable(line)]


def _readable(line: str) -> list[str]:
    if not line.startswith('{"problems"'):
        return [line]
    try:
        found = [Problem(**{**each, "has": tuple(each["has"])}) for each in json.loads(line)["problems"]]
    except (ValueError, TypeError, LookupError, RecursionError):  # cut, or another's that begins so
        return [line]
    return [shown for each in found for shown in str(each).splitlines()]
