"""The worker: what starts and stops the parts that find, claim, run and record, and looks after them meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from after.clock import Clock, SystemClock
from after.database.database import Database
from after.errors import AfterError, NotFound
from after.jobs.job import Job
from after.jobs.logs import capturing
from after.scheduler import Scheduler
from after.task import Document, holder_of
from after.worker.finder import Finder
from after.worker.holdings import Holdings
from after.worker.presence import Presence, control_id, new_instance
from after.worker.rescue import Rescue
from after.worker.settling import Settling

logger = logging.getLogger(__name__)

CHORE_SECONDS = 5.0
MAX_STRANGERS = 1_000
"""How many claims on this process that it does not hold are looked at in one go."""
STOP_SECONDS = 1.0
"""How long jobs may take to end when their worker stops before they are done."""
FLUSH_SECONDS = 10.0
"""How long the last outcomes may take to be written when a worker stops."""


class Worker:
    """Runs the tasks of one worker name with these jobs, until it is stopped.

    `concurrency` is how many jobs run at once; `grace` how many seconds running jobs may take to end when the worker
    stops. `run` starts it and returns when it has stopped.
    """

    def __init__(
        self,
        name: str,
        jobs: Mapping[str, Job],
        database: Database,
        *,
        concurrency: int = 100,
        grace: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency: expected 1 or more, got {concurrency}")
        clock = clock or SystemClock()
        self.name = name
        self.instance = new_instance()
        self.ready = asyncio.Event()
        """Set when the worker has started."""
        self._database = database
        self._jobs = jobs
        self._grace = grace
        self._concurrency = concurrency
        self._state = "running"
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._scheduler = Scheduler(clock=clock)
        self._holdings = Holdings(
            name, self.instance, jobs, database, self._scheduler, clock, concurrency,
            safe=self._safe, fenced=self._fenced, missed=self._missed, roomy=self._roomy,
        )  # fmt: skip
        self._finder = Finder(
            database, clock, name, offer=self._hear, deleted=self._holdings.deleted, full=self._holdings.full
        )
        self._presence = Presence(database, clock, name, self.instance, self._describe)
        self._rescue = Rescue(database, clock, name, self.instance)
        self._settling = Settling(database, name, self.instance, self._holdings)

    def stop(self) -> None:
        """Begin to stop: claim nothing more, give back what has not begun, let running jobs end. Twice: at once."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop` is called or the database says so; raise `AfterError` where the start fails."""
        with capturing():
            await self._run()

    async def _run(self) -> None:
        async with self._scheduler:
            since = (await self._database.info())["update_seq"]
            await self._database.view("due", limit=0, update=False)  # is this a database of After's at all?
            await self._presence.start()
            try:
                await self._work(since)
            finally:
                self._state = "stopped"
                await self._presence.stop()

    async def _work(self, since: object) -> None:
        await self._hear_control()
        self._holdings.outbox.start()
        self._holdings.claims.start()
        self._holdings.keys.start()
        self._holdings.dependencies.start()
        await self._look_after_claims()
        self._finder.start(since)
        await self._holdings.dependencies.sweep()
        chores = asyncio.create_task(self._chores(), name="chores")
        self.ready.set()
        logger.info("worker %s started as %s with %d jobs", self.name, self.instance, len(self._jobs))
        try:
            await self._stopping.wait()
        finally:
            chores.cancel()
            await asyncio.gather(chores, return_exceptions=True)
            await self._drain()

    async def _drain(self) -> None:
        self._state, self._holdings.accepting = "draining", False
        runs = self._holdings.runs
        logger.info("worker %s stops; %d jobs are still running", self.name, runs.running)
        await self._finder.stop()
        await self._holdings.claims.stop()
        await self._holdings.keys.stop()
        self._holdings.give_back("its worker was stopped")
        ended = asyncio.create_task(runs.wait())
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({ended, hurry}, timeout=self._grace, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not ended.done():
            logger.warning("%d jobs are stopped before their end", runs.running)
            runs.cancel()
            await asyncio.wait({ended}, timeout=STOP_SECONDS)
            runs.cancel(again=True)
            await asyncio.wait({ended}, timeout=STOP_SECONDS)  # what does not end now ends with this process
        await self._holdings.outbox.stop(FLUSH_SECONDS)
        await self._holdings.dependencies.stop()

    def _hear(self, document: Document) -> None:
        if document["_id"] == control_id(self.name):
            self._control(document)
        elif self._state != "draining":
            self._holdings.offer(document)

    def _control(self, document: Document) -> None:
        """A client pauses, resumes or stops the worker."""
        stop = document.get("stop")
        if isinstance(stop, str) and stop >= self._presence.started:
            self.stop()
        if self._state not in ("running", "paused"):
            return
        state = "paused" if document.get("paused") else "running"
        if state != self._state:
            logger.info("worker %s is %s: %s", self.name, state, document.get("note") or "no note")
        self._state, self._holdings.accepting = state, state == "running"
        if state == "paused":
            self._holdings.give_back("its worker is paused")
        self._finder.look()

    def _safe(self) -> bool:
        """Tell whether this process may claim tasks: the others know that it lives, and its clock is right."""
        return not (self._presence.fenced or self._presence.skewed)

    def _fenced(self) -> bool:
        return self._presence.fenced

    def _missed(self) -> None:
        self._finder.unfinished = True

    def _roomy(self) -> None:
        if self._finder.unfinished:
            self._finder.look()

    async def _chores(self) -> None:
        while True:
            await asyncio.sleep(CHORE_SECONDS)
            self._holdings.runs.fill()
            self._holdings.claims.look()
            try:
                await self._look_after_claims()
                await self._holdings.dependencies.sweep()
            except AfterError as error:
                logger.warning("looking after the claims of this worker failed: %s", error)
            except Exception:
                logger.exception("looking after the claims of this worker failed")

    async def _look_after_claims(self) -> None:
        """Settle conflicts, give back the tasks of processes that are gone, take up those that are ours unknowingly."""
        # What is held or being claimed before and after the look is no stranger: its claim may be not answered yet.
        known = self._busy()
        orphans, ours = await self._rescue.look()
        await self._settling.look(self._rescue.living)
        for task in orphans:
            if task["_id"] not in self._holdings:
                self._holdings.rescue(task)
        strangers = list(ours - known - self._busy())[:MAX_STRANGERS]
        for identity, leaves in (await self._database.leaves(strangers)).items():
            # With a conflict it may be another's, whose claim is certain; that has to be settled first.
            if len(leaves) == 1 and holder_of(leaves[0]) == self.instance and identity not in self._busy():
                self._holdings.take_up(leaves[0])

    def _busy(self) -> set[str]:
        return self._holdings.ids() | self._holdings.claims.under_way

    async def _hear_control(self) -> None:
        try:
            self._control(await self._database.get(control_id(self.name)))
        except NotFound:
            return

    def _describe(self) -> Document:
        return {
            "state": self._state,
            "jobs": sorted(self._jobs),
            "concurrency": self._concurrency,
            "running": self._holdings.runs.running,
            "held": len(self._holdings),
            "counters": dict(self._holdings.counts),
        }
