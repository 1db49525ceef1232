"""Applying a group of edits to the database: what each finds, whether it may, and what is stored in the end."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable

import msgspec

from after.errors import Conflict, Forbidden
from after.server import sql
from after.server.revision import extended, following
from after.server.rows import NO_KEYS, Answer, Change, Edit, Keys, Row, Written
from after.status import refused
from after.task import Document


class State(msgspec.Struct):
    """A document as it stands while the group is applied; `number` is its row, None before it has one."""

    id: str
    number: int | None = None
    rev: str | None = None
    deleted: bool = False
    ancestry: str = ""
    conflicts: int = 0
    worker: str | None = None
    status: str | None = None
    seq: int = 0
    keys: Keys | tuple[None, ...] = NO_KEYS
    body: bytes = b""

    def counted(self) -> tuple[str, str]:
        """Give the row of the tally that counts this document."""
        if self.worker is not None and self.status is not None:
            return self.worker, self.status
        return "", "deleted" if self.deleted else "document"

    def columns(self) -> tuple[object, ...]:
        """Give the values of `sql.WRITTEN`."""
        return (self.rev, self.seq, self.deleted, self.ancestry, self.conflicts, *self.keys, self.body)


_LOADED = msgspec.json.Decoder(list[tuple[str, int, str, int, str, int, str | None, str | None]])


class Group:
    """Edits that share one transaction. An edit sees what those before it in the group have written."""

    def __init__(self, connection: sqlite3.Connection, seq: int, ids: Iterable[str]) -> None:
        self.seq = seq
        self._connection = connection
        self._states = self._load(list(ids))
        self._tally: Counter[tuple[str, str]] = Counter()
        self._written: dict[str, Change] = {}

    def edit(self, edit: Edit) -> Answer:
        """Take one edit, or say why not; nothing is stored before `store`."""
        state = self._states.get(edit.id)
        current = None if state is None or (state.deleted and edit.base is None) else state.rev
        if edit.base != current:
            return Conflict("Document update conflict.")
        if edit.keys is not None:
            old = None if state is None or state.deleted else state.status
            if reason := refused(old, edit.keys.status, edit.role):
                return Forbidden(reason)
        if state is None:
            state = self._states[edit.id] = State(edit.id)
        return self._advance(state, edit)

    def store(self) -> list[Change]:
        """Write what was taken, in few statements, and give the changes in order of seq."""
        rows = [self._states[identity] for identity in self._written]
        self._execute(sql.insert, [(state.id, *state.columns()) for state in rows if state.number is None])
        self._execute(sql.update, [(state.number, *state.columns()) for state in rows if state.number is not None])
        moved = [(*key, count) for key, count in self._tally.items() if count]
        self._connection.executemany(sql.TALLY, moved)
        return sorted(self._written.values(), key=lambda change: change.row.seq)

    def _load(self, ids: list[str]) -> dict[str, State]:
        (found,) = self._connection.execute(sql.LOAD, (msgspec.json.encode(ids).decode(),)).fetchone()
        return {
            identity: State(identity, number, rev, bool(deleted), ancestry, conflicts, worker, status)
            for identity, number, rev, deleted, ancestry, conflicts, worker, status in _LOADED.decode(found)
        }

    def _advance(self, state: State, edit: Edit) -> Written:
        if state.rev is not None:
            self._tally[state.counted()] -= 1
        rev = following(state.rev, edit.deleted, edit.body)
        if state.rev is not None:
            state.ancestry = extended(state.ancestry, state.rev)
        self.seq += 1
        state.rev, state.seq, state.deleted, state.body = rev, self.seq, edit.deleted, edit.body
        state.keys = edit.keys or NO_KEYS
        state.worker, state.status = state.keys[:2]
        self._tally[state.counted()] += 1
        self._written.pop(edit.id, None)
        self._written[edit.id] = Change(Row(edit.id, rev, self.seq, edit.deleted, edit.body), _whole(edit, rev))
        return Written(edit.id, rev, self.seq)

    def _execute(self, statement: sql.Statement, rows: list[tuple[object, ...]]) -> None:
        start = 0
        for size in sql.sizes(len(rows)):
            values = [value for row in rows[start : start + size] for value in row]
            self._connection.execute(statement(size), values)
            start += size


def _whole(edit: Edit, rev: str) -> Document:
    """Give the document of an edit as readers see it: in place, since nobody else needs it any more."""
    document = edit.document
    document["_id"], document["_rev"] = edit.id, rev
    if edit.deleted:
        document["_deleted"] = True
    return document
