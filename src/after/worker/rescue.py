"""Giving back the tasks of processes that are gone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from itertools import islice

from after.clock import Clock
from after.database.answers import ViewRow
from after.database.database import Database
from after.errors import Refusal
from after.task import Document, holder_of
from after.worker.presence import LOST_AFTER, control_id, machine

LIVE_STATES = frozenset({"running", "paused", "draining"})
PAGE = 250
ROWS = 1_000
"""Rows without documents that are read at once."""


class Rescue:
    """Watches the other processes of a name, and says which tasks nobody who lives holds.

    Whether a process lives is judged by watching its document change on our own monotonic clock; two machines' wall
    clocks are never compared. On the same machine a process that is not there is lost at once.
    """

    def __init__(self, database: Database, clock: Clock, name: str, instance: str) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._instance = instance
        self._seen: dict[str, tuple[str, float]] = {}
        self.living: set[str] = set()
        """The other processes of this name that live, as of the last look."""

    async def look(self) -> tuple[list[Document], set[str]]:
        """Give tasks of processes that are gone, at most PAGE, and the ids of all that the database says are ours.

        Marks processes that are gone as lost, for everyone to see.
        """
        documents = await self._others()
        known = {document["instance"] for document in documents}
        ours: set[str] = set()
        held = []
        async for row in self._held():
            if row.key[1] == self._instance:
                ours.add(row.id)
            else:
                held.append(row)
        # On a cluster a view may know a task before it knows the process that holds it.
        documents += await self._unknown({row.key[1] for row in held} - known)
        self.living = await self._living(documents)
        holders = {row.id: row.key[1] for row in held if row.key[1] not in self.living}
        holders = dict(islice(holders.items(), PAGE))
        found = await self._database.get_many(list(holders))
        orphans = [task for identity, task in found.items() if holder_of(task) == holders[identity]]
        return orphans, ours

    async def _held(self) -> AsyncIterator[ViewRow]:
        start: dict[str, object] = {"startkey": [self._name]}
        while True:
            rows = await self._database.view("held", **start, endkey=[self._name, {}], limit=ROWS)
            for row in rows:
                yield row
            if len(rows) < ROWS:
                return
            start = {"startkey": rows[-1].key, "startkey_docid": rows[-1].id}

    async def _others(self) -> list[Document]:
        rows = await self._database.view("workers", startkey=[self._name], endkey=[self._name, {}], include_docs=True)
        return [row.doc for row in rows if row.doc is not None and row.doc.get("instance") != self._instance]

    async def _unknown(self, instances: set[str]) -> list[Document]:
        found = await self._database.get_many([f"{control_id(self._name)}:{instance}" for instance in instances])
        return list(found.values())

    async def _living(self, documents: list[Document]) -> set[str]:
        living = {str(document["instance"]): document for document in documents if self._lives(document)}
        lost = [
            {**document, "state": "lost"}
            for document in documents
            if document.get("state") in LIVE_STATES and document["instance"] not in living
        ]
        if lost:
            answers = await self._database.write(lost)
            # Who wrote in between lives; who could not be marked is judged again next time.
            living |= {
                document["instance"]: document
                for document, answer in zip(lost, answers, strict=True)
                if isinstance(answer, Refusal)
            }
        return set(living)

    def _lives(self, document: Mapping[str, object]) -> bool:
        if document.get("state") not in LIVE_STATES:
            return False
        if document.get("machine") == machine() and not _runs(document.get("pid")):
            return False
        instant, instance, rev = self._clock.monotonic(), str(document["instance"]), str(document["_rev"])
        known = self._seen.get(instance)
        if known is None or known[0] != rev:
            self._seen[instance] = (rev, instant)
            return True
        return instant - known[1] <= LOST_AFTER


def _runs(pid: object) -> bool:
    """Tell whether another process of this machine has this id."""
    if not isinstance(pid, int) or pid <= 0 or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
