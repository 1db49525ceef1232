"""Applying a group of edits to the database: what each finds, whether it may, and what is stored in the end."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable

import msgspec

from after.errors import Conflict, Forbidden
from after.server import sql
from after.server.leaves import Leaf, merged
from after.server.losers import Loser, Losers, decode, keys_of, status_of
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
    blocked: bool = False
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

    def leaf(self) -> Leaf:
        """Give the winner, of a document that has one."""
        assert self.rev is not None
        return Leaf(self.rev, self.deleted, self.ancestry)


_LOADED = msgspec.json.Decoder(list[tuple[str, int, str, int, str, int, str | None, str | None, int | None]])


class Group:
    """Edits that share one transaction. An edit sees what those before it in the group have written."""

    def __init__(self, connection: sqlite3.Connection, seq: int, ids: Iterable[str]) -> None:
        self.seq = seq
        self._connection = connection
        self._states = self._load(list(ids))
        self._tally: Counter[tuple[str, str]] = Counter()
        self._written: dict[str, Change] = {}
        self._losers = Losers(connection)
        self._awaited: dict[str, Iterable[str]] = {}

    def edit(self, edit: Edit) -> Answer:
        """Take one edit, and those along with it, or say why not; nothing is stored before `store`."""
        answer = self._edit(edit)
        if edit.along and isinstance(answer, Written):
            for one in edit.along:
                self._edit(one)
        return answer

    def store(self) -> list[Change]:
        """Write what was taken, in few statements, and give the changes in order of seq."""
        rows = [self._states[identity] for identity in self._written]
        self._execute(sql.insert, [(state.id, *state.columns()) for state in rows if state.number is None])
        self._execute(sql.update, [(state.number, *state.columns()) for state in rows if state.number is not None])
        moved = [(*key, count) for key, count in self._tally.items() if count]
        self._connection.executemany(sql.TALLY, moved)
        self._losers.store()
        if self._awaited:
            self._store_awaited()
        return sorted(self._written.values(), key=lambda change: change.row.seq)

    def _edit(self, edit: Edit) -> Answer:
        state = self._states.get(edit.id)
        if edit.rev is not None:
            return self._take(state, edit, Leaf(edit.rev, edit.deleted, edit.ancestry))
        if state is not None and state.conflicts:
            return self._edit_in_conflict(state, edit)
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

    def _load(self, ids: list[str]) -> dict[str, State]:
        (found,) = self._connection.execute(sql.LOAD, (msgspec.json.encode(ids).decode(),)).fetchone()
        return {
            identity: State(identity, number, rev, bool(deleted), ancestry, conflicts, worker, status, bool(blocked))
            for identity, number, rev, deleted, ancestry, conflicts, worker, status, blocked in _LOADED.decode(found)
        }

    def _advance(self, state: State, edit: Edit) -> Written:
        """Put an edit in the place of the only leaf there is."""
        rev = following(state.rev, edit.deleted, edit.body)
        ancestry = extended(state.ancestry, state.rev) if state.rev is not None else ""
        self._win(state, (rev, edit.deleted, ancestry), edit.body, edit.document, edit.keys)
        return Written(edit.id, rev, self.seq)

    def _edit_in_conflict(self, state: State, edit: Edit) -> Answer:
        """Take an edit of a document with several leaves, any of which it may be based on."""
        winner = state.leaf()
        if edit.base == winner.rev or (edit.base is None and state.deleted):
            base, old = winner, None if state.deleted else state.status
        else:
            found = next((loser for loser in self._losers.of(edit.id) if loser.leaf.rev == edit.base), None)
            if found is None:
                return Conflict("Document update conflict.")
            base, old = found.leaf, status_of(found.document(), deleted=found.leaf.deleted)
        if edit.keys is not None and (reason := refused(old, edit.keys.status, edit.role)):
            return Forbidden(reason)
        rev = following(base.rev, edit.deleted, edit.body)
        return self._take(state, edit, Leaf(rev, edit.deleted, extended(base.ancestry, base.rev)))

    def _take(self, state: State | None, edit: Edit, new: Leaf) -> Written:
        """Take a revision that has its place already, beside those that are known, and choose the winner anew."""
        if state is None:
            state = self._states[edit.id] = State(edit.id)
            self._win(state, new, edit.body, edit.document, edit.keys)
            return Written(edit.id, new.rev, self.seq)
        losers = self._losers.of(edit.id) if state.conflicts else []
        before = [state.leaf(), *(loser.leaf for loser in losers)]
        first, *others = merged(before, new)
        if [first, *others] == before:
            return Written(edit.id, new.rev, state.seq)
        bodies = {new.rev: edit.body} | {loser.leaf.rev: loser.body for loser in losers}
        if state.rev in (first.rev, *(leaf.rev for leaf in others)):
            bodies[before[0].rev] = self._body(state)
        if losers or others:
            self._losers.put(edit.id, [Loser(leaf, bodies[leaf.rev]) for leaf in others])
            state.conflicts = len(others)
        if first.rev == new.rev and new.rev not in (leaf.rev for leaf in before):
            self._win(state, first, edit.body, edit.document, edit.keys)
        else:
            document = decode(bodies[first.rev])
            self._win(state, first, bodies[first.rev], document, keys_of(document, deleted=first.deleted))
        return Written(edit.id, new.rev, self.seq)

    def _body(self, state: State) -> bytes:
        return state.body if state.id in self._written else self._losers.body(state.id)

    def _win(
        self, state: State, leaf: tuple[str, bool, str], body: bytes, document: Document, keys: Keys | None
    ) -> None:
        """Make a leaf the winner of its document, and tell the feed."""
        if state.rev is not None:
            self._tally[state.counted()] -= 1
        self.seq += 1
        rev, deleted, ancestry = leaf
        state.rev, state.deleted, state.ancestry = rev, deleted, ancestry
        state.seq, state.body, state.keys = self.seq, body, keys or NO_KEYS
        state.worker, state.status = state.keys[:2]
        blocked = keys is not None and keys.is_blocked()
        if blocked or state.blocked:
            self._awaited[state.id] = dict.fromkeys(document["after"]) if blocked else ()
            state.blocked = blocked
        self._tally[state.counted()] += 1
        self._written.pop(state.id, None)
        row = Row(state.id, rev, self.seq, deleted, body)
        self._written[state.id] = Change(row, _told(document, row))

    def _execute(self, statement: sql.Statement, rows: list[tuple[object, ...]]) -> None:
        start = 0
        for size in sql.sizes(len(rows)):
            values = [value for row in rows[start : start + size] for value in row]
            self._connection.execute(statement(size), values)
            start += size

    def _store_awaited(self) -> None:
        """Set what those tasks wait for that are blocked, or were."""
        self._connection.executemany(sql.FREE, [(identity,) for identity in self._awaited])
        rows = [(one, identity) for identity, awaited in self._awaited.items() for one in awaited]
        self._connection.executemany(sql.BLOCK, rows)


def _told(document: Document, row: Row) -> Document:
    """Give a document as `Change` has it: in place, since nobody else needs it any more."""
    document.pop("history", None)
    document["_id"], document["_rev"] = row.id, row.rev
    if row.deleted:
        document["_deleted"] = True
    return document
