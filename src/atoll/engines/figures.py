"""What PostgreSQL and NATS say of themselves, as figures for Prometheus."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from atoll.engines.backlog import Config, Consumer, State, backlog
from atoll.wire.exposition import Figure, Kind

DATABASES = """
SELECT s.datname AS namespace, v.name, v.value::float8 AS value
FROM pg_stat_database s, LATERAL (VALUES
  ('backends', s.numbackends), ('commits', s.xact_commit), ('rollbacks', s.xact_rollback),
  ('blocks_read', s.blks_read), ('blocks_hit', s.blks_hit), ('rows_fetched', s.tup_fetched),
  ('rows_inserted', s.tup_inserted), ('rows_updated', s.tup_updated), ('rows_deleted', s.tup_deleted),
  ('deadlocks', s.deadlocks), ('temp_bytes', s.temp_bytes), ('db_size', pg_database_size(s.datid))
) AS v (name, value)
WHERE s.datname NOT IN ('template0', 'template1')
ORDER BY s.datname
"""
"""A row for each figure of each database."""

ACTIVITY = """
SELECT coalesce(datname, '') AS namespace, coalesce(state, '') AS state, count(*)::float8 AS connections,
  coalesce(max(extract(epoch FROM now() - xact_start)), 0)::float8 AS longest
FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1, 2 ORDER BY 1, 2
"""

SERVER = """
SELECT current_setting('max_connections')::float8 AS connections,
  extract(epoch FROM now() - pg_postmaster_start_time())::float8 AS uptime,
  (pg_current_wal_lsn() - '0/0')::float8 AS wal
"""

_OF_DATABASES: Mapping[str, tuple[str, Kind, str]] = {
    "backends": ("backends", "gauge", "Connections to the database."),
    "commits": ("commits_total", "counter", "Transactions committed."),
    "rollbacks": ("rollbacks_total", "counter", "Transactions rolled back."),
    "blocks_read": ("blocks_read_total", "counter", "Blocks read from the disk, or the system's cache."),
    "blocks_hit": ("blocks_hit_total", "counter", "Blocks found in PostgreSQL's own cache."),
    "rows_fetched": ("rows_fetched_total", "counter", "Rows fetched by queries."),
    "rows_inserted": ("rows_inserted_total", "counter", "Rows inserted."),
    "rows_updated": ("rows_updated_total", "counter", "Rows updated."),
    "rows_deleted": ("rows_deleted_total", "counter", "Rows deleted."),
    "deadlocks": ("deadlocks_total", "counter", "Deadlocks found."),
    "temp_bytes": ("temp_bytes_total", "counter", "Bytes written to temporary files by queries."),
    "db_size": ("db_size_bytes", "gauge", "Size of the database on the disk."),
}


class Activity(msgspec.Struct, frozen=True):
    """A row of ACTIVITY."""

    namespace: str
    state: str
    connections: float
    longest: float


class Statistics(msgspec.Struct, frozen=True):
    """Everything that is asked of PostgreSQL. databases: (database, figure, value)."""

    databases: Sequence[tuple[str, str, float]]
    activity: Sequence[Activity]
    most_connections: float
    uptime: float
    wal: float


def postgres_figures(found: Statistics | None) -> list[Figure]:
    """None: it does not answer."""
    figures = [Figure("postgresql_up", "gauge", "Whether PostgreSQL answers.", float(found is not None), {})]
    if found is None:
        return figures
    for database, name, value in found.databases:
        written, kind, text = _OF_DATABASES[name]
        figures.append(Figure(f"postgresql_{written}", kind, text, value, {"db_namespace": database}))
    for each in found.activity:
        who = {"db_namespace": each.namespace, "state": each.state}
        text = "Connections of clients by what they do."
        figures.append(Figure("postgresql_connections", "gauge", text, each.connections, who))
        text = "Age of the oldest transaction of clients in this state."
        figures.append(Figure("postgresql_longest_transaction_seconds", "gauge", text, each.longest, who))
    server: tuple[tuple[str, Kind, str, float], ...] = (
        ("postgresql_connection_max", "gauge", "Most connections.", found.most_connections),
        ("postgresql_uptime_seconds", "gauge", "Since the start of the server.", found.uptime),
        ("postgresql_wal_bytes_total", "counter", "Bytes written to the log of changes.", found.wal),
    )
    return figures + [Figure(name, kind, text, value, {}) for name, kind, text, value in server]


class Varz(msgspec.Struct, frozen=True):
    """The part of NATS' /varz that is told on."""

    connections: int = 0
    total_connections: int = 0
    subscriptions: int = 0
    slow_consumers: int = 0
    in_msgs: int = 0
    out_msgs: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    mem: int = 0
    cpu: float = 0.0


class Stream(msgspec.Struct, frozen=True):
    name: str = ""
    config: Config = Config()
    state: State = State()
    consumer_detail: tuple[Consumer, ...] = ()


class Account(msgspec.Struct, frozen=True):
    stream_detail: tuple[Stream, ...] = ()


class Jsz(msgspec.Struct, frozen=True):
    """The part of NATS' /jsz that is told on. memory, storage: bytes that streams take."""

    memory: int = 0
    storage: int = 0
    account_details: tuple[Account, ...] = ()


VARZ = "/varz"
JSZ = "/jsz?accounts=true&streams=true&consumers=true&config=true"


def nats_figures(varz: Varz | None, jsz: Jsz | None) -> list[Figure]:
    """None: it does not answer."""
    figures = [Figure("nats_up", "gauge", "Whether NATS answers.", float(varz is not None), {})]
    if varz is not None:
        server: tuple[tuple[str, Kind, str, float], ...] = (
            ("connections", "gauge", "Connections of clients.", varz.connections),
            ("connections_total", "counter", "Connections since the start.", varz.total_connections),
            ("subscriptions", "gauge", "Subscriptions of clients.", varz.subscriptions),
            ("slow_consumers_total", "counter", "Clients cut off because they did not read.", varz.slow_consumers),
            ("messages_received_total", "counter", "Messages from clients.", varz.in_msgs),
            ("messages_sent_total", "counter", "Messages to clients.", varz.out_msgs),
            ("received_bytes_total", "counter", "Bytes from clients.", varz.in_bytes),
            ("sent_bytes_total", "counter", "Bytes to clients.", varz.out_bytes),
            ("memory_bytes", "gauge", "Memory of the process.", varz.mem),
            ("cpu_ratio", "gauge", "Share of one processor.", varz.cpu / 100.0),
        )
        figures += [Figure(f"nats_{name}", kind, text, value, {}) for name, kind, text, value in server]
    if jsz is not None:
        figures.append(Figure("nats_jetstream_storage_bytes", "gauge", "Disk that streams take.", jsz.storage, {}))
        figures.append(Figure("nats_jetstream_memory_bytes", "gauge", "Memory that streams take.", jsz.memory, {}))
        figures += _of_streams(stream for account in jsz.account_details for stream in account.stream_detail)
    return figures


def _of_streams(streams: Iterable[Stream]) -> list[Figure]:
    figures: list[Figure] = []

    def add(name: str, kind: Kind, text: str, value: float, **who: str) -> None:
        figures.append(Figure(f"nats_{name}", kind, text, value, who))

    for stream in streams:
        add("stream_messages", "gauge", "Messages in the stream.", stream.state.messages, stream=stream.name)
        add("stream_bytes", "gauge", "Bytes of the stream.", stream.state.bytes, stream=stream.name)
        most = stream.config.max_bytes
        if most > 0:
            add("stream_max_bytes", "gauge", "Bytes that the stream keeps at most.", most, stream=stream.name)
        text = "Messages ever stored in the stream."
        add("stream_stored_total", "counter", text, stream.state.last_seq, stream=stream.name)
        for each in stream.consumer_detail:
            who = {"stream": stream.name, "consumer": each.name}
            add("consumer_pending", "gauge", "Messages not delivered yet.", each.num_pending, **who)
            add("consumer_ack_pending", "gauge", "Messages delivered, and in hand.", each.num_ack_pending, **who)
            text = "Messages in hand not for the first time."
            add("consumer_redelivered", "gauge", text, each.num_redelivered, **who)
            text = "Share of what the stream keeps that the consumer has not been given."
            add("consumer_backlog_ratio", "gauge", text, backlog(stream.config, stream.state, each), **who)
    return figures
