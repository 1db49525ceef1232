"""What a posted document asks for: a new task, the same one again, or a change of one that exists."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from uuid_utils import uuid7

from after import lifecycle
from after.clock import Clock, now
from after.cycles import told
from after.dates import format_instant, parse_elapsed, parse_instant
from after.errors import BadRequest, Conflict, Forbidden, InvalidTask, NotFound, Refusal
from after.events import Requested
from after.idempotence import difference
from after.server.edits import edit
from after.server.rows import Edit, Keys, Row, encode
from after.server.sql import ROW
from after.server.store import Store
from after.server.waiting import Waiting, may_close
from after.status import NEW_BY_CLIENT, Role, Status, refused
from after.task import WORKER_FIELDS, Document, check_id, checked, is_task

TRIES = 10
"""How often a change is decided anew when somebody else was faster."""
BATCH = 250
"""Documents checked without letting the event loop go on."""
ANY = "*"
"""The revision that a client names when it wants the task to exist, in whatever revision."""
_WORKER_ONLY = frozenset({Status.SCHEDULED, Status.RUNNING, Status.CANCELED})
_OF_EXISTING = frozenset(Status) - NEW_BY_CLIENT
"""With these nothing is made anew, so that the task has to be read first."""
_NEEDED = frozenset({"worker", "job"})
_KEYED = frozenset({"repeat", "after", "key"})
"""A new task without these is found by its worker, status and date alone."""


class Post(Struct, frozen=True, gc=False):
    """A document as a client gave it, its date resolved, without `_id` and `_rev`.

    `rev` is the revision that the client names. `dated` tells that it gave an instant: a duration from now means
    another one each time.
    """

    id: str
    fields: Document
    rev: str | None
    dated: bool


class Stored(Struct, frozen=True, gc=False):
    """The task as it stands after a post; `created` where it was not there before."""

    row: Row
    created: bool


Outcome = Stored | Refusal


def read(document: Document, instant: int, identity: str | None = None, rev: str | None = None) -> Post:
    """Read a decoded document, which is changed by this; `identity` and `rev` are what path and header say.

    Raises `BadRequest`, mostly as `InvalidTask`, where it is not one that a client may send.
    """
    inside = document.pop("_id", None)
    if inside is None:
        identity = str(uuid7()) if identity is None else check_id(identity)
    elif identity is None or inside == identity:
        identity = check_id(inside)
    else:
        raise InvalidTask("_id", f"{inside!r:.80} is not the id in the path")
    if "_rev" in document:
        rev = _revision(document.pop("_rev"), rev)
    if "\n_" in "\n" + "\n".join(document):  # one search instead of a look at every field
        field = next(field for field in document if field.startswith("_") or "\n_" in field)
        raise BadRequest(f"{field}: a field must not begin with '_'")
    after = document.get("after")
    if isinstance(after, list) and identity in after:
        raise InvalidTask("after", told([identity]))
    date = document.get("date")
    if isinstance(date, str) and date[:1] == "P":
        document["date"] = _from_now(date, instant)
        return Post(identity, document, rev, dated=False)
    return Post(identity, document, rev, date is not None)


def _revision(inside: Any, named: str | None) -> str | None:
    if inside is None:
        return named
    if not isinstance(inside, str):
        raise InvalidTask("_rev", "expected a revision, as a string")
    if named not in (None, ANY, inside):
        raise InvalidTask("_rev", "differs from the revision in If-Match")
    return inside


def _from_now(duration: str, instant: int) -> str:
    try:
        return format_instant(instant + checked("date", parse_elapsed, duration))
    except ValueError as error:
        raise InvalidTask("date", str(error)) from None


class Posting:
    """Puts what was posted into the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def put(self, posts: Sequence[Post]) -> list[Outcome]:
        """Store new tasks and changed ones; give for each post, in order, what became of it.

        What may be new is written without looking first, so that the usual case costs one write and no read.
        """
        outcomes: dict[int, Outcome] = {}
        late = await self._create(posts, outcomes)
        for _ in range(TRIES):
            if not late:
                break
            late = await self._change(posts, late, outcomes)
        for place in late:
            outcomes[place] = Conflict(f"the task {posts[place].id!r} changes too fast")
        return [outcomes[place] for place in range(len(posts))]

    async def _create(self, posts: Sequence[Post], outcomes: dict[int, Outcome]) -> list[int]:
        """Write what may be new; give the places of what is not, or may not be."""
        instant = now(self._clock)
        late: list[int] = []
        new: dict[int, Edit] = {}
        waiting = Waiting(self._store)
        for place, post in enumerate(posts):
            if place % BATCH == BATCH - 1:
                await asyncio.sleep(0)
            try:
                if post.rev is not None or _wants_reading(post.fields):
                    late.append(place)
                else:
                    made = _creation(post, instant)
                    if may_close(post.fields, made.document):
                        waiting.add(made)
                    new[place] = made
            except Refusal as refusal:
                outcomes[place] = refusal
        return sorted(late + await self._write(new, outcomes))

    async def _change(self, posts: Sequence[Post], places: list[int], outcomes: dict[int, Outcome]) -> list[int]:
        """Decide by what is stored, and write that; give the places where somebody else was faster."""
        changed: dict[int, Edit] = {}
        waiting = Waiting(self._store)
        for place in places:
            if place % BATCH == BATCH - 1:
                await asyncio.sleep(0)
            post = posts[place]
            try:
                decision = _decided(post, self._store.get(post.id), now(self._clock))
                if isinstance(decision, Edit) and may_close(post.fields, decision.document):
                    waiting.add(decision)
            except Refusal as refusal:
                outcomes[place] = refusal
                continue
            if isinstance(decision, Row):
                outcomes[place] = Stored(decision, created=False)
            else:
                changed[place] = decision
        return await self._write(changed, outcomes)

    async def _write(self, new: dict[int, Edit], outcomes: dict[int, Outcome]) -> list[int]:
        if not new:
            return []
        late: list[int] = []
        answers = await self._store.write(list(new.values()))
        for (place, made), answer in zip(new.items(), answers, strict=True):
            if isinstance(answer, Conflict):
                late.append(place)
            elif isinstance(answer, Refusal):
                outcomes[place] = answer
            else:
                row = Row(made.id, answer.rev, answer.seq, False, made.body)
                outcomes[place] = Stored(row, made.base is None)
        return late


def _wants_reading(fields: Document) -> bool:
    status = fields.get("status")
    if status == Status.SCHEDULE and not fields.keys() >= _NEEDED:
        return True  # what has ended is to run once more
    return (isinstance(status, str) and status in _OF_EXISTING) or not WORKER_FIELDS.isdisjoint(fields)


def _creation(post: Post, instant: int) -> Edit:
    """Give the edit of a new task, which `lifecycle.create` has checked already."""
    task = lifecycle.create(post.fields, instant)
    if not _KEYED.isdisjoint(task):
        return edit(task, post.id, None, Role.CLIENT)
    date = parse_instant(task["date"])
    return Edit(post.id, None, task, encode(task), Keys(task["worker"], task["status"], date, date))


def _decided(post: Post, row: Row | None, instant: int) -> Edit | Row:
    """Give what to write, or the row where nothing is to be written; raise `Refusal` where the post may not be."""
    status = post.fields.get("status")
    asked = status if isinstance(status, str) else None
    if row is None or row.deleted:
        return _anew(post, asked, instant)
    task = row.document()
    if not is_task(task):
        raise Conflict(f"the document {post.id!r} exists and is not a task")
    if post.rev not in (None, ANY, row.rev):
        raise Conflict(f"_rev: {post.rev!r:.80} is not the current revision of {post.id!r}")
    if asked in _WORKER_ONLY:
        old = task.get("status") or Status.WAITING.value
        reason = refused(old, str(asked), Role.CLIENT)
        raise Forbidden(reason or f"status: {asked!r} is set by workers only, also where it is {old!r}")
    if asked == Status.SCHEDULE or asked in _OF_EXISTING:
        return _requested(post, row, task, instant)
    return _repeated(post, row, task, instant)


def _anew(post: Post, asked: str | None, instant: int) -> Edit:
    if asked in _OF_EXISTING and asked not in _WORKER_ONLY:
        raise NotFound(f"there is no task {post.id!r} that could become {asked!r}")
    if post.rev is not None:
        raise Conflict(f"_rev: there is no task {post.id!r}, so that no revision of it is current")
    return _creation(post, instant)


def _requested(post: Post, row: Row, task: Document, instant: int) -> Edit | Row:
    if all(_stands(field, value, task) for field, value in post.fields.items()):
        return row
    changed = lifecycle.apply(task, Requested(post.fields["status"], post.fields), instant)
    return edit(changed, row.id, row.rev, Role.CLIENT)


def _stands(field: str, value: Any, task: Document) -> bool:
    """Tell whether a field is already as a client wants it."""
    stored = task.get(field)
    if field != "date" or not isinstance(value, str) or not isinstance(stored, str):
        return bool(value == stored)
    return checked("date", parse_instant, value) == parse_instant(stored)


def _repeated(post: Post, row: Row, task: Document, instant: int) -> Row:
    """A client that heard no answer asks again: the same task changes nothing, another one is refused."""
    own = {name: value for name, value in post.fields.items() if name not in WORKER_FIELDS or value != task.get(name)}
    made = lifecycle.create(own, instant)  # for its checks
    field = difference(own, task, made["date"] if post.dated else None)
    if field is None:
        return row
    raise Conflict(
        f"{field}: the task {post.id!r} exists with another {field}; "
        "to change it, post what is to change with the status 'reschedule'"
    )


def task_row(store: Store, identity: str) -> Row:
    """Give a task as it is stored; raise `NotFound` where there is none."""
    found = store.select(f"SELECT {ROW} FROM document WHERE id = ? AND status IS NOT NULL", (identity,))  # noqa: S608
    if not found:
        raise NotFound(f"there is no task {identity!r:.80}")
    return Row(*found[0])


def named(header: str | None) -> str | None:
    """Give the revision that the header If-Match names (RFC 9110, 13.1.1)."""
    return None if header is None else header.strip().removeprefix("W/").strip('"')
