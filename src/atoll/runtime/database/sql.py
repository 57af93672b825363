"""SQL read just well enough to cut a file into statements and to call a statement by a name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["skip", "quoted", "word", "mark"]

_LETTER = r"A-Za-z_\x80-\U0010ffff"
# Sample: CREATE FUNCTION f() RETURNS int AS $body$ SELECT ';' -- no end; $body$ LANGUAGE sql;
_TOKEN = re.compile(
    rf"""(?P<skip>\s+|--[^\n]*)
    |(?P<comment>/\*)
    |(?P<dollar>\$(?:[{_LETTER}][0-9{_LETTER}]*)?\$)
    |(?P<quoted>[eE]'(?:[^'\\]|\\.|'')*'?|'(?:[^']|'')*'?|"(?:[^"]|"")*"?)
    |(?P<word>[{_LETTER}][0-9$.{_LETTER}]*)
    |(?P<mark>\$?\d+|.)""",
    re.VERBOSE | re.DOTALL,
)
_EDGE = re.compile(r"/\*|\*/")

_OPERATIONS = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"))
_BEFORE_A_TABLE = frozenset(("FROM", "JOIN", "INTO", "UPDATE", "TABLE"))
_NO_TABLE = frozenset(("SET", "LATERAL", "SELECT", "IF", "NOT", "EXISTS", "SKIP", "NOWAIT", "OF"))
_LONGEST_SUMMARY = 100

_ENDS_A_TRANSACTION = frozenset(("BEGIN", "START", "COMMIT", "END", "ABORT", "ROLLBACK"))
# Also where one text holds several statements: the second may be anything.
_LEAVES_STATE = re.compile(
    r";\s*[^\s;]|\b(?:set_config|pg_(?:try_)?advisory_lock(?:_shared)?|temp|temporary)\b", re.IGNORECASE
)
_SETS_STATE = frozenset(("SET", "RESET", "LISTEN", "UNLISTEN", "LOAD", "PREPARE", "DECLARE", "DISCARD", "DEALLOCATE"))


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL. kind: "skip" is white space and comments, "quoted" a string or name in any quotes."""

    kind: Kind
    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement without its semicolon. line: of its first word, from 1."""

    text: str
    line: int

    @property
    def words(self) -> tuple[str, ...]:
        """Its first words, in capitals."""
        found = (token.text.upper() for token in tokens(self.text) if token.kind == "word")
        return tuple(word for word, _ in zip(found, range(2), strict=False))

    @property
    def ends_transaction(self) -> bool:
        """Whether it begins or ends a transaction; to a savepoint one may roll back."""
        words = self.words
        return bool(words) and words[0] in _ENDS_A_TRANSACTION and words != ("ROLLBACK", "TO")

    def line_at(self, position: int) -> int:
        """The line of a character of the statement, counted from 1 as PostgreSQL does."""
        return self.line + self.text.count("\n", 0, position - 1)


@dataclass(frozen=True, slots=True)
class Summary:
    """How a statement is called in spans and metrics. operation: "SELECT". text: "SELECT products stock"."""

    operation: str
    text: str


def tokens(sql: str) -> Iterator[Token]:
    """All of the text, in pieces. What is not closed reaches to the end."""
    at = 0
    while at < len(sql):
        match = _TOKEN.match(sql, at)
        assert match is not None  # the last alternative takes any character
        kind, end = match.lastgroup, match.end()
        if kind == "comment":
            kind, end = "skip", _end_of_comment(sql, end)
        elif kind == "dollar":
            closing = sql.find(match[0], end)
            kind, end = "quoted", len(sql) if closing < 0 else closing + len(match[0])
        yield Token(_kind(kind), sql[at:end], at)
        at = end


def _kind(name: str | None) -> Kind:
    return "skip" if name == "skip" else "quoted" if name == "quoted" else "word" if name == "word" else "mark"


def _end_of_comment(sql: str, at: int) -> int:
    """Comments nest in SQL."""
    depth = 1
    for edge in _EDGE.finditer(sql, at):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)


def statements(sql: str) -> list[Statement]:
    """The statements of a file, cut at semicolons as psql does it."""
    found: list[Statement] = []
    first: Token | None = None
    nesting = _Nesting()
    for token in tokens(sql):
        if token.text == ";" and token.kind == "mark" and not nesting.inside:
            if first is not None:
                found.append(_statement(sql, first, token.start))
            first, nesting = None, _Nesting()
        elif token.kind != "skip":
            first = first or token
            nesting.add(token)
    if first is not None:
        found.append(_statement(sql, first, len(sql)))
    return found


def _statement(sql: str, first: Token, end: int) -> Statement:
    return Statement(sql[first.start : end].rstrip(), sql.count("\n", 0, first.start) + 1)


class _Nesting:
    """Whether a semicolon belongs to something inside the statement: parentheses, or BEGIN ATOMIC ... END."""

    def __init__(self) -> None:
        self._parentheses = 0
        self._blocks = 0
        self._words: list[str] = []

    @property
    def inside(self) -> bool:
        return self._parentheses > 0 or self._blocks > 0

    def add(self, token: Token) -> None:
        if token.kind == "mark":
            self._parentheses += (token.text == "(") - (token.text == ")")
        if token.kind != "word":
            return
        word = token.text.upper()
        if len(self._words) < 4:
            self._words.append(word)
        if not self._makes_routine:
            return
        # The same rule as psql's: CASE has an END of its own.
        if word == "BEGIN" or (word == "CASE" and self._blocks):
            self._blocks += 1
        elif word == "END" and self._blocks:
            self._blocks -= 1

    @property
    def _makes_routine(self) -> bool:
        return self._words[:1] == ["CREATE"] and bool({"FUNCTION", "PROCEDURE"} & set(self._words))


def summarize(sql: str) -> Summary:
    """A short name without any value in it. Source: OpenTelemetry semantic conventions, db.query.summary."""
    names = (token.text for token in tokens(sql) if token.kind == "word" or token.text.startswith('"'))
    words = [name for name in names if name.upper() != "ONLY"]
    upper = [word.upper() for word in words]
    first = upper[0] if upper else ""
    operation = first
    if first == "WITH":
        # What the statement does stands behind the queries it uses, which read mostly.
        operation = next((word for word in upper if word in _OPERATIONS - {"SELECT"}), "SELECT")
    tables: list[str] = []
    for before, word, capitals in zip(upper, words[1:], upper[1:], strict=False):
        if before in _BEFORE_A_TABLE and capitals not in _NO_TABLE and word not in tables:
            tables.append(word)
    return Summary(operation, " ".join([operation, *tables])[:_LONGEST_SUMMARY])


def leaves_state(sql: str, operation: str) -> bool:
    """Whether the session may be another after this statement, so that it can't be shared as it is."""
    return operation in _SETS_STATE | _ENDS_A_TRANSACTION or _LEAVES_STATE.search(sql) is not None
