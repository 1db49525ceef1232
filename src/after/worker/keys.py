"""Tasks that share a key run one at a time, in order of date, however many processes their worker has.

Only the first open task of a key, by date, is ever claimed, and only while no other of that key is held. Two processes
may still claim two tasks of one key at the same moment, where an earlier one has just been put. Therefore who has
claimed one looks again: where another is held as well, the claim is given back. Both may do so; then the first is tried
again, and it alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from after.clock import Clock, now
from after.database.answers import Written
from after.database.database import Database
from after.errors import AfterError
from after.events import Claimed
from after.lifecycle import apply
from after.task import Document
from after.worker.held import order

logger = logging.getLogger(__name__)

BACKOFF = 1.0
SHARED = "another task of its key is held, or comes first"


class Keys:
    """The keys of the tasks that were found, and which task of each this process holds.

    `ripe(task)` says whether a task may be claimed now, `claimed` gets each that is ours and alone, `refused` each that
    is ours and has to be given back.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        name: str,
        instance: str,
        *,
        ripe: Callable[[Document], bool],
        claimed: Callable[[Document], None],
        refused: Callable[[Document], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._instance = instance
        self._ripe, self._claimed, self._refused = ripe, claimed, refused
        self._held: dict[str, Document] = {}
        self._wanted: set[str] = set()
        self._overtaken: set[str] = set()
        self._doubted: list[Document] = []
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to claim."""
        self._task = asyncio.create_task(self._work(), name="keys")

    async def stop(self) -> None:
        """End; a claim under way is found by the look after one's own claims, here or after the next start."""
        task, self._task = self._task, None
        if task is not None:
            self._awake.set()
            await task

    def offer(self, task: Document) -> Document | None:
        """Take in a task that was found; give the one in whose place it has to run first, where that is held."""
        held = self._held.get(task["key"])
        if held is None:
            self._wanted.add(task["key"])
            self._awake.set()
            return None
        if order(task) >= order(held):
            return None
        self._overtaken.add(task["key"])
        return held

    def verify(self, task: Document) -> None:
        """Take in a task that was claimed in another way, and let it run only if it is alone."""
        self._held[task["key"]] = task
        self._doubted.append(task)
        self._awake.set()

    def forget(self, task: Document) -> None:
        """Hear that a task is held no more: the next of its key may be claimed."""
        held = self._held.get(task.get("key", ""))
        if held is not None and held["_id"] == task["_id"]:
            del self._held[task["key"]]
            self._overtaken.discard(task["key"])
            self._wanted.add(task["key"])
            self._awake.set()

    async def _work(self) -> None:
        while self._task is not None:
            await self._awake.wait()
            self._awake.clear()
            wanted, self._wanted = self._wanted, set()
            doubted, self._doubted = self._doubted, []
            try:
                await self._settle(doubted)
                await self._claim([task for key in wanted if (task := await self._first(key)) is not None])
            except Exception as error:
                if isinstance(error, AfterError):
                    logger.warning("tasks with keys could not be claimed: %s", error)
                else:
                    logger.exception("tasks with keys could not be claimed")
                self._doubted += [task for task in doubted if self._held.get(task["key"]) is task]
                await asyncio.sleep(BACKOFF)  # what was wanted is found again by the next scan
                if self._doubted:
                    self._awake.set()

    async def _first(self, key: str) -> Document | None:
        """Give the first open task of a key where it may be claimed."""
        if key in self._held:
            return None
        rows = await self._database.view(
            "keyed", startkey=[self._name, key], endkey=[self._name, key, {}], limit=1, include_docs=True
        )
        if not rows or rows[0].key[2] == 0 or rows[0].doc is None:
            return None
        task = rows[0].doc
        return task if task.get("key") == key and self._ripe(task) else None

    async def _claim(self, tasks: list[Document]) -> None:
        if not tasks or self._task is None:
            return
        claims = [apply(task, Claimed(self._instance), now(self._clock)) for task in tasks]
        answers = await self._database.write(claims)
        ours: list[Document] = []
        for claim, answer in zip(claims, answers, strict=True):
            if isinstance(answer, Written) and not answer.accepted:
                claim["_rev"] = answer.rev
                self._held[claim["key"]] = claim
                ours.append(claim)
        await self._settle(ours)

    async def _settle(self, tasks: list[Document]) -> None:
        """Let those of our tasks run that are the only ones held of their key."""
        for task in tasks:
            rows = await self._database.view(
                "keyed", startkey=[self._name, task["key"], 0], endkey=[self._name, task["key"], 0, {}]
            )
            alone = all(row.id == task["_id"] for row in rows)
            # While this was asked an earlier one may have come.
            (self._claimed if alone and task["key"] not in self._overtaken else self._refused)(task)
