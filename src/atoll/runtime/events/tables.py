"""The tables of events in a service's own database."""

EVENT_TABLES = """
CREATE TABLE IF NOT EXISTS atoll.outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     text NOT NULL,
    topic        text NOT NULL,
    key          text NOT NULL,
    headers      text NOT NULL,
    payload      bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX IF NOT EXISTS outbox_pending ON atoll.outbox (id) WHERE published_at IS NULL;
CREATE INDEX IF NOT EXISTS outbox_published ON atoll.outbox (published_at) WHERE published_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS atoll.inbox (
    consumer   text NOT NULL,
    event_id   text NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX IF NOT EXISTS inbox_handled ON atoll.inbox USING brin (handled_at);

CREATE TABLE IF NOT EXISTS atoll.schedules (
    method     text PRIMARY KEY,
    started_at timestamptz NOT NULL
);
"""
"""Made by `prepare`, in the schema `atoll`; running it again changes nothing.

outbox: rows that wait for the relay have no published_at; the others stay for the horizon (decision 0007).
inbox: what each consumer has handled; kept for longer than the streams keep events.
schedules: when a method marked with @every last began.
"""
