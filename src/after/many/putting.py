"""Putting tasks: through documents, on either engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from uuid_utils import uuid7

from after import lifecycle
from after.clock import Clock, now
from after.cycles import MAX_STEPS, cycle, told
from after.database import Database
from after.database.answers import Written
from after.errors import Conflict, InvalidTask, Refusal
from after.given import is_instant, resolved
from after.idempotence import difference
from after.task import Document, check_id, is_blocked

BULK = 1_000


async def put(
    database: Database, documents: Iterable[Mapping[str, Any]], clock: Clock, by: str
) -> list[Document | Refusal]:
    """Put tasks, given as documents; give for each, in order, the task as stored or why it was refused."""
    given = list(documents)
    made = await _without_circles(database, [_made(document, now(clock), by) for document in given])
    tasks = [task for task in made if not isinstance(task, Refusal)]
    answers: list[Written | Refusal] = []
    for start in range(0, len(tasks), BULK):
        answers += await database.write(tasks[start : start + BULK])
    answered = iter(zip(tasks, answers, strict=True))
    return [
        task if isinstance(task, Refusal) else await _stored(database, document, *next(answered))
        for document, task in zip(given, made, strict=True)
    ]


async def check_circle(database: Database, identity: str, after: Sequence[str]) -> None:
    """Raise `InvalidTask`, with the members, where a task that waits for these closes a circle of waiting tasks.

    Two who write at the same moment may still close one together; workers find it.
    """
    if identity not in after and not await database.view_keys("blocked", [[identity]]):
        return  # a task that nobody waits for is in no circle
    _refuse_circle(identity, after, await _waiting(database, after))


def _refuse_circle(identity: str, after: Sequence[str], waiting: Mapping[str, Sequence[str]]) -> None:
    circle = cycle(identity, after, lambda ids: {one: waiting[one] for one in ids if one in waiting})
    if circle is not None:
        raise InvalidTask("after", told(circle))


async def _waiting(database: Database, after: Sequence[str]) -> dict[str, list[str]]:
    """Give what these tasks wait for, and what those wait for, and so on, as far as it is blocked itself."""
    known: dict[str, list[str]] = {}
    level = sorted(set(after))
    seen = set(level)
    while level and len(seen) <= MAX_STEPS:
        found = await database.get_many(level)
        waits = {one: [*task["after"]] for one, task in found.items() if is_blocked(task)}
        known |= waits
        level = sorted({further for one in waits.values() for further in one} - seen)
        seen.update(level)
    return known


def _made(document: Mapping[str, Any], instant: int, by: str) -> Document | Refusal:
    identity = document.get("_id")
    try:
        given = {field: value for field, value in document.items() if field != "_id"}
        if given.get("date") is not None:
            given["date"] = resolved(given["date"], instant)
        identity = str(uuid7()) if identity is None else check_id(identity)
        return {"_id": identity, **lifecycle.create(given, instant, by)}
    except Refusal as error:
        return error


async def _without_circles(database: Database, made: list[Document | Refusal]) -> list[Document | Refusal]:
    """Refuse those of new tasks that would close a circle, seen one after another."""
    new = {task["_id"]: task for task in made if not isinstance(task, Refusal) and task.get("after")}
    if not new:
        return made
    awaited = {row.key[0] for row in await database.view_keys("blocked", [[identity] for identity in new])}
    awaited |= {one for task in new.values() for one in task["after"]}
    suspects = awaited & new.keys()
    if not suspects:
        return made
    waiting = await _waiting(database, [one for task in new.values() for one in task["after"] if one not in new])
    checked: list[Document | Refusal] = []
    for task in made:
        if isinstance(task, Refusal) or task["_id"] not in new:
            checked.append(task)
            continue
        try:
            if task["_id"] in suspects:
                _refuse_circle(task["_id"], task["after"], waiting)
            waiting[task["_id"]] = task["after"]
            checked.append(task)
        except InvalidTask as refusal:
            checked.append(refusal)
    return checked


async def _stored(
    database: Database, given: Mapping[str, Any], task: Document, answer: Written | Refusal
) -> Document | Refusal:
    if isinstance(answer, Written):
        return {**task, "_rev": answer.rev}
    if not isinstance(answer, Conflict):
        return answer
    stored = await database.get(task["_id"])
    field = difference(task, stored, task["date"] if is_instant(given.get("date")) else None)
    if field is not None:
        return Conflict(f"the task {task['_id']!r} exists and differs in {field!r}")
    return stored
