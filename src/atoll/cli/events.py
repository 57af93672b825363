"""`atoll events`."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar

import click
import nats.errors
from nats.aio.msg import Msg
from rich.table import Table
from rich.text import Text

from atoll.cli.console import console
from atoll.cli.options import json_option, target_option
from atoll.cli.project import control_of, find_state
from atoll.dashboard.words import plain
from atoll.errors import BROKER_UNREACHABLE, NO_SUCH_LETTER, NO_SUCH_TOPIC
from atoll.runtime.events.broker import Connection, Denied, Lost, NoStream, Refused
from atoll.runtime.events.deadletters import DeadLetter, dead, redrive
from atoll.supervisor.administrator import administrator
from atoll.wire import subjects
from atoll.wire.cloudevents import read

T = TypeVar("T")
_TROUBLES = (OSError, TimeoutError, nats.errors.Error, Lost, Denied, NoStream, Refused)


@click.group("events")
def command() -> None:
    """Follow events; look at dead letters, and send them again."""


@command.command("tail")
@click.argument("topics", nargs=-1)
@target_option
@json_option
def tail_command(topics: tuple[str, ...], target: str | None, as_json: bool) -> None:
    """Show every event of TOPICS (of all, if none is named) from now on, until Ctrl-C."""
    description = control_of(target).description()
    known = [topic.name for topic in description.topics]
    for topic in topics:
        if topic not in known:
            raise NO_SUCH_TOPIC.error(has=known, system=description.name, topic=topic)
    system, names = description.name, topics or known
    asyncio.run(_talk(target, lambda connection: _tail(connection, system, names, as_json=as_json)))
    raise BrokenPipeError


@command.command("dead")
@click.option("--topic", default="*", help="Of this topic alone.")
@click.option("--consumer", default="*", help="Of this consumer alone, such as email-confirm.")
@click.option("-n", "--limit", default=100, show_default=True)
@target_option
@json_option
def dead_command(topic: str, consumer: str, limit: int, target: str | None, as_json: bool) -> None:
    """List the events that a consumer gave up after its last try, the oldest first."""
    system = control_of(target).description().name
    letters = asyncio.run(_talk(target, lambda it: dead(it, system, topic=topic, consumer=consumer, limit=limit)))
    if as_json:
        click.echo(json.dumps([_as_data(letter) for letter in letters]))
    elif not letters:
        click.echo("no dead letters")
    else:
        console().print(_table(letters))


@command.command("redrive")
@click.argument("numbers", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--topic", default="*", help="With --all: of this topic alone.")
@click.option("--consumer", default="*", help="With --all: of this consumer alone.")
@target_option
@json_option
def redrive_command(
    numbers: tuple[int, ...], everything: bool, topic: str, consumer: str, target: str | None, as_json: bool
) -> None:
    """Give dead letters, by their NUMBERS or --all, to the consumers that gave them up, and to nobody else."""
    if not numbers and not everything:
        raise click.UsageError("name the numbers that `atoll events dead` lists, or say --all")
    system = control_of(target).description().name

    async def send(connection: Connection) -> int:
        letters = await dead(connection, system, topic=topic, consumer=consumer)
        chosen = letters if everything else [letter for letter in letters if letter.sequence in numbers]
        missing = set(numbers) - {letter.sequence for letter in chosen}
        if missing:
            has = [str(letter.sequence) for letter in letters[:20]]
            raise NO_SUCH_LETTER.error(has=has, numbers=", ".join(map(str, sorted(missing))))
        return await redrive(connection, system, chosen)

    count = asyncio.run(_talk(target, send))
    click.echo(json.dumps({"redriven": count}) if as_json else f"sent {count} again")


async def _talk(target: str | None, what: Callable[[Connection], Coroutine[object, object, T]]) -> T:
    """Do it on a connection of the broker's admin. Raises BROKER_UNREACHABLE."""
    try:
        async with _connected(target) as connection:
            return await what(connection)
    except _TROUBLES as error:
        raise BROKER_UNREACHABLE.error(reason=str(error) or type(error).__name__) from error


@asynccontextmanager
async def _connected(target: str | None) -> AsyncIterator[Connection]:
    state = find_state(target, running=True)
    who = administrator(state)
    connection = Connection(subjects.inbox(who.user))
    await connection.open(who.url, who.user, who.password, "atoll events")
    try:
        yield connection
    finally:
        await connection.close()


async def _tail(connection: Connection, system: str, topics: Sequence[str], *, as_json: bool) -> None:
    """Until nobody reads any more. Raises Lost when the broker goes away."""
    unread = asyncio.Event()

    async def show(message: Msg) -> None:
        try:
            _show(message, as_json=as_json)
        except (BrokenPipeError, SystemExit):  # rich makes the one of the other
            unread.set()

    for topic in topics:
        await connection.subscribe(subjects.subject(system, topic), show)
    await connection.flush()
    async with asyncio.TaskGroup() as ends:
        waiting = [ends.create_task(each.wait()) for each in (unread, connection.lost)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
    if not unread.is_set():
        raise Lost("the connection was lost")


def _show(message: Msg, *, as_json: bool) -> None:
    known = read(message.headers or {}, fallback_id="", stored=datetime.now(UTC))
    topic = message.subject.rpartition(".")[2]
    payload = message.data.decode(errors="replace")
    if as_json:
        shown = {"topic": topic, "id": known.id, "key": known.key, "time": known.time.isoformat()}
        click.echo(json.dumps({**shown, "trace": known.traceparent[3:35], "event": _value(payload)}))
        return
    clock = known.time.astimezone().strftime("%H:%M:%S.%f")[:-3]
    who = plain(known.key or known.id)
    line = Text.assemble(clock, " ", (topic, "cyan"), " ", (who, "dim"), " ", plain(payload))
    console().print(line, soft_wrap=True)


def _as_data(letter: DeadLetter) -> dict[str, object]:
    return {
        "number": letter.sequence,
        "topic": letter.topic,
        "consumer": letter.consumer,
        "id": letter.event_id,
        "key": letter.key,
        "time": letter.time.isoformat(),
        "died": letter.died.isoformat(),
        "attempts": letter.attempts,
        "reason": letter.reason,
        "event": letter.payload.decode(errors="replace"),
    }


def _value(payload: str) -> object:
    """What its JSON says, or the text itself where it is none."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload


def _table(letters: Sequence[DeadLetter]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("number", "died", "topic", "consumer", "key", "tries", "reason"):
        table.add_column(name, justify="right" if name in ("number", "tries") else "left", overflow="fold")
    for each in letters:
        died = each.died.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        key, reason = plain(each.key), plain(each.reason.strip())
        table.add_row(str(each.sequence), died, each.topic, each.consumer, key, str(each.attempts), reason)
    return table
