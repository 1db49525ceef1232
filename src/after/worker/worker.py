"""The worker: the parts that find, claim, run and record, and what each tells the others."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping

from after.clock import Clock, SystemClock, now
from after.database.database import Database
from after.errors import AfterError, NotFound
from after.jobs.job import Job
from after.lifecycle import Ended, Lost, Released
from after.outcome import Stopped
from after.scheduler import Scheduler
from after.status import ENDED, HELD, Status
from after.task import Document, call, due, is_task
from after.worker.claims import Claims
from after.worker.finder import HORIZON, Finder
from after.worker.held import Held, generation
from after.worker.outbox import Outbox
from after.worker.plan import Plan, plan
from after.worker.presence import Presence, control_id, new_instance
from after.worker.rescue import Rescue, holder_of
from after.worker.runs import Runs

logger = logging.getLogger(__name__)

MAX_HELD = 20_000
"""How many tasks are in memory at the most; the others wait in the database."""
MAX_DUE = 4_096
"""How many tasks are claimed at the most before there is a place to run them."""
HIGH_CLAIMS, LOW_CLAIMS = 1_024, 256
"""Between how many tasks found and not yet claimed the scan stops and goes on."""
CHORE_SECONDS = 5.0


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
        self.name = name
        self.instance = new_instance()
        self.ready = asyncio.Event()
        """Set when the worker has started."""
        self._database = database
        self._clock = clock = clock or SystemClock()
        self._jobs = jobs
        self._grace = grace
        self._state = "running"
        self._counts: Counter[str] = Counter()
        self._held: dict[str, Held] = {}
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._started = now(clock)
        self._scheduler = Scheduler(clock=clock)
        self._outbox = Outbox(database, clock, written=self._written, overtaken=self._overtaken)
        self._claims = Claims(
            database, clock, self.instance, room=self._room, claimed=self._claimed, failed=self._missed
        )
        self._runs = Runs(
            jobs, clock, self.instance, concurrency,
            started=self._outbox.put_soon, ended=self._outbox.put, said=self._outbox.put_soon,
        )  # fmt: skip
        self._finder = Finder(database, clock, name, offer=self._offer, deleted=self._deleted, full=self._full)
        self._presence = Presence(database, clock, name, self.instance, self._describe)
        self._rescue = Rescue(database, clock, name, self.instance)
        self._recent = (clock.monotonic(), 0, 0)

    def stop(self) -> None:
        """Begin to stop: claim nothing more, give back what has not begun, let running jobs end. Twice: at once."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop` is called or the database says so; raise `AfterError` where the start fails."""
        async with self._scheduler:
            since = (await self._database.info())["update_seq"]
            await self._hear_control()
            await self._presence.start()
            self._outbox.start()
            self._claims.start()
            await self._look_after_claims()
            self._finder.start(since)
            chores = asyncio.create_task(self._chores(), name="chores")
            self.ready.set()
            logger.info("worker %s started as %s with %d jobs", self.name, self.instance, len(self._jobs))
            await self._stopping.wait()
            await self._drain(chores)

    async def _drain(self, chores: asyncio.Task[None]) -> None:
        self._state = "draining"
        logger.info("worker %s stops; %d jobs are still running", self.name, self._runs.running)
        chores.cancel()
        await asyncio.gather(chores, return_exceptions=True)
        await self._finder.stop()
        await self._claims.stop()
        self._runs.give_up()
        for held in list(self._held.values()):
            if held.run is None and held.answer is None:
                self._answer(held, Released(self.instance, "its worker was stopped"))
        await self._wait_for_runs()
        await self._outbox.stop(1.0 if self._hurry.is_set() else 10.0)
        self._state = "stopped"
        await self._presence.stop()

    async def _wait_for_runs(self) -> None:
        runs = asyncio.create_task(self._runs.wait())
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({runs, hurry}, timeout=self._grace, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not runs.done():
            logger.warning("%d jobs are stopped before their end", self._runs.running)
            self._runs.cancel()
        await asyncio.wait({runs}, timeout=self._grace)

    # What the parts tell

    def _offer(self, document: Document) -> None:
        """A document came from the feed or a scan."""
        if document["_id"] == control_id(self.name):
            self._control(document)
            return
        if document.get("worker") != self.name or not is_task(document):
            return
        held = self._held.get(document["_id"])
        if held is not None:
            self._hear(held, document)
            return
        if self._state != "draining":
            self._decide(document)

    def _decide(self, document: Document) -> None:
        decision = plan(document, now(self._clock), self._horizon(), self.instance, self._jobs)
        if decision is Plan.CLAIM:
            if not self._claims.add(document):
                self._missed()
            return
        self._claims.forget(document["_id"])
        if not isinstance(decision, Plan):
            self._answer(self._hold(document), decision)

    def _missed(self) -> None:
        """A task has to be found again later."""
        self._finder.unfinished = True

    def _deleted(self, identity: str) -> None:
        self._claims.forget(identity)
        if (held := self._held.get(identity)) is not None:
            logger.info("task %s was deleted while it was held", identity)
            self._drop(held)

    def _claimed(self, document: Document) -> None:
        held = self._hold(document)
        if self._state == "draining":
            self._answer(held, Released(self.instance, "its worker was stopped"))
        elif due(document) <= now(self._clock):
            self._runs.add(held)
        else:
            held.timer = self._scheduler.at(due(document), self._runs.add, held)

    def _written(self, held: Held) -> None:
        """A report was taken."""
        if held.document["status"] not in HELD:
            self._ended(held)
        elif held.answer is not None:
            self._outbox.put(held)
        if (newer := held.newer) is not None and not held.dropped:
            held.newer = None
            self._offer(newer)

    def _overtaken(self, held: Held, document: Document | None) -> None:
        """Somebody else's revision of a task stands in the place of ours."""
        if document is None or holder_of(document) != self.instance:
            if held.started is not None:
                logger.warning("task %s is not ours any more; what was to be written of it is dropped", held.id)
            self._drop(held)
            if document is not None:
                self._offer(document)
        elif isinstance(held.answer, Ended) and document["status"] not in ENDED:
            held.document = document
            self._outbox.put(held)
        else:
            self._hear(held, document)

    def _hear(self, held: Held, document: Document) -> None:
        """A newer revision of a task that we hold: a client asks for something, or has ended it."""
        if generation(document) <= generation(held.document):
            return
        if held.sent is not None:
            held.newer = document  # perhaps it is our own write; its answer will tell
            return
        status = document.get("status") or Status.WAITING
        if holder_of(document) != self.instance or status in ENDED:
            self._drop(held)
            self._offer(document)
            return
        held.document = document
        if held.run is not None:
            if status not in HELD:
                held.run.cancel()
            return
        if held.timer is not None:
            held.timer.cancel()
        stop = status == Status.CANCEL
        self._answer(held, Ended(self.instance, Stopped()) if stop else Released(self.instance))

    def _control(self, document: Document) -> None:
        """A client pauses, resumes or stops the worker."""
        stop = document.get("stop")
        if isinstance(stop, str) and stop >= self._presence.started:
            self.stop()
        paused = bool(document.get("paused"))
        if self._state in ("running", "paused"):
            self._state = "paused" if paused else "running"
            if not paused:
                self._finder.look()

    # Small steps

    def _hold(self, document: Document) -> Held:
        held = self._held[document["_id"]] = Held(document)
        return held

    def _answer(self, held: Held, answer: Ended | Released | Lost) -> None:
        held.answer = answer
        if held.timer is not None:
            held.timer.cancel()
        self._outbox.put(held)

    def _drop(self, held: Held) -> None:
        held.drop()
        self._outbox.forget(held)
        if self._held.get(held.id) is held:
            del self._held[held.id]

    def _ended(self, held: Held) -> None:
        self._counts[held.document["status"]] += 1
        if self._held.get(held.id) is held:
            del self._held[held.id]
        self._claims.look()
        if self._finder.unfinished and len(self._claims) < LOW_CLAIMS:
            self._finder.look()

    def _horizon(self) -> int:
        return now(self._clock) + HORIZON

    def _full(self) -> bool:
        return self._state != "running" or len(self._claims) >= HIGH_CLAIMS

    def _room(self, due_now: bool) -> int:
        """Say for how many more tasks there is room: for those due now, about what a second can run."""
        if self._state != "running" or self._presence.skewed or self._presence.fenced:
            return 0
        if not due_now:
            return MAX_HELD - len(self._held)
        window = min(MAX_DUE, max(2 * self._runs.concurrency, self._rate()))
        return window - self._runs.due - self._runs.running

    def _rate(self) -> int:
        """Give the number of jobs that ended in about the last second."""
        since, count, rate = self._recent
        seconds = self._clock.monotonic() - since
        if seconds >= 1.0:
            rate = round((self._runs.ended - count) / seconds)
            self._recent = (self._clock.monotonic(), self._runs.ended, rate)
        return rate

    # Chores

    async def _chores(self) -> None:
        while True:
            await asyncio.sleep(CHORE_SECONDS)
            self._runs.fenced = self._presence.fenced
            self._runs.fill()
            try:
                await self._look_after_claims()
            except AfterError as error:
                logger.warning("looking after the tasks of others failed: %s", error)
            except Exception:
                logger.exception("looking after the tasks of others failed")

    async def _look_after_claims(self) -> None:
        """Give back the tasks of processes that are gone, and those that are ours without our knowing."""
        claiming = self._claims.under_way
        known = set(self._held)
        orphans, ours = await self._rescue.look()
        for task in orphans:
            if task["_id"] not in self._held:
                holder, job = str(holder_of(task)), self._jobs.get(call(task).name)
                logger.warning("task %s was held by %s, which is gone", task["_id"], holder)
                self._answer(self._hold(task), Lost(self.instance, holder, job.retry if job else None))
        if claiming or self._claims.under_way:
            return  # a claim may have been taken and not answered yet; the next look will tell
        strangers = await self._database.get_many(list(ours - known - set(self._held)))
        for identity, task in strangers.items():
            if holder_of(task) == self.instance and identity not in self._held:
                self._answer(self._hold(task), Released(self.instance, "the answer to its claim was lost"))

    async def _hear_control(self) -> None:
        try:
            self._control(await self._database.get(control_id(self.name)))
        except NotFound:
            return

    def _describe(self) -> Document:
        return {
            "state": self._state,
            "jobs": sorted(self._jobs),
            "concurrency": self._runs.concurrency,
            "running": self._runs.running,
            "held": len(self._held),
            "counters": dict(self._counts),
        }
