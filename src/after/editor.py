"""Changing many tasks at once: reading them, deciding in `after.editing`, and writing them, on whatever keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from after import editing
from after.clock import Clock, now
from after.editing import Edit
from after.errors import Conflict, NotFound, Refusal
from after.task import Document, is_task

TRIES = 10
"""How often a change is decided anew when somebody else was faster."""
BATCH = 500
"""Tasks read, decided and written at once."""


class Keeper(Protocol):
    """What keeps the tasks: the store of the embedded engine, or a database behind a URL."""

    async def read(self, identities: Sequence[str]) -> dict[str, Document]:
        """Give those of the documents that exist, by id."""
        ...

    async def write(self, documents: Sequence[Document]) -> list[Refusal | None]:
        """Write documents, each in the place of its `_rev`; give for each, in order, why it was refused, if it was."""
        ...


class Editor:
    """Does one edit, batch by batch. `lines` tells what became of each task so far, by id."""

    def __init__(self, edit: Edit, keeper: Keeper, clock: Clock, by: str = "client", *, dry_run: bool = False) -> None:
        self._edit = edit
        self._keeper = keeper
        self._clock = clock
        self._by = by
        self._dry_run = dry_run
        self.lines: dict[str, Document] = {}
        self.at_once = 0
        """How many tasks are worked on now."""

    async def run(self, identities: Sequence[str]) -> None:
        """Edit those of the tasks with these ids that are meant."""
        for start in range(0, len(identities), BATCH):
            batch = identities[start : start + BATCH]
            self.at_once = len(batch)
            await self._batch(batch)
            await asyncio.sleep(0)

    async def _batch(self, identities: Sequence[str]) -> None:
        found = await self._keeper.read(identities)
        if self._edit.ids is not None:
            for identity in identities:
                if identity not in found:
                    self._refuse(identity, NotFound(f"there is no task {identity!r:.80}"))
        meant = [found[one] for one in identities if one in found and self._is_meant(found[one])]
        changed: dict[str, Document] = {}
        late = await self._write(meant, changed)
        for _ in range(TRIES):
            if not late:
                return
            late = await self._write(await self._anew(late, changed), changed, again=True)
        for identity in late:
            self._refuse(identity, Conflict(f"the task {identity!r:.80} changes too fast"))

    def _is_meant(self, task: Document) -> bool:
        # Who names a document that is no task is told so.
        return self._edit.fits(task) or (self._edit.ids is not None and not is_task(task))

    async def _write(
        self, tasks: Sequence[Document], changed: dict[str, Document], *, again: bool = False
    ) -> list[str]:
        """Decide and write; give the ids of those where somebody else was faster. `changed` keeps what was written."""
        decide, instant = editing.again if again else editing.edited, now(self._clock)
        decided: list[tuple[Document, Document]] = []
        for task in tasks:
            try:
                decided.append((task, decide(self._edit, task, instant, self._by)))
            except Refusal as error:
                self._refuse(task["_id"], error)
        changed |= {task["_id"]: made for task, made in decided}
        answers = [None] * len(decided) if self._dry_run else await self._store([made for _, made in decided])
        late: list[str] = []
        for (task, made), refusal in zip(decided, answers, strict=True):
            if isinstance(refusal, Conflict):
                late.append(task["_id"])
            elif refusal is not None:
                self._refuse(task["_id"], refusal)
            else:
                self.lines[task["_id"]] = editing.told(task, made)
        return late

    async def _store(self, documents: Sequence[Document]) -> list[Refusal | None]:
        return await self._keeper.write(documents) if documents else []

    async def _anew(self, identities: Sequence[str], changed: dict[str, Document]) -> list[Document]:
        """Read once more what was changed by somebody else, and tell of what is gone or was changed by us after all."""
        found = await self._keeper.read(identities)
        tasks: list[Document] = []
        for identity in identities:
            task = found.get(identity)
            if task is None:
                self._refuse(identity, NotFound(f"the task {identity!r:.80} was deleted meanwhile"))
            elif changed[identity]["history"][-1] in (task.get("history") or ()):
                # Ours was taken and its answer lost: a date that moved once must not move twice.
                self.lines[identity] = editing.told(task, changed[identity])
            else:
                tasks.append(task)
        return tasks

    def _refuse(self, identity: str, error: Refusal) -> None:
        self.lines[identity] = editing.not_told(identity, error)
