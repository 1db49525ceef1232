"""Putting and changing tasks through the REST interface: what a posted document asks for, and what is stored of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from uuid_utils import uuid7

from after import lifecycle
from after.dates import format_instant, parse_elapsed
from after.errors import Conflict, InvalidTask, NotFound, Refusal
from after.idempotence import difference
from after.server.edits import edit
from after.server.rows import Answer, Edit, Row, Written
from after.server.store import Store
from after.status import Role, Status
from after.task import Document, check_id, checked, is_task

TRIES = 10
"""How often a change is decided anew because a worker wrote in between."""

CHANGES_ONLY = frozenset({Status.CANCEL, Status.RESCHEDULE, Status.DONE, Status.ERR})
"""With these a post changes a task that is there; a new one cannot begin so."""


class Post(NamedTuple):
    """What a client posted. `base` is the revision that it named, `dated` whether it gave an instant as the date."""

    id: str
    given: Document
    base: str | None
    dated: bool


class Taken(NamedTuple):
    """A post that was answered well: the task as it is stored now, and whether the post made it."""

    row: Row
    created: bool


def read(document: Document, identity: str | None, base: str | None, now: int) -> Post:
    """Read a posted document; the id and the revision may stand in it or beside it, and must agree.

    Raises `InvalidTask` for an id that a task cannot have, and `Conflict` for two revisions that differ.
    """
    given = document.copy()
    inside, rev = given.pop("_id", None), given.pop("_rev", None)
    if inside is not None and identity is not None and inside != identity:
        raise InvalidTask("_id", f"{inside!r} is not the id in the path, {identity!r}")
    if rev is not None and not isinstance(rev, str):
        raise InvalidTask("_rev", "expected `string`")
    if rev is not None and base is not None and rev != base:
        raise Conflict("_rev and If-Match name different revisions")
    identity = inside if identity is None else identity
    date = given.get("date")
    relative = False
    if isinstance(date, str) and date.startswith("P"):
        relative = True
        given["date"] = format_instant(now + checked("date", parse_elapsed, date))
    return Post(
        str(uuid7()) if identity is None else check_id(identity),
        given,
        rev if base is None else base,
        date is not None and not relative,
    )


async def post(store: Store, posts: Sequence[Post | Refusal], now: int) -> list[Taken | Refusal]:
    """Do what was posted, the new tasks in one write; give for each, in order, what became of it."""
    outcomes: list[Taken | Refusal | None] = [one if isinstance(one, Refusal) else None for one in posts]
    edits: list[Edit] = []
    places: list[int] = []
    for place, one in enumerate(posts):
        if isinstance(one, Refusal) or one.given.get("status") in CHANGES_ONLY:
            continue
        try:
            edits.append(edit(lifecycle.create(one.given, now), one.id, one.base, Role.CLIENT))
            places.append(place)
        except Refusal as error:
            outcomes[place] = error
    answers = await store.write(edits) if edits else []
    for place, made, answer in zip(places, edits, answers, strict=True):
        outcomes[place] = _created(made, answer)
    for place, one in enumerate(posts):
        if not isinstance(one, Refusal) and (outcomes[place] is None or isinstance(outcomes[place], Conflict)):
            outcomes[place] = await _existing(store, one, now)
    return [outcome for outcome in outcomes if outcome is not None]


def _created(made: Edit, answer: Answer) -> Taken | Refusal:
    if isinstance(answer, Written):
        return Taken(Row(made.id, answer.rev, answer.seq, False, made.body), True)
    return answer


async def _existing(store: Store, one: Post, now: int) -> Taken | Refusal:
    """Answer a post to an id that is there already: the same task again, or a change of it."""
    try:
        if one.given.get("status") in (None, Status.WAITING):
            return _again(store, one)
        return await _change(store, one, now)
    except Refusal as error:
        return error


def _again(store: Store, one: Post) -> Taken:
    row = task_row(store, one.id)
    field = difference(one.given, row.document(), created_date(one))
    if field is not None:
        raise Conflict(
            f"{field}: the task {one.id!r} exists and differs here; to change it, post a status such as 'reschedule'"
        )
    if one.base not in (None, row.rev):
        raise Conflict("Document update conflict.")
    return Taken(row, False)


def created_date(one: Post) -> str | None:
    """Give the date that a post would have made its task with, None where it said no instant."""
    return lifecycle.create(one.given, 0)["date"] if one.dated else None


async def _change(store: Store, one: Post, now: int) -> Taken | Refusal:
    for _ in range(TRIES):
        row = task_row(store, one.id)
        if one.base not in (None, row.rev):
            raise Conflict("Document update conflict.")
        changes = {field: value for field, value in one.given.items() if field != "status"}
        changed = lifecycle.apply(row.document(), lifecycle.Requested(one.given["status"], changes), now)
        made = edit(changed, one.id, row.rev, Role.CLIENT)
        (answer,) = await store.write([made])
        if isinstance(answer, Written):
            return Taken(Row(made.id, answer.rev, answer.seq, False, made.body), False)
        if not isinstance(answer, Conflict) or one.base is not None:
            return answer
    raise Conflict(f"the task {one.id!r} changes too fast")


def task_row(store: Store, identity: str) -> Row:
    """Give a task as it is stored; raise `NotFound` where there is none."""
    row = store.get(identity)
    if row is None or row.deleted:
        raise NotFound(f"there is no task {identity!r}")
    if not is_task(row.document()):
        raise NotFound(f"{identity!r} is not a task")
    return row
