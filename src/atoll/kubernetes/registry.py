"""Asking a registry which image a tag means now, and which machines it is for."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

import httpx

from atoll.errors import REGISTRY_FAILED, AtollError, Problem
from atoll.kubernetes.reference import Reference, is_digest

# The list of all platforms comes first: its digest is right on each of them.
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_DIGEST = "Docker-Content-Digest"
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_PATIENCE = 20.0
_AT_ONCE = 4
_BY_HAND = (
    "correct the name, or write name@sha256:… in the environment by hand; "
    'of engines, [images] engines = "wheels" needs none'
)


class _Refused(Exception):
    """A registry does not say it; the message is why."""


async def digests_of(names: Sequence[str]) -> Mapping[str, str]:
    """What each tag means now, by its name. Raises AtollError REGISTRY_FAILED with all that could not be found.

    Registries are asked as anybody: for what only members may see, the digest is written by hand.
    Source: OCI distribution specification 1.1; the token authentication of Docker's registry.
    """
    gate = asyncio.Semaphore(_AT_ONCE)
    async with httpx.AsyncClient(timeout=_PATIENCE, follow_redirects=True) as client:

        async def ask(name: str) -> str | Problem:
            try:
                async with gate:
                    return await _digest(client, Reference.parsed(name))
            except (_Refused, httpx.HTTPError, httpx.InvalidURL) as error:
                return REGISTRY_FAILED.at(reference=name, reason=str(error) or type(error).__name__, do=_BY_HAND)

        answers = await asyncio.gather(*(ask(name) for name in names))
    problems = [each for each in answers if isinstance(each, Problem)]
    if problems:
        raise AtollError(*problems)
    return {name: each for name, each in zip(names, answers, strict=True) if isinstance(each, str)}


async def machines_of(name: str) -> frozenset[str] | None:
    """The processors that a registry has this image for, such as "amd64"; none of them if it has no such image.

    None if it does not say so to anybody, or can't be reached.
    """
    reference = Reference.parsed(name)
    try:
        async with httpx.AsyncClient(timeout=_PATIENCE, follow_redirects=True) as client:
            answer = await _ask(client, "GET", reference, f"manifests/{reference.tag}")
            if answer.status_code == httpx.codes.NOT_FOUND:
                return frozenset()
            manifest = answer.raise_for_status().json()
            if "manifests" in manifest:
                return frozenset(str(each["platform"]["architecture"]) for each in manifest["manifests"])
            blob = await _ask(client, "GET", reference, f"blobs/{manifest['config']['digest']}")
            return frozenset({str(blob.raise_for_status().json()["architecture"])})
    except (_Refused, httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError):
        return None


async def _digest(client: httpx.AsyncClient, reference: Reference) -> str:
    """Asks without the body first, which registries do not count as a download."""
    what = f"manifests/{reference.tag}"
    answer = await _ask(client, "HEAD", reference, what)
    if answer.is_success and _DIGEST not in answer.headers:
        answer = await _ask(client, "GET", reference, what)
    if not answer.is_success:
        raise _Refused(_reason(answer.status_code, reference))
    found: str = answer.headers.get(_DIGEST) or f"sha256:{sha256(answer.content).hexdigest()}"
    if not is_digest(found):
        raise _Refused(f"{reference.registry} answers with {found!r}, which is no sha256 digest")
    return found


async def _ask(client: httpx.AsyncClient, method: str, reference: Reference, what: str) -> httpx.Response:
    """With a token for anybody where one is wanted."""
    url = f"{reference.address}/v2/{reference.path}/{what}"
    headers = {"Accept": ", ".join(_MANIFESTS)}
    answer = await client.request(method, url, headers=headers)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        headers["Authorization"] = f"Bearer {await _token(client, answer.headers.get('WWW-Authenticate', ''))}"
        answer = await client.request(method, url, headers=headers)
    return answer


async def _token(client: httpx.AsyncClient, challenge: str) -> str:
    """For anybody, from where the challenge says: Bearer realm="https://…",service="…",scope="…"."""
    scheme, _, rest = challenge.partition(" ")
    wanted = dict(_PARAMETER.findall(rest))
    realm = wanted.pop("realm", "")
    if scheme.lower() != "bearer" or not realm:
        raise _Refused("its registry wants a name and a password")
    answer = await client.get(realm, params=wanted)
    try:
        given = answer.raise_for_status().json()
        return str(given.get("token") or given["access_token"])
    except (httpx.HTTPStatusError, ValueError, KeyError, AttributeError) as error:
        raise _Refused(f"{realm} gives no token to anybody, status {answer.status_code}") from error


def _reason(status: int, reference: Reference) -> str:
    if status == httpx.codes.NOT_FOUND:
        return f"{reference.registry} has no {reference.path}:{reference.tag}"
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return f"{reference.registry} does not show {reference.path} to anybody, or does not have it"
    return f"{reference.registry} answers with status {status}"
