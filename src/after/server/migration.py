"""Bringing a database file of an earlier version of After to the schema of this one."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator

from after.errors import AfterError
from after.server import sql
from after.server.losers import decode, keys_of
from after.server.writer import transaction

logger = logging.getLogger(__name__)

CHUNK = 1_000
"""Documents that are read before those of them that matter are written."""

# The fields that a task without new columns does not have, as the one encoder of bodies writes them. A field of the
# user's own that is called so deeper inside costs a look, no more.
_TELLING = " OR ".join(f"instr(body, CAST('\"{field}\":' AS BLOB))" for field in ("attempt", "repeat", "after", "key"))
_NEXT = f"""
SELECT number, id, body FROM document
WHERE number > ? AND status IS NOT NULL AND ({_TELLING}) ORDER BY number LIMIT {CHUNK}
"""  # noqa: S608
_FILL = "UPDATE document SET due = ?, key = ?, place = ?, moved = ? WHERE number = ?"


def migrate(connection: sqlite3.Connection, path: object) -> None:
    """Bring the file to the schema of today, whole or not at all; raise `AfterError` where that cannot be."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == sql.SCHEMA_VERSION:
        return
    if version != 1:
        raise AfterError(f"{path} has the schema {version}, this After reads {sql.SCHEMA_VERSION}")
    logger.info("%s is brought from the schema 1 to %d", path, sql.SCHEMA_VERSION)
    with transaction(connection):
        for column in sql.ADDED_COLUMNS:
            connection.execute(f"ALTER TABLE document ADD COLUMN {column}")
        for statement in sql.ADDED:
            connection.execute(statement)
        _fill(connection)
        connection.execute(f"PRAGMA user_version = {sql.SCHEMA_VERSION}")


def _fill(connection: sqlite3.Connection) -> None:
    """Fill what is new from the documents themselves."""
    for chunk in _chunks(connection):
        rows, awaited = [], []
        for number, identity, body in chunk:
            document = decode(body)
            keys = keys_of(document, deleted=False)
            if keys is None:
                continue
            rows.append((keys.due, keys.key, keys.place, keys.moved, number))
            if keys.is_blocked():
                awaited += [(one, identity) for one in dict.fromkeys(document["after"])]
        connection.executemany(_FILL, rows)
        connection.executemany(sql.BLOCK, awaited)


def _chunks(connection: sqlite3.Connection) -> Iterator[list[tuple[int, str, bytes]]]:
    last = 0
    while chunk := connection.execute(_NEXT, (last,)).fetchall():
        yield chunk
        last = chunk[-1][0]
