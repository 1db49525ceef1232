"""What goes into the store and what comes out of it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import Struct

from after.dates import parse_instant
from after.errors import Refusal
from after.status import ENDED, HELD, Role, Status
from after.task import Document, Fields


class Keys(NamedTuple):
    """What the store can find a task by; instants in ms since the epoch.

    `due` is None where no worker has to act, `instance` where none holds the task, `key` and `place` where it is in
    nobody's way. `moved` is 1 where the history may tell of earlier dates.
    """

    worker: str
    status: str
    date: int
    due: int | None
    instance: str | None = None
    key: str | None = None
    place: int | None = None
    moved: int | None = None

    def is_blocked(self) -> bool:
        """Tell whether the task waits for others to be done."""
        return self.due is None and self.status in _AT_ITS_DATE


NO_KEYS = (None,) * len(Keys._fields)
"""What stands in the place of keys in documents that are no tasks."""


class Edit(Struct, frozen=True, gc=False):
    """One document to write in the place of the revision `base`, or anew where that is None.

    `body` is `document` as JSON, without `_id` and `_rev`. The edit owns its document.
    With a `rev`, which a replication brings, it is that revision, whatever is there, and `ancestry` are the hashes of
    those before it, newest first, joined by commas. The edits `along` are taken with this one, in its commit, or not
    at all.
    """

    id: str
    base: str | None
    document: Document
    body: bytes
    keys: Keys | None
    deleted: bool = False
    role: Role = Role.CLIENT
    rev: str | None = None
    ancestry: str = ""
    along: tuple[Edit, ...] = ()


class Row(Struct, frozen=True, gc=False):
    """A document's winning revision as it is stored."""

    id: str
    rev: str
    seq: int
    deleted: bool
    body: bytes

    def json(self) -> bytes:
        """Give the document as JSON, `_id` and `_rev` first, without parsing it again."""
        deleted = b',"_deleted":true' if self.deleted else b""
        head = b'{"_id":%s,"_rev":"%s"%s' % (encode(self.id), self.rev.encode(), deleted)
        return head + (b"}" if self.body == b"{}" else b"," + self.body[1:])

    def document(self) -> Document:
        """Give the document as a dictionary, `_id` and `_rev` included."""
        document: Document = {"_id": self.id, "_rev": self.rev}
        if self.deleted:
            document["_deleted"] = True
        document.update(msgspec.json.decode(self.body))
        return document


class Change(Struct, frozen=True, gc=False):
    """A committed edit, as the changes feed tells it.

    `document` has its `_id`, `_rev` and, if so, `_deleted`. It may lack its `history`: that would be the most of it,
    and hardly a reader looks at it. `row.document()` has all.
    """

    row: Row
    document: Document


class Written(Struct, frozen=True, gc=False):
    """The answer to an edit that was taken."""

    id: str
    rev: str
    seq: int


Answer = Written | Refusal

encode = msgspec.json.Encoder().encode


def keys(fields: Fields, document: Document) -> Keys:
    """Give what a checked task is found by."""
    status = document.get("status") or "waiting"
    date = 0 if fields.date is None else parse_instant(fields.date)
    holder = fields.claim.instance if fields.claim is not None and status not in ENDED else None
    blocked = bool(fields.after) and not fields.ready and holder is None and status in _AT_ITS_DATE
    due = 0 if status in _AT_ONCE else date if status in _AT_ITS_DATE and not blocked else None
    key = None if blocked or status in ENDED else fields.key
    place = None if key is None else 0 if holder is not None or status in HELD else 1
    attempt = fields.attempt or 0
    moved = 1 if fields.repeat is not None or attempt > 1 or (attempt and status not in ENDED) else None
    return Keys(fields.worker, status, date, due, holder, key, place, moved)


# When a worker has to act on a task; on the others never.
_AT_ONCE = frozenset({Status.CANCEL.value, Status.RESCHEDULE.value})
_AT_ITS_DATE = frozenset({Status.WAITING.value, Status.SCHEDULE.value})
