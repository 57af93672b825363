"""Makes volumes larger in the cluster, and leaves them as they are where it must."""

import asyncio
from collections.abc import Sequence

from atoll.errors import CLUSTER_FORBIDS, CLUSTER_REFUSED, AtollError, Problem
from atoll.kubernetes.claims import Claim, as_asked, as_there, claims_of, is_larger, refused, unfit
from atoll.kubernetes.client import Api
from atoll.kubernetes.names import Object
from atoll.kubernetes.objects import key_of

_REFUSALS = (CLUSTER_FORBIDS.code, CLUSTER_REFUSED.code)


async def grow(api: Api, made: Object, *, is_trial: bool) -> None:
    """Let the claims that are there become as large as an object asks for. Raises AtollError VOLUME_FIXED.

    is_trial: the API server, which knows what their class allows, is asked alone.
    """
    found = [await _grow(api, claim, is_trial=is_trial) for claim in claims_of(made)]
    problems = [each for each in found if each is not None]
    if problems:
        raise AtollError(*problems)


async def _grow(api: Api, claim: Claim, *, is_trial: bool) -> Problem | None:
    there = await api.get(claim.key)
    if there is None:
        return None
    problem = unfit(claim, there)
    if problem is not None or not is_larger(claim, there):
        return problem
    try:
        await api.apply(claim.grown(), is_trial=is_trial)
    except AtollError as error:
        (said,) = error.problems
        if said.code in _REFUSALS:
            return refused(claim, there, said.sentence)
        raise
    return None


async def let_go(api: Api, made: Object, live: Object | None) -> None:
    """Remove a StatefulSet whose claims are to be others, without its pods, which the next of its name takes over."""
    if made["kind"] != "StatefulSet" or live is None or as_asked(live, made) == live:
        return
    await api.delete(key_of(made), owned="Orphan")
    await api.until_gone(key_of(made))


async def all_as_there(api: Api, made: Sequence[Object]) -> list[Object]:
    """Objects that ask for the volumes that are there, for one that has grown never shrinks again."""
    lives = await asyncio.gather(*(api.get(key_of(each)) if claims_of(each) else _nothing() for each in made))
    return [as_there(each, live) for each, live in zip(made, lives, strict=True)]


async def _nothing() -> None:
    return None
