"""Tasks that wait for others to be done: freeing those that may run, failing those that never will.

A task with `after` is in nobody's way while it waits: no scan for due tasks finds it. Who has recorded the end of a
task looks in the view `blocked` for those that wait for it. What is missed so, because a client settled a task or a
process died in between, the worker of the waiting task finds when it looks through its own from time to time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from after.clock import Clock, now
from after.database.answers import Written
from after.database.database import Database
from after.errors import AfterError
from after.events import Ended, Freed
from after.lifecycle import apply
from after.outcome import failed
from after.status import ENDED, Status
from after.step import status_of
from after.task import Document, is_blocked

logger = logging.getLogger(__name__)

BATCH = 500
PAGE = 1_000
MAX_ROWS = 100_000
"""How many dependencies a sweep reads."""
SWEEP_SECONDS = 10.0
BACKOFF = 1.0
DELETED = "deleted"
"""What stands in the place of a status for a task that was there and was deleted."""


def decided(task: Document, statuses: Mapping[str, str | None], instance: str) -> Freed | Ended | None:
    """Say what becomes of a waiting task, given the statuses of those that it waits for; None while it has to wait.

    A task that is not there, None, may still come.
    """
    waits = False
    for identity in task["after"]:
        status = statuses.get(identity)
        if status == Status.DONE:
            continue
        if status == DELETED or status in ENDED:
            how = "was deleted" if status == DELETED else f"is {status}"
            return Ended(instance, failed("DependencyFailed", f"after: {identity!r} {how}", final=True))
        waits = True
    return None if waits else Freed(instance)


def cycle_among(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Find tasks that wait for each other in a circle, given pairs of a task and one that it waits for; [] for none."""
    graph: dict[str, set[str]] = {}
    for identity, dependency in rows:
        graph.setdefault(identity, set()).add(dependency)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))[:-1]
    return []


class Dependencies:
    """Looks after the tasks that wait for others, as far as this process hears of them."""

    def __init__(self, database: Database, clock: Clock, name: str, instance: str) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._instance = instance
        self._found: dict[str, Document] = {}
        self._ended: set[str] = set()
        self._known = False
        self._swept: float | None = None
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.create_task(self._work(), name="dependencies")

    async def stop(self) -> None:
        """End; what was not looked at is found by the next sweep of whichever process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def offer(self, task: Document) -> None:
        """Take in a task that waits for others."""
        self._known = True
        self._found[task["_id"]] = task
        self._wanted.set()

    def ended(self, identity: str) -> None:
        """Hear that the end of a task is recorded."""
        if self._known:
            self._ended.add(identity)
            self._wanted.set()

    async def sweep(self) -> None:
        """Look, now and then, through the waiting tasks of this worker; note whether there are any at all."""
        instant = self._clock.monotonic()
        if self._swept is not None and instant - self._swept < SWEEP_SECONDS:
            return
        self._swept = instant
        rows: list[tuple[str, str, object]] = []
        async for page in self._database.pages("blocked", startkey=[""], size=PAGE):
            rows += [(row.id, row.key[0], row.value) for row in page]
            if len(rows) >= MAX_ROWS:
                break
        self._known = bool(rows)
        cycle = cycle_among((identity, dependency) for identity, dependency, _ in rows)
        own = {identity for identity, _, worker in rows if worker == self._name}
        await self._break(cycle, own)
        await self._look(await self._read(own.difference(cycle)))

    async def results(self, identities: Iterable[str]) -> dict[str, object]:
        """Give the results of tasks, by id, however long the database takes to tell them."""
        while True:
            try:
                return {one: task.get("result") for one, task in (await self._read(identities)).items()}
            except AfterError as error:
                logger.warning("results that a task needs cannot be read: %s; trying again", error)
                await asyncio.sleep(BACKOFF)

    async def _work(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            ended, self._ended = self._ended, set()
            found, self._found = self._found, {}
            try:
                if ended:
                    found |= await self._read(await self._waiting_for(ended))
                await self._look(found)
            except Exception as error:
                if isinstance(error, AfterError):
                    logger.warning("tasks that wait for others could not be looked at: %s; trying again", error)
                else:
                    logger.exception("tasks that wait for others could not be looked at")
                self._ended |= ended
                await asyncio.sleep(BACKOFF)
                self._wanted.set()

    async def _waiting_for(self, ended: set[str]) -> set[str]:
        rows = await self._database.view_keys("blocked", [[identity] for identity in sorted(ended)])
        return {row.id for row in rows}

    async def _read(self, identities: Iterable[str]) -> dict[str, Document]:
        wanted = sorted(identities)
        found: dict[str, Document] = {}
        for start in range(0, len(wanted), BATCH):
            found |= await self._database.get_many(wanted[start : start + BATCH])
        return found

    async def _look(self, found: Mapping[str, Document]) -> None:
        tasks = [task for task in found.values() if is_blocked(task) and status_of(task) in _MAY_BE_BLOCKED]
        statuses = await self._statuses({identity for task in tasks for identity in task["after"]})
        events = [(task, decided(task, statuses, self._instance)) for task in tasks]
        await self._write([(task, event) for task, event in events if event is not None])

    async def _statuses(self, identities: set[str]) -> dict[str, str | None]:
        statuses: dict[str, str | None] = {}
        wanted = sorted(identities)
        for start in range(0, len(wanted), BATCH):
            for row in await self._database.all_of(wanted[start : start + BATCH]):
                gone = isinstance(row.value, dict) and row.value.get("deleted")
                statuses[row.key] = DELETED if gone else None if row.doc is None else status_of(row.doc)
        return statuses

    async def _break(self, cycle: list[str], own: set[str]) -> None:
        """Fail the tasks of this worker that wait for each other in a circle, for that no one of them will ever run."""
        if not cycle:
            return
        circle = ", which waits for ".join(repr(identity) for identity in cycle[1:] + cycle[:1])
        outcome = failed("DependencyCycle", f"after: {cycle[0]!r} waits for {circle}", final=True)
        tasks = await self._read(own.intersection(cycle))
        await self._write([(task, Ended(self._instance, outcome)) for task in tasks.values() if is_blocked(task)])

    async def _write(self, events: list[tuple[Document, Freed | Ended]]) -> None:
        """Write what was decided. Where somebody else was faster, the feed or the next sweep tells of it again."""
        for start in range(0, len(events), BATCH):
            told = [apply(task, event, now(self._clock)) for task, event in events[start : start + BATCH]]
            for task, answer in zip(told, await self._database.write(told), strict=True):
                if isinstance(answer, Written) and task["status"] in ENDED:
                    self.ended(task["_id"])


_MAY_BE_BLOCKED = frozenset({Status.WAITING, Status.SCHEDULE})
