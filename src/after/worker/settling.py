"""Settling conflicting revisions of tasks, and of the documents that tell of workers."""

from __future__ import annotations

import logging
from collections.abc import Collection

from after.conflicts import Resolution, ranked, resolve
from after.database.answers import Written
from after.database.database import Database
from after.task import Document, is_task
from after.worker.holdings import Holdings

logger = logging.getLogger(__name__)

PAGE = 500
MAX_SETTLED = 250
"""How many conflicts are settled in one go."""


class Settling:
    """Looks for conflicts among what belongs to a worker's name, and settles them as `after.conflicts` says."""

    def __init__(self, database: Database, name: str, instance: str, holdings: Holdings) -> None:
        self._database = database
        self._name = name
        self._instance = instance
        self._holdings = holdings

    async def look(self, living: Collection[str]) -> None:
        """Settle what conflicts, given the other processes of the name that live."""
        found = await self._database.leaves(await self._conflicting())
        writes: list[tuple[Document, list[str]]] = []
        gone: list[Document] = []
        for identity, leaves in found.items():
            if len(leaves) < 2 or self._holdings.writing(identity):
                continue  # what changes just now is looked at next time
            resolution = self._resolve(identity, leaves, living)
            if resolution.drops:
                self._holdings.let_go(identity)
            if resolution.write is None:
                gone += _deletions(identity, resolution.delete)
            elif not self._holdings.merge(resolution.write):
                writes.append((resolution.write, resolution.delete))
        if writes:
            answers = await self._database.write([document for document, _ in writes])
            for (document, losers), answer in zip(writes, answers, strict=True):
                # Somebody else may have written first, or the cluster not be certain: then the next look goes on.
                if isinstance(answer, Written) and not answer.accepted:
                    logger.warning("task %s: %s", document["_id"], document["history"][-1]["note"])
                    gone += _deletions(document["_id"], losers)
        if gone:
            await self._database.write(gone)

    async def _conflicting(self) -> list[str]:
        """Give the ids of documents in conflict that belong to this worker's name, at most MAX_SETTLED."""
        found: list[str] = []
        async for page in self._database.pages("conflicts", startkey=[""], size=PAGE):
            found += [row.id for row in page if row.value == self._name]
            if len(found) >= MAX_SETTLED:
                break
        return found[:MAX_SETTLED]

    def _resolve(self, identity: str, leaves: list[Document], living: Collection[str]) -> Resolution:
        winner, *losers = ranked(leaves)
        if not is_task(winner):
            return Resolution(None, [leaf["_rev"] for leaf in losers])  # the next heartbeat, or a client, says it anew
        return resolve(leaves, self._instance, living, self._holdings.leaf(identity))


def _deletions(identity: str, revs: list[str]) -> list[Document]:
    return [{"_id": identity, "_rev": rev, "_deleted": True} for rev in revs]
