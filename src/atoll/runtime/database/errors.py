"""Where asyncpg's errors become ours."""

import asyncio
import re
import sys
from pathlib import Path
from types import TracebackType

import asyncpg

from atoll.errors import (
    CONSTRAINT_VIOLATED,
    DATABASE_UNREACHABLE,
    QUERY_FAILED,
    QUERY_TIMEOUT,
    ConstraintViolated,
    DatabaseError,
    DatabaseUnreachable,
    QueryFailed,
    QueryTimeout,
)

_ATOLL = str(Path(__file__).parents[2])
_ASYNCIO = str(Path(asyncio.__file__).parent)

# Sample: invalid input for query argument $1: 'abc' ('str' object cannot be interpreted as an integer)
_BAD_ARGUMENT = re.compile(r"(query argument \$\d+): .* \((.*)\)\Z", re.DOTALL)

_UNREACHABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # the server stops, starts or has crashed
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    OSError,
)


class translated:  # noqa: N801
    """`with translated("users"):` what asyncpg raises inside becomes ours, with the original as its cause.

    connecting: no statement has been sent yet, so that a timeout means that the server is not there.
    """

    __slots__ = ("_connecting", "_service")

    def __init__(self, service: str, *, connecting: bool = False) -> None:
        self._service = service
        self._connecting = connecting

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            return
        ours = translation(error, self._service, connecting=self._connecting)
        if ours is not None:
            raise ours from error


def translation(error: BaseException, service: str, *, connecting: bool = False) -> DatabaseError | None:
    """Our error for one of asyncpg's; None for any other."""
    match error:
        case TimeoutError() if not connecting:
            return QueryTimeout(QUERY_TIMEOUT.at(place_outside(), reason="the deadline of the call has passed"))
        case asyncpg.QueryCanceledError():
            reason = f"PostgreSQL says: {told(error)}"
            return QueryTimeout(QUERY_TIMEOUT.at(place_outside(), reason=reason), sqlstate="57014")
        case asyncpg.IntegrityConstraintViolationError():
            return _violated(error)
        case asyncpg.PostgresError() if not isinstance(error, _UNREACHABLE):
            return QueryFailed(QUERY_FAILED.at(place_outside(), reason=told(error)), sqlstate=_sqlstate(error))
        case asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return _interface(error, service)
        case TimeoutError() | OSError() | asyncpg.PostgresError():
            # An OSError's text is in its str alone.
            reason = told(error) if isinstance(error, asyncpg.PostgresError) else str(error)
            reason = reason or "it did not answer in time"
            return DatabaseUnreachable(
                DATABASE_UNREACHABLE.at(service=service, reason=reason), sqlstate=_sqlstate(error)
            )
        case _:
            return None


def is_passing(error: BaseException) -> bool:
    """Whether a failure to connect may be over in a moment: the server starts, or is full."""
    passing = (asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError, asyncpg.PostgresConnectionError)
    return isinstance(error, (ConnectionError, *passing))


def told(error: BaseException) -> str:
    """PostgreSQL's or asyncpg's words, without what they say of values: an error's text ends up in logs."""
    # str(error) would add the detail, such as "Key (email)=(ada@example.org) already exists."
    text = str(error.args[0]) if error.args else ""
    return "; ".join(filter(None, (_BAD_ARGUMENT.sub(r"\1: \2", text), getattr(error, "hint", None)))).rstrip(".")


def place_outside() -> str:
    """ "file.py:12" of the code that asked, "" where a task of its own hides it. For errors only: it takes its time."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_ATOLL):
        frame = frame.f_back
    file = frame.f_code.co_filename
    return "" if file.startswith((_ATOLL, _ASYNCIO)) else f"{file}:{frame.f_lineno}"


def _sqlstate(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", None) or "")


def _violated(error: asyncpg.IntegrityConstraintViolationError) -> ConstraintViolated:
    # NOT NULL has no name of its own: the column says as much.
    constraint = str(getattr(error, "constraint_name", None) or getattr(error, "column_name", None) or "")
    table = str(getattr(error, "table_name", None) or "")
    problem = CONSTRAINT_VIOLATED.at(place_outside(), constraint=constraint, table=table)
    return ConstraintViolated(problem, sqlstate=_sqlstate(error), constraint=constraint)


def _interface(error: Exception, service: str) -> DatabaseError:
    """What asyncpg itself objects to: a use of the connection, or that it is gone."""
    text = str(error)
    if isinstance(error, asyncpg.InternalClientError):
        # "cannot switch to state 15; another operation (2) is in progress": the server ended in mid-sentence, and the
        # connection has not heard of it yet.
        return DatabaseUnreachable(DATABASE_UNREACHABLE.at(service=service, reason=text))
    if "connection is closed" in text or "connection was closed" in text or "pool is clos" in text:
        return DatabaseUnreachable(DATABASE_UNREACHABLE.at(service=service, reason=text))
    if "another operation is in progress" in text:
        text = "a transaction does one thing at a time, and two tasks use this one"
    return QueryFailed(QUERY_FAILED.at(place_outside(), reason=text))
