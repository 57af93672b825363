"""Many calls at once, of peers that close and callers that give up at any moment: nothing of them is left."""

import asyncio
import contextlib
import random

from atoll import CallFailed
from atoll.runtime.resilience.breaker import BreakerLimits
from atoll.runtime.resilience.policy import Policy
from tests.runtime.calling import Item, calling
from tests.runtime.peer import Asked, Peer, Wire, answer
from tests.waiting import eventually

CALLERS, CALLS = 12, 60


async def test_in_a_storm_of_calls_every_place_and_every_connection_comes_back() -> None:
    chance = random.Random(1)

    async def behave(asked: Asked, wire: Wire) -> None:
        luck = chance.random()
        if luck < 0.1:
            wire.cut()
            return
        await asyncio.sleep(chance.random() * 0.002)
        with contextlib.suppress(OSError, RuntimeError):  # the caller may have left
            await wire.send(answer({"id": "a"}, 201 if asked.method == "POST" else 200))
            if luck < 0.3:
                await asyncio.sleep(chance.random() * 0.002)
                wire.writer.close()

    async def caller() -> None:
        for _ in range(CALLS):
            call = called.items.add(Item("a")) if chance.random() < 0.5 else called.items.item("a")
            with contextlib.suppress(CallFailed, TimeoutError):
                async with asyncio.timeout(chance.random() * 0.003 if chance.random() < 0.3 else 10.0):
                    await call

    # With a breaker that opens and tries all the time
    policy = Policy(breaker=BreakerLimits(share=0.2, calls=5, wait=0.002))
    async with Peer(behave) as peer:
        async with calling(peer.address, policy=policy) as called:
            async with asyncio.timeout(30):
                await asyncio.gather(*(caller() for _ in range(CALLERS)))
            # Then no call is under way, and the next one is made
            assert called.metric('http_client_active_requests{destination="items"}') == 0

            async def is_answered() -> bool:
                with contextlib.suppress(CallFailed):
                    return (await called.items.item("a")).id == "a"
                return False

            await eventually(is_answered, within=10)
        # And no connection
        await eventually(lambda: peer.open == 0)
