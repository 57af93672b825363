"""Events that a consumer gave up: kept with the reason, looked at, sent again."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from atoll.runtime.events.broker import ANSWER_WITHIN, Connection, Refused, stored
from atoll.runtime.events.incoming import Incoming
from atoll.wire import subjects
from atoll.wire.cloudevents import DEDUPE, read

_REASON = "atoll-reason"
_ATTEMPTS = "atoll-attempts"
_SUBJECT = "atoll-subject"
_TIME = "atoll-time"
_OURS = (_REASON, _ATTEMPTS, _SUBJECT, _TIME)
# JetStream's codes
_NO_MESSAGE = 10037  # nothing (more) found
_NO_SEQUENCE = 10043  # nothing has this number
_NOT_DELETED = 10057  # nothing to delete there


async def bury(connection: Connection, system: str, durable: str, message: Incoming, reason: str) -> None:
    """Store the message in the stream of dead letters, as it was, with the reason.

    Twice by the same consumer within the stream's duplicate window is once. Raises Lost, TimeoutError, NoStream, ...;
    nats.errors.MaxPayloadError if it is too large with what is said beside it.
    """
    headers = {
        **message.headers,
        # With its number: who is sent again may die again at once, and is no duplicate then.
        DEDUPE: f"{message.attributes.id}/{durable}/{message.sequence}",
        _REASON: " ".join(reason.split()).encode(errors="replace").decode(),
        _ATTEMPTS: str(message.deliveries - 1 + message.failures),
        _SUBJECT: message.subject,
        _TIME: datetime.now(UTC).isoformat(),
    }
    answer = await connection.publish(subjects.dead_subject(system, message.topic, durable), message.payload, headers)
    async with asyncio.timeout(ANSWER_WITHIN):
        stored(await answer)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that waits for somebody to look at it.

    sequence: its number among the dead letters of the system. consumer: the durable that gave it up.
    time: of the event; died: when it was given up.
    """

    sequence: int
    topic: str
    consumer: str
    event_id: str
    key: str
    time: datetime
    died: datetime
    attempts: int
    reason: str
    headers: Mapping[str, str]
    payload: bytes


async def dead(
    connection: Connection, system: str, *, topic: str = "*", consumer: str = "*", limit: int = 1_000
) -> list[DeadLetter]:
    """The oldest dead letters, of all topics and consumers or of one. Needs the broker's admin.

    Raises Refused when the system has no stream of them, Lost and TimeoutError.
    """
    found: list[DeadLetter] = []
    async for letter in _letters(connection, system, topic, consumer):
        found.append(letter)
        if len(found) == limit:
            break
    return found


async def redrive(connection: Connection, system: str, letters: Sequence[DeadLetter]) -> int:
    """Give each to the consumer that gave it up, and to nobody else, as if it were new; returns how many.

    A letter is taken away after its stream has confirmed it, so an interruption loses none, and since it is sent under
    a name of its own, sending it twice is once. Needs the broker's admin. Raises Lost, TimeoutError, NoStream, Refused.
    """
    for letter in letters:
        headers = {name: value for name, value in letter.headers.items() if name not in _OURS}
        headers[DEDUPE] = f"{letter.event_id}/{letter.consumer}/{letter.sequence}"
        subject = subjects.redrive_subject(system, letter.topic, letter.consumer)
        answer = await connection.publish(subject, letter.payload, headers)
        async with asyncio.timeout(ANSWER_WITHIN):
            stored(await answer)
        await discard(connection, system, letter)
    return len(letters)


async def discard(connection: Connection, system: str, letter: DeadLetter) -> None:
    """Take the letter away for good. Gone already is fine."""
    request = msgspec.json.encode({"seq": letter.sequence, "no_erase": True})
    try:
        await connection.request(f"$JS.API.STREAM.MSG.DELETE.{subjects.dead_stream(system)}", request)
    except Refused as error:
        if error.code not in (_NO_MESSAGE, _NO_SEQUENCE, _NOT_DELETED):
            raise


class _Kept(msgspec.Struct):
    subject: str
    seq: int
    time: datetime
    data: str = ""
    hdrs: str = ""


class _Found(msgspec.Struct):
    message: _Kept


async def _letters(connection: Connection, system: str, topic: str, consumer: str) -> AsyncIterator[DeadLetter]:
    """One request each: dead letters are few, and this needs no consumer that somebody would have to take away."""
    wanted = subjects.dead_subject(system, topic, consumer)
    sequence = 1
    while True:
        request = msgspec.json.encode({"seq": sequence, "next_by_subj": wanted})
        try:
            answer = await connection.request(f"$JS.API.STREAM.MSG.GET.{subjects.dead_stream(system)}", request)
        except Refused as error:
            if error.code == _NO_MESSAGE:
                return
            raise
        kept = msgspec.json.decode(answer, type=_Found).message
        sequence = kept.seq + 1
        yield _letter(kept)


def _letter(kept: _Kept) -> DeadLetter:
    headers = _headers(base64.b64decode(kept.hdrs))
    _, _, topic, consumer = kept.subject.split(".", 3)
    known = read(headers, fallback_id=str(kept.seq), stored=kept.time)
    # Without an id of its own, a message is called after the dead letter; the consumer's name hangs on it.
    event_id = known.id.partition("/")[0]
    return DeadLetter(
        sequence=kept.seq,
        topic=topic,
        consumer=consumer,
        event_id=event_id,
        key=known.key,
        time=known.time,
        died=kept.time,
        attempts=int(headers.get(_ATTEMPTS, "0")),
        reason=headers.get(_REASON, ""),
        headers=headers,
        payload=base64.b64decode(kept.data),
    )


def _headers(block: bytes) -> dict[str, str]:
    """NATS/1.0\\r\\nName: value\\r\\n...\\r\\n\\r\\n → {"Name": "value"}"""
    lines = block.decode(errors="replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
