"""A consumer in a process of its own, to be killed: python -m tests.runtime.events.worker '{"dsn": ...}'"""

import asyncio
import os
import signal
import sys

import msgspec

from atoll.model.launch import ConsumerOf
from atoll.runtime.database.database import PostgresDatabase
from atoll.runtime.events.broker import Broker
from atoll.runtime.events.consumer import Consumer
from atoll.runtime.events.handling import handler_of
from atoll.wire.codec import decoder
from tests.runtime.events.parts import Orders, Placed, new_telemetry


class Job(msgspec.Struct):
    """die_at: the number of the event in whose handling it kills itself, before the commit; -1 for none."""

    dsn: str
    url: str
    password: str
    system: str
    source: ConsumerOf
    die_at: int


async def work(job: Job) -> None:
    def die(event: Placed) -> None:
        if event.number == job.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    telemetry = new_telemetry()
    database = await PostgresDatabase.open(job.dsn, 4, "orders", telemetry, None)
    broker = Broker(job.url, "admin", job.password, "worker")
    broker.start()
    handler = handler_of(Orders(database, die), job.source.method, database, batch=False)
    consumer = Consumer(job.source, job.system, handler, decoder(Placed), broker, telemetry)
    consumer.start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await consumer.drain()
    await consumer.stop(1.0)
    await database.close()
    await broker.close()


if __name__ == "__main__":
    asyncio.run(work(msgspec.json.decode(sys.argv[1], type=Job)))
