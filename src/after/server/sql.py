"""The SQLite schema and the statements of the embedded engine, as text."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

Statement = Callable[[int], str]
"""The text of a statement for so many rows."""

APPLICATION_ID = 0x61667472  # "aftr"
SCHEMA_VERSION = 2

# What version 1 had not: it is added to an older file, and made with the rest in a new one.
ADDED = (
    "CREATE INDEX document_keyed ON document (worker, key, place, date, id) WHERE key IS NOT NULL",
    "CREATE INDEX document_moved ON document (date, id) WHERE moved IS NOT NULL",
    # What blocked tasks wait for: a row for each id in their `after`. No other document has rows here.
    """CREATE TABLE dependency (
    dependency TEXT NOT NULL,
    task       TEXT NOT NULL,
    PRIMARY KEY (dependency, task)
) WITHOUT ROWID""",
    "CREATE INDEX dependency_task ON dependency (task)",
)
ADDED_COLUMNS = ("key TEXT", "place INTEGER", "moved INTEGER")

SCHEMA = f"""
CREATE TABLE property (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- One row a document: its winning revision. What a task can be found by stands in columns beside its body;
-- documents that are no tasks have NULL there and are in none of the partial indexes.
CREATE TABLE document (
    number    INTEGER PRIMARY KEY,
    id        TEXT NOT NULL,
    rev       TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    deleted   INTEGER NOT NULL,
    ancestry  TEXT NOT NULL,               -- hashes of earlier revisions, newest first
    conflicts INTEGER NOT NULL DEFAULT 0,  -- how many rows of `leaf` belong to it
    worker    TEXT,
    status    TEXT,
    date      INTEGER,                     -- ms since the epoch
    due       INTEGER,                     -- when a worker has to act on it next; NULL when nobody has to
    instance  TEXT,                        -- the worker process that holds it
    body      BLOB NOT NULL,               -- JSON without _id and _rev
    key       TEXT,                        -- that of an open task, unless it is blocked
    place     INTEGER,                     -- among those of its key: 0 for one that is held, 1 for the others
    moved     INTEGER                      -- 1 where its history may tell of earlier dates
);
CREATE UNIQUE INDEX document_id ON document (id);
CREATE INDEX document_seq ON document (seq);
CREATE INDEX document_due ON document (worker, due, id) WHERE due IS NOT NULL;
CREATE INDEX document_held ON document (worker, instance, id) WHERE instance IS NOT NULL;
CREATE INDEX document_date ON document (date, id) WHERE status IS NOT NULL;
CREATE INDEX document_status ON document (status, date, id) WHERE status IS NOT NULL;
CREATE INDEX document_worker ON document (worker, status, date, id) WHERE status IS NOT NULL;
CREATE INDEX document_conflicts ON document (id) WHERE conflicts > 0;

-- The losing leaf revisions of documents in conflict; a document without conflicts has none.
CREATE TABLE leaf (
    id       TEXT NOT NULL,
    rev      TEXT NOT NULL,
    deleted  INTEGER NOT NULL,
    ancestry TEXT NOT NULL,
    body     BLOB NOT NULL,
    PRIMARY KEY (id, rev)
) WITHOUT ROWID;

-- How many tasks each worker has in each status. Other documents are counted under the worker '' and the status
-- 'document', deleted ones under 'deleted'.
CREATE TABLE tally (
    worker TEXT NOT NULL,
    status TEXT NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (worker, status)
) WITHOUT ROWID;

-- Documents that are neither replicated nor in any feed: a replicator's checkpoints.
CREATE TABLE local (id TEXT PRIMARY KEY, rev TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
{";".join(ADDED)};
"""

# One row holds all that was found: a step of SQLite for each row would let go of the interpreter lock and wait for it
# as often, which with a busy event loop costs a hundred times the lookup itself. A task that waits and is not due is
# blocked.
LOAD = """
SELECT json_group_array(json_array(d.id, d.number, d.rev, d.deleted, d.ancestry, d.conflicts, d.worker, d.status,
                                   d.due IS NULL AND d.status IN ('waiting', 'schedule')))
FROM json_each(?) AS wanted CROSS JOIN document AS d ON d.id = wanted.value
"""

TALLY = """
INSERT INTO tally (worker, status, count) VALUES (?, ?, ?)
ON CONFLICT (worker, status) DO UPDATE SET count = count + excluded.count
"""

BLOCK = "INSERT INTO dependency (dependency, task) VALUES (?, ?)"
FREE = "DELETE FROM dependency WHERE task = ?"

WRITTEN = (
    "rev", "seq", "deleted", "ancestry", "conflicts",
    "worker", "status", "date", "due", "instance", "key", "place", "moved", "body",
)  # fmt: skip
"""The columns that every write sets."""

ROW = "id, rev, seq, deleted, body"
"""The columns of `rows.Row`."""

MAX_ROWS = 128
"""How many rows one INSERT or UPDATE carries. Several rows in one step, for the reason that LOAD gives."""


TOTALS = """
SELECT coalesce(sum(count) FILTER (WHERE status <> 'deleted'), 0),
       coalesce(sum(count) FILTER (WHERE status = 'deleted'), 0)
FROM tally
"""


def creation(uuid: str) -> str:
    """Make a new database, whole or not at all."""
    return f"""
BEGIN IMMEDIATE;
{SCHEMA}
INSERT INTO property VALUES ('uuid', '{uuid}');
PRAGMA user_version = {SCHEMA_VERSION};
PRAGMA application_id = {APPLICATION_ID};
COMMIT;
"""  # noqa: S608


@lru_cache(maxsize=2 * MAX_ROWS)
def insert(rows: int) -> str:
    """Insert `rows` new documents: `id` and then WRITTEN for each."""
    row = f"({', '.join('?' * (len(WRITTEN) + 1))})"
    return f"INSERT INTO document (id, {', '.join(WRITTEN)}) VALUES {', '.join([row] * rows)}"  # noqa: S608


@lru_cache(maxsize=2 * MAX_ROWS)
def update(rows: int) -> str:
    """Update `rows` documents: `number` and then WRITTEN for each."""
    if rows == 1:
        # Parameters are numbered so that the document's number comes first, as in the other form.
        fields = ", ".join(f"{name} = ?{place}" for place, name in enumerate(WRITTEN, 2))
        return f"UPDATE document SET {fields} WHERE number = ?1"  # noqa: S608
    row = f"({', '.join('?' * (len(WRITTEN) + 1))})"
    fields = ", ".join(f"{name} = new.column{place}" for place, name in enumerate(WRITTEN, 2))
    values = ", ".join([row] * rows)
    return f"UPDATE document SET {fields} FROM (VALUES {values}) AS new WHERE document.number = new.column1"  # noqa: S608


def sizes(rows: int) -> list[int]:
    """Split a number of rows into few different sizes, so that the statements stay in SQLite's cache."""
    parts, size = [], MAX_ROWS
    while rows:
        count, rows = divmod(rows, size)
        parts += [size] * count
        size //= 2
    return parts
