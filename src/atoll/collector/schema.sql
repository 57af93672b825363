-- The store. Spans stay in the batches they came in; a row says where in its batch a span is.
-- Times are nanoseconds since the epoch; `at` is the second in which `step` seconds of figures begin.

CREATE TABLE IF NOT EXISTS names (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- Messages of spans that failed.
CREATE TABLE IF NOT EXISTS errors (
    id INTEGER PRIMARY KEY,
    message TEXT NOT NULL UNIQUE
);

-- Who sends: a replica of a service.
CREATE TABLE IF NOT EXISTS sources (
    id INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    replica TEXT NOT NULL,
    UNIQUE (service, replica)
);

-- came: when. first, last: ids of its spans. body: their messages, one behind the other.
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY,
    came INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    body BLOB NOT NULL
);

-- name: of names. error: of errors; 0 for none. kind: OTLP's number. place, size: of its message in the batch's body.
CREATE TABLE IF NOT EXISTS spans (
    id INTEGER PRIMARY KEY,
    trace BLOB NOT NULL,
    span BLOB NOT NULL,
    parent BLOB,
    source INTEGER NOT NULL,
    name INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    start INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    error INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    place INTEGER NOT NULL,
    size INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS spans_by_trace ON spans (trace);
CREATE INDEX IF NOT EXISTS spans_by_error ON spans (error) WHERE error != 0;

-- What spans a batch has, so that a search opens no batch in vain. failed: whether any did. longest: duration.
CREATE TABLE IF NOT EXISTS contents (
    batch INTEGER NOT NULL,
    source INTEGER NOT NULL,
    name INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    longest INTEGER NOT NULL,
    PRIMARY KEY (batch, source, name)
) WITHOUT ROWID;

-- severity: OTLP's number, 1 to 24. attributes: JSON.
CREATE TABLE IF NOT EXISTS logs (
    id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    source INTEGER NOT NULL,
    trace BLOB,
    span BLOB,
    body TEXT NOT NULL,
    attributes TEXT
);
CREATE INDEX IF NOT EXISTS logs_by_trace ON logs (trace) WHERE trace IS NOT NULL;

-- The log lines that came in the ten seconds from `came`, seconds since the epoch. last: id of the last of them.
CREATE TABLE IF NOT EXISTS lines (
    came INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    bytes INTEGER NOT NULL
);

-- Requests served, events handled and runs made. counted: how many took how long (figures.py).
CREATE TABLE IF NOT EXISTS work (
    step INTEGER NOT NULL,
    at INTEGER NOT NULL,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    counted BLOB NOT NULL,
    PRIMARY KEY (step, at, service, name)
) WITHOUT ROWID;

-- Who asked whom. kind: call, database, publish, consume, external.
CREATE TABLE IF NOT EXISTS edges (
    step INTEGER NOT NULL,
    at INTEGER NOT NULL,
    caller TEXT NOT NULL,
    callee TEXT NOT NULL,
    kind TEXT NOT NULL,
    counted BLOB NOT NULL,
    PRIMARY KEY (step, at, caller, callee, kind)
) WITHOUT ROWID;

-- attributes: JSON with sorted keys.
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    unit TEXT NOT NULL,
    attributes TEXT NOT NULL,
    UNIQUE (source, name, attributes)
);

CREATE TABLE IF NOT EXISTS points (
    series INTEGER NOT NULL,
    at INTEGER NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (series, at)
) WITHOUT ROWID;

-- Limits that were reached: how often, and when last (seconds since the epoch).
CREATE TABLE IF NOT EXISTS hits (
    name TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    last REAL NOT NULL
);

-- What the collector has in memory of what senders name. most: of its rows. bytes: that these take; at most `room`.
CREATE TABLE IF NOT EXISTS held (
    name TEXT PRIMARY KEY,
    rows INTEGER NOT NULL,
    most INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    room INTEGER NOT NULL
);

-- How far each followed file, or container, was read. place: of a file "device:inode", of a container its name.
CREATE TABLE IF NOT EXISTS followed (
    name TEXT PRIMARY KEY,
    place TEXT NOT NULL,
    position TEXT NOT NULL
);
