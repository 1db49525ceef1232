"""The losing leaves of documents in conflict, read where a group of edits meets one, and stored with the group."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

import msgspec

from after.errors import BadRequest
from after.server.leaves import Leaf, rank
from after.server.rows import Keys, keys
from after.task import Document, check, is_task


class Loser(NamedTuple):
    """A losing leaf and what stands in it."""

    leaf: Leaf
    body: bytes

    def document(self) -> Document:
        """Give what stands in it, without `_id` and `_rev`."""
        return decode(self.body)


decode = msgspec.json.Decoder(Document).decode


class Losers:
    """The losing leaves of all documents of a group. Hardly any has one, so they are read when they are asked for."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[str, list[Loser]] = {}
        self._changed: set[str] = set()

    def of(self, identity: str) -> list[Loser]:
        """Give the losing leaves of a document, the next winner first."""
        if identity not in self._known:
            found = self._connection.execute("SELECT rev, deleted, ancestry, body FROM leaf WHERE id = ?", (identity,))
            losers = [Loser(Leaf(rev, bool(deleted), ancestry), body) for rev, deleted, ancestry, body in found]
            self._known[identity] = sorted(losers, key=lambda loser: rank(loser.leaf), reverse=True)
        return self._known[identity]

    def put(self, identity: str, losers: list[Loser]) -> None:
        """Set the losing leaves of a document."""
        self._known[identity] = losers
        self._changed.add(identity)

    def store(self) -> None:
        """Write those that were set."""
        rows = [
            (identity, leaf.rev, leaf.deleted, leaf.ancestry, body)
            for identity in self._changed
            for leaf, body in self._known[identity]
        ]
        self._connection.executemany("DELETE FROM leaf WHERE id = ?", [(identity,) for identity in self._changed])
        self._connection.executemany("INSERT INTO leaf VALUES (?, ?, ?, ?, ?)", rows)

    def body(self, identity: str) -> bytes:
        """Give the body of the winner, as it was stored before this group."""
        (body,) = self._connection.execute("SELECT body FROM document WHERE id = ?", (identity,)).fetchone()
        return bytes(body)


def keys_of(document: Document, *, deleted: bool) -> Keys | None:
    """Give what a stored document is found by; None where it is no task, or one that would be refused by now."""
    if deleted or not is_task(document):
        return None
    try:
        return keys(check(document), document)
    except BadRequest:
        return None


def status_of(document: Document, *, deleted: bool) -> str | None:
    """Give the status that a change of a stored document starts from."""
    found = keys_of(document, deleted=deleted)
    return None if found is None else found.status
