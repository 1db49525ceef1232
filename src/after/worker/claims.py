"""Claiming tasks: many in one write, whose revisions decide which of them are ours."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable

from after.clock import Clock, now
from after.database.answers import Written
from after.database.database import Database
from after.errors import AfterError, Conflict, Refusal, Unavailable, Unreachable
from after.events import Claimed
from after.lifecycle import apply
from after.task import Document
from after.worker.held import order

logger = logging.getLogger(__name__)

MAX_BATCH = 500
MAX_CANDIDATES = 5_000
"""How many found tasks wait to be claimed; those beyond stay in the database, and are found again."""
BACKOFF = 1.0
AGAIN = "claimed again: the first claim was not certain"


class Claims:
    """Found tasks, in order of date, and the writes that claim them.

    `room(due)` says for how many more tasks there is room, that are due now or later; `claimed` gets each task that is
    ours, under its new revision; `failed` hears that tasks were let go and have to be found again.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        instance: str,
        room: Callable[[bool], int],
        claimed: Callable[[Document], None],
        failed: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._instance = instance
        self._room = room
        self._claimed = claimed
        self._failed = failed
        self._candidates: list[tuple[tuple[int, int, str], Document]] = []
        self._known: dict[str, str] = {}
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.under_way: frozenset[str] = frozenset()
        """The ids of those whose claim is being written."""

    def start(self) -> None:
        """Begin to claim."""
        self._task = asyncio.create_task(self._work(), name="claims")

    async def stop(self) -> None:
        """End after the write that is under way, so that it is known what is ours."""
        task, self._task = self._task, None
        if task is not None:
            self._candidates.clear()
            self._known.clear()
            self._wanted.set()
            await task

    def add(self, document: Document) -> bool:
        """Take in a task that is to be claimed; False where it has to stay in the database for want of room."""
        if self._task is None or self._known.get(document["_id"]) == document["_rev"]:
            return True
        if len(self._candidates) >= MAX_CANDIDATES:
            return False
        self._known[document["_id"]] = document["_rev"]
        heapq.heappush(self._candidates, (order(document), document))
        self._wanted.set()
        return True

    def forget(self, identity: str) -> None:
        """Do not claim a task after all."""
        self._known.pop(identity, None)

    def look(self) -> None:
        """See whether there is room again."""
        if self._candidates:
            self._wanted.set()

    def __len__(self) -> int:
        return len(self._candidates)

    async def _work(self) -> None:
        while self._task is not None:
            await self._wanted.wait()
            self._wanted.clear()
            while batch := self._take():
                self.under_way = frozenset(document["_id"] for document in batch)
                try:
                    await self._claim(batch)
                except Exception as error:
                    if isinstance(error, AfterError):
                        logger.warning("%d tasks could not be claimed: %s", len(batch), error)
                    else:
                        logger.exception("claiming %d tasks failed", len(batch))
                    self._failed()
                    await asyncio.sleep(BACKOFF)
                finally:
                    self.under_way = frozenset()
                    for document in batch:
                        self._known.pop(document["_id"], None)

    def _take(self) -> list[Document]:
        """Take the tasks to claim now, in order; what is due now needs a place to run, the rest only memory."""
        instant = now(self._clock)
        places, memory = self._room(True), self._room(False)
        batch: list[Document] = []
        while self._candidates and len(batch) < min(MAX_BATCH, memory):
            key, document = self._candidates[0]
            if key[0] <= instant:
                if places <= 0:
                    break
                places -= 1
            heapq.heappop(self._candidates)
            if self._known.get(document["_id"]) == document["_rev"]:
                batch.append(document)
        return batch

    async def _claim(self, batch: list[Document]) -> None:
        event, instant = Claimed(self._instance), now(self._clock)
        again = Claimed(self._instance, AGAIN)
        claims = [apply(document, again if document.get("claim") else event, instant) for document in batch]
        for document, claim, answer in zip(batch, claims, await self._write(claims), strict=True):
            if isinstance(answer, Written):
                # A claim of which a cluster is not certain is none, until it is found to stand alone and made again.
                if not answer.accepted or document.get("claim"):
                    claim["_rev"] = answer.rev
                    self._claimed(claim)
            elif isinstance(answer, Unavailable):
                self._failed()
            elif not isinstance(answer, Conflict):
                logger.error("the engine refuses the claim of %s: %s", claim["_id"], answer.reason)

    async def _write(self, claims: list[Document]) -> list[Written | Refusal]:
        """Write claims until they are answered: they may be ours already, if only the answer was lost."""
        again = False
        while True:
            try:
                return await self._database.write(claims, again=again)
            except (Unreachable, Unavailable) as error:
                if self._task is None:
                    raise
                logger.warning("%d tasks could not be claimed: %s; trying again", len(claims), error)
                again = True
                await asyncio.sleep(BACKOFF)
