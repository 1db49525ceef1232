"""Changing many tasks in a database behind a URL: what `POST /tasks/_edit` does, through documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from after import editing
from after.clock import Clock, now
from after.database import Database
from after.dates import format_duration
from after.editing import Edit
from after.editor import Editor
from after.errors import AfterError, BadRequest, InvalidTask, Refusal, Unreachable
from after.many.ranges import FLOW, pages, views
from after.task import Document


def shift(by: object) -> str | None:
    """Give a length of time, which may be negative, as it is written in an edit."""
    if isinstance(by, timedelta):
        ms = round(by.total_seconds() * 1000)
        return f"{'-' if ms < 0 else ''}{format_duration(abs(ms))}"
    if not isinstance(by, str | None):
        raise InvalidTask("by", f"expected `string`, got {type(by).__name__}")
    return by


async def edit(
    database: Database, asked: Mapping[str, Any], ids: Sequence[str] | None, limit: int | None, clock: Clock, by: str
) -> Document:
    """Edit the tasks that fit, of `ids` where there are any; give the answer. At most `limit`, None for all.

    They are all found before the first of them is changed, so that none is met twice on its way to another date.
    """
    if limit is not None and limit < 1:
        raise BadRequest(f"limit: expected a number from 1, got {limit!r}")
    given = {**asked, "filter": {**asked["filter"], "ids": None if ids is None else []}}
    wanted, _ = editing.read(given, now(clock))
    identities = list(dict.fromkeys(ids)) if ids is not None else await _selected(database, wanted)
    editor = Editor(wanted, _Keeper(database), clock, by, dry_run=bool(asked["dry_run"]))
    try:
        await editor.run(identities[:limit])
    except (Unreachable, Refusal) as error:
        raise _interrupted(error, editor) from error
    return editing.answer(editor.lines.values(), dry_run=bool(asked["dry_run"]))


def _interrupted(error: AfterError, editor: Editor) -> AfterError:
    """Say how far an edit went: to move dates once more by the same is not the same."""
    changed = sum("error" not in line for line in editor.lines.values())
    told = f"{error}; {changed} tasks were changed before, of the next {editor.at_once} it is not known"
    return Unreachable(told) if isinstance(error, Unreachable) else type(error)(told)


async def _selected(database: Database, wanted: Edit) -> list[str]:
    """Give the ids of the tasks that fit, by date.

    A task that changes its status between two reads may be missed, so they are read again until nothing new comes.
    """
    found: dict[str, int] = {}
    while True:
        count = len(found)
        for status in sorted(wanted.statuses, key=FLOW.index):
            for view, prefix in views(wanted.worker, status):
                async for row in pages(
                    database, view, prefix, wanted.low, wanted.high, include_docs=wanted.tag is not None
                ):
                    if wanted.tag is None or (row.doc is not None and wanted.fits(row.doc)):
                        found[row.id] = row.key[-1]
        if len(found) == count or len(wanted.statuses) == 1:
            return sorted(found, key=lambda identity: (found[identity], identity))


class _Keeper:
    """A database, as what edits many tasks wants it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, identities: Sequence[str]) -> dict[str, Document]:
        """Give the documents that there are."""
        return await self._database.get_many([*identities])

    async def write(self, documents: Sequence[Document]) -> list[Refusal | None]:
        """Write documents."""
        answers = await self._database.write(documents)
        return [answer if isinstance(answer, Refusal) else None for answer in answers]
