"""The cluster's API, for objects as they are: read, apply, delete, and the last words of a container."""

import asyncio
import json
import os
import re
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

import httpx
import kr8s.asyncio
import yaml

from atoll.engines.engine import HttpGet
from atoll.errors import CLUSTER_FORBIDS, CLUSTER_REFUSED, CLUSTER_UNREACHABLE
from atoll.kubernetes.names import MANAGER, Object
from atoll.kubernetes.objects import Key, items, key_of, kind_of, mapping, path_of
from atoll.provision.http import Reply, ask

_FORBIDDEN = (401, 403)
_NOT_FOUND = 404
_CONFLICT = 409
_BAD = 400
_BUSY = (429, 503)
_REPEATABLE = ("GET", "PATCH", "PUT", "DELETE")
"""Methods by which nothing happens twice: a PATCH is a server-side apply, and a PUT names the version that it replaces.
Others are repeated if nothing was sent."""
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries: an API server that starts again is back within them."""
_PAGE = 500
_GOING = 60.0
_ANSWERS_WITHIN = 5.0
_LONGEST_LINE = 2**20
"""Bytes; the rest is cut."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)")
_USUAL = "~/.kube/config"
_UNCONNECTED = (
    httpx.HTTPError,
    ValueError,
    OSError,
    LookupError,
    TypeError,
    AttributeError,
    yaml.YAMLError,
    kr8s.ServerError,
)
"""What a kubeconfig that is missing, wrong or of a silent cluster leads to."""
Owned: TypeAlias = Literal["Background", "Foreground", "Orphan"]
_BARE = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class Api:
    """A namespace of a cluster. Every method raises AtollError: CLUSTER_UNREACHABLE, _FORBIDS, _REFUSED."""

    def __init__(self, api: "kr8s.asyncio.Api", namespace: str) -> None:
        self._api = api
        self.namespace = namespace

    @property
    def address(self) -> str:
        return str(self._api.auth.server)

    async def get(self, key: Key) -> Object | None:
        status, found = await self._ask("GET", key, allowed=(_NOT_FOUND,))
        return None if status == _NOT_FOUND else found

    async def all(
        self, kind: str, labels: str = "", *, fields: str = "", most: int = 0, is_bare: bool = False
    ) -> list[Object]:
        """All of a kind, or by labels such as "app=users" and fields such as "type=Warning"; none of an unknown kind.

        most: how many at most, page by page; 0 is every one, which for kinds that the API server has in its memory
        is cheaper in one answer. is_bare: their metadata alone.
        """
        parameters = {"labelSelector": labels, "fieldSelector": fields, "limit": str(min(most, _PAGE) or "")}
        headers = {"accept": _BARE} if is_bare else {}
        # Items of a list leave out what they all have in common.
        common: Object = {"apiVersion": kind_of(kind).version, "kind": kind}
        found: list[Object] = []
        while True:
            asked = {name: value for name, value in parameters.items() if value}
            status, page = await self._ask("GET", Key(kind, ""), allowed=(_NOT_FOUND,), params=asked, headers=headers)
            if status == _NOT_FOUND:
                return []
            found += [{**each, **common} for each in items(page, "items")]
            parameters["continue"] = str(mapping(page, "metadata").get("continue") or "")
            if not parameters["continue"] or len(found) >= most:
                return found

    async def apply(
        self, made: Object, *, is_trial: bool = False, is_forced: bool = True, manager: str = MANAGER
    ) -> Object:
        """Server-side apply: fields that we stop to name are given up, those of others stay.

        is_trial: the API server checks and answers, and keeps nothing. is_forced: also what another manager has set.
        """
        parameters = {"fieldManager": manager, "force": "true" if is_forced else "false"}
        if is_trial:
            parameters["dryRun"] = "All"
        headers = {"content-type": "application/apply-patch+yaml"}
        _, found = await self._ask("PATCH", key_of(made), params=parameters, headers=headers, content=json.dumps(made))
        return found

    @asynccontextmanager
    async def forwarded(self, pod: Object, port: int, local: int) -> AsyncIterator[int]:
        """A port of this machine's loopback that leads to one of the pod's. local: 0 is any."""
        found = kr8s.asyncio.objects.Pod(pod, api=self._api)
        try:
            await found.refresh()
            async with found.portforward(port, local or "auto") as chosen:
                yield int(chosen)
        except (kr8s.ServerError, kr8s.ConnectionClosedError, httpx.HTTPError, OSError) as error:
            raise CLUSTER_UNREACHABLE.error(
                address=f"pod {found.name}", reason=str(error) or type(error).__name__
            ) from error

    async def delete(self, key: Key, *, owned: Owned = "Background") -> None:
        """With what it owns: afterwards, before it, or not at all. Nothing happens if it is gone."""
        body = json.dumps({"propagationPolicy": owned})
        await self._ask("DELETE", key, allowed=(_NOT_FOUND,), content=body)

    async def delete_as_read(self, made: Object) -> bool:
        """False, and nothing happens, if it was changed since it was read, by its resourceVersion."""
        body = json.dumps({"preconditions": {"resourceVersion": mapping(made, "metadata")["resourceVersion"]}})
        status, _ = await self._ask("DELETE", key_of(made), allowed=(_NOT_FOUND, _CONFLICT), content=body)
        return status != _CONFLICT

    async def until_gone(self, key: Key) -> None:
        """Wait for the end of what is being deleted. Raises AtollError CLUSTER_REFUSED after a minute."""
        pause, limit = 0.05, asyncio.get_running_loop().time() + _GOING
        while await self.get(key) is not None:
            if asyncio.get_running_loop().time() > limit:
                raise CLUSTER_REFUSED.error(what=f"to let {key} go", reason=f"it is still there after {_GOING:g} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)

    async def create(self, made: Object) -> Object | None:
        """As it is there now; None if one of this name is there already."""
        key = Key(str(made["kind"]), "")
        status, found = await self._ask("POST", key, allowed=(_CONFLICT,), content=json.dumps(made))
        return None if status == _CONFLICT else found

    async def replace(self, made: Object) -> Object | None:
        """As it is there now; None if it was changed or removed since it was read, by its resourceVersion.

        Also by ourselves: of a write whose answer was lost.
        """
        gone = (_CONFLICT, _NOT_FOUND)
        status, found = await self._ask("PUT", key_of(made), allowed=gone, content=json.dumps(made))
        return None if status in gone else found

    async def log(self, pod: str, container: str, *, lines: int, is_previous: bool = False) -> list[str]:
        """The last lines of a container, or of the one before it; [] where there are none."""
        parameters = {"container": container, "tailLines": str(lines), "previous": "true" if is_previous else "false"}
        try:
            async with self._call("GET", self._log_of(pod), params=parameters) as answer:
                return _lines(answer.content) if answer.status_code < _BAD else []
        except httpx.HTTPError:
            return []

    async def timed_log(self, pod: str, container: str, lines: int) -> list[tuple[str, str]]:
        """The last lines of a container, each with the time at which its node took it; [] where there are none.

        "" is the time of what the node says itself, such as that there is nothing to read.
        """
        parameters = {"container": container, "tailLines": str(lines), "timestamps": "true"}
        try:
            async with self._call("GET", self._log_of(pod), params=parameters) as answer:
                return [_timed(line) for line in _lines(answer.content)] if answer.status_code < _BAD else []
        except httpx.HTTPError:
            return []

    async def follow(self, pod: str, container: str, lines: int, since: str = "") -> AsyncIterator[tuple[str, str]]:
        """The last lines of a container and those that come, each with its time, until it ends or can't be read.

        since: a time that was given with a line; lines from then on instead of the last ones.
        """
        parameters = {"container": container, "follow": "true", "timestamps": "true"}
        parameters |= {"sinceTime": since} if since else {"tailLines": str(lines)}
        with suppress(httpx.HTTPError):
            async with self._call("GET", self._log_of(pod), is_stream=True, params=parameters, timeout=None) as answer:
                rest = b""
                async for part in answer.aiter_bytes():
                    whole, newline, rest = (rest + part).rpartition(b"\n")
                    for line in _lines(whole + newline) if answer.status_code < _BAD else ():
                        yield _timed(line)
                    rest = rest[:_LONGEST_LINE]
                for line in _lines(rest) if answer.status_code < _BAD else ():
                    yield _timed(line)

    async def ask(self, pod: Object, port: int, path: str, *, method: str = "GET", body: bytes = b"") -> Reply:
        """Ask a pod by a forwarded port: no network policy stands in its way, as in that of the API server's own proxy.

        Raises AtollError CLUSTER_UNREACHABLE; OSError if it does not answer in time.
        """
        async with self.forwarded(pod, port, 0) as local, asyncio.timeout(_ANSWERS_WITHIN):
            return await ask(HttpGet(path, port=local), method=method, body=body)

    def _log_of(self, pod: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log"

    async def version(self) -> str:
        _, found = await self._answer("GET", "/version/", {})
        return str(found.get("gitVersion", ""))

    async def _ask(
        self, method: str, key: Key, *, allowed: Sequence[int] = (), **arguments: object
    ) -> tuple[int, Object]:
        path = path_of(key, self.namespace)
        status, found = await self._answer(method, path, arguments)
        if status < _BAD or status in allowed:
            return status, found
        said = str(found.get("message", f"status {status}")).rstrip(".")
        if status in _FORBIDDEN:
            raise CLUSTER_FORBIDS.error(what=f"{method} {key}".rstrip(), reason=said)
        raise CLUSTER_REFUSED.error(what=str(key), reason=said)

    async def _answer(self, method: str, path: str, arguments: Mapping[str, Any]) -> tuple[int, Object]:
        """What it says; where the API server is away or busy for a moment, after some tries."""
        is_repeatable = method in _REPEATABLE
        for pause in (*_PAUSES, None):
            try:
                status, found = await self._once(method, path, arguments)
            except httpx.HTTPError as error:
                if pause is None or not (is_repeatable or isinstance(error, httpx.ConnectError)):
                    raise unreachable(self.address, error) from error
            else:
                if pause is None or not is_repeatable or status not in _BUSY:
                    return status, found
            await asyncio.sleep(pause)
        raise AssertionError  # the last turn has no pause

    async def _once(self, method: str, path: str, arguments: Mapping[str, Any]) -> tuple[int, Object]:
        async with self._call(method, path, **arguments) as answer:
            try:
                return answer.status_code, answer.json()
            except ValueError:
                return answer.status_code, {"message": answer.text}

    def _call(
        self, method: str, path: str, *, is_stream: bool = False, **arguments: Any
    ) -> AbstractAsyncContextManager[httpx.Response]:
        base, _, last = path.rpartition("/")
        return self._api.call_api(
            method, version="", base=base, url=last, raise_for_status=False, stream=is_stream, **arguments
        )


def _lines(text: bytes) -> list[str]:
    """A newline alone ends a line: for splitlines() of a text so does U+2028, which a user may have sent."""
    lines = text.removesuffix(b"\n").split(b"\n") if text else []
    return [line.removesuffix(b"\r").decode(errors="replace") for line in lines]


def _timed(line: str) -> tuple[str, str]:
    time, _, text = line.partition(" ")
    return (time, text) if _TIME.fullmatch(time) else ("", line)


def unreachable(address: str, error: Exception) -> Exception:
    reason = " ".join(str(error).split()) or type(error).__name__
    return CLUSTER_UNREACHABLE.error(address=address, reason=reason.rstrip("."))


@asynccontextmanager
async def connect(context: str, namespace: str, kubeconfig: str = "") -> AsyncIterator[Api]:
    """To the cluster of the kubeconfig's context; "" is the current one. Raises AtollError CLUSTER_UNREACHABLE.

    kubeconfig: as the variable KUBECONFIG has it; "" is the usual file.
    """
    with _keys_in_a_folder():
        try:
            # It warns of versions newer than itself; the objects we apply are in all of them.
            warnings.filterwarnings("ignore", message="Kubernetes version", module="kr8s")
            api = await kr8s.asyncio.api(kubeconfig=kubeconfig or None, context=context or None, namespace=namespace)
        except _UNCONNECTED as error:
            # Without any file it looks for the account of a pod, and says that there are no credentials.
            reason = _missing(kubeconfig)
            if not reason and isinstance(error, LookupError):
                reason = f"{kubeconfig or _USUAL} lacks what a kubeconfig has: {error}"
            if not reason and isinstance(error, TypeError | AttributeError):
                reason = f"{kubeconfig or _USUAL} is no kubeconfig: it has no clusters, users and contexts"
            raise unreachable(context or "the current context", ValueError(reason) if reason else error) from error
        api.timeout = 30.0
        yield Api(api, namespace)


def _missing(kubeconfig: str) -> str:
    """Which files there are not; "" if there is one."""
    paths = [each for each in kubeconfig.split(os.pathsep) if each]
    if any(Path(each).expanduser().exists() for each in paths or [_USUAL]):
        return ""
    if not paths:
        return f"there is no file {_USUAL}, and KUBECONFIG names no other"
    return f"KUBECONFIG names {' and '.join(paths)}, and there is no such file"


@contextmanager
def _keys_in_a_folder() -> Iterator[None]:
    """kr8s writes a kubeconfig's keys into temporary files and leaves them: give it a folder that goes."""
    usual = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="atoll-keys-") as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = usual
