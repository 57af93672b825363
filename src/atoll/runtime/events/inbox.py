"""Events are handled once: what a consumer has handled is kept in the transaction that handled it."""

from collections.abc import Sequence

from atoll.model.resources import Transaction

_ONE = "INSERT INTO atoll.inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_MANY = """
INSERT INTO atoll.inbox (consumer, event_id) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING RETURNING event_id
"""


async def is_new(transaction: Transaction, consumer: str, event_id: str) -> bool:
    """Whether this consumer has not handled the event yet; from now on it has, if the transaction commits.

    While another transaction handles the same event this waits for its end.
    """
    return bool(await transaction.execute(_ONE, consumer, event_id))


async def new_ones(transaction: Transaction, consumer: str, event_ids: Sequence[str]) -> set[str]:
    """Which of these events the consumer has not handled yet; from now on it has, if the transaction commits."""
    # Sorted: two transactions that wait for each other's events would be a deadlock.
    return set(await transaction.all(str, _MANY, consumer, sorted(event_ids)))
