"""How an event gets to the user's method: in a transaction with its inbox row, or bare."""

import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

from atoll.model.resources import Database
from atoll.runtime.context import NOBODY, Context, Identity, new_trace_id
from atoll.runtime.events.inbox import is_new, new_ones
from atoll.runtime.events.incoming import Incoming
from atoll.wire.headers import parse_traceparent

Method = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Handler:
    """The user's method, and how it wants to be called.

    database: where the inbox is; None for a method that may be repeated. batch: it takes a list of events.
    about: whether it has a parameter `about`.
    """

    method: Method
    database: Database | None
    batch: bool = False
    about: bool = False


def handler_of(instance: object, method: str, database: Database | None, *, batch: bool) -> Handler:
    """The handler that a service's instance has under this name. database: None for idempotent ones."""
    bound = cast(Method, getattr(instance, method))
    return Handler(bound, database, batch, "about" in inspect.signature(bound).parameters)


async def handle(handler: Handler, consumer: str, messages: Sequence[Incoming]) -> None:
    """Hand over what is new of these messages: all in one transaction, which has their inbox rows too.

    Raises whatever the method, or the database, raises; then nothing of it has happened in the database.
    """
    if handler.database is None:
        await _call(handler, messages)
        return
    async with handler.database.transaction() as transaction:
        if len(messages) == 1:
            new = [message for message in messages if await is_new(transaction, consumer, message.attributes.id)]
        else:
            ids = await new_ones(transaction, consumer, [message.attributes.id for message in messages])
            new = [message for message in messages if message.attributes.id in ids]
        if new:
            await _call(handler, new, transaction)


async def _call(handler: Handler, messages: Sequence[Incoming], *transaction: object) -> None:
    if handler.batch:
        events: object = [message.event for message in messages]
        about: object = [message.about() for message in messages]
    else:
        events, about = messages[0].event, messages[0].about()
    extra = {"about": about} if handler.about else {}
    await handler.method(events, *transaction, **extra)


def batch_context_of(messages: Sequence[Incoming], deadline: float) -> Context:
    """That of the first of them; its caller only if all have the same, for nobody acts for somebody else."""
    context = context_of(messages[0], deadline)
    if len({(each.attributes.subject, each.attributes.scopes) for each in messages}) > 1:
        context.caller = NOBODY
    return context


def context_of(message: Incoming, deadline: float) -> Context:
    """The trace that the event belongs to, continued, and its caller; deadline: seconds from now."""
    known = message.attributes
    parent = parse_traceparent(known.traceparent) if known.traceparent else None
    trace_id, parent_id, sampled = parent or (new_trace_id(), 0, True)
    return Context(
        trace_id,
        parent_id,
        sampled=sampled,
        deadline=time.monotonic() + deadline,
        tracestate=known.tracestate,
        baggage=known.baggage,
        caller=Identity(known.subject, frozenset(known.scopes.split())) if known.subject else NOBODY,
    )
