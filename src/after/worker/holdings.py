"""The tasks in a worker's memory: what is done with each when something is heard of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping

from after import conflicts
from after.clock import Clock, now
from after.database.database import Database
from after.jobs.job import Job
from after.lifecycle import Ended, Lost, Released
from after.outcome import Stopped
from after.scheduler import Scheduler
from after.status import ENDED, HELD, Status
from after.task import Document, holder_of, is_task
from after.worker.claims import Claims
from after.worker.finder import HORIZON
from after.worker.held import Answer, Held, generation, order
from after.worker.outbox import Outbox
from after.worker.plan import Plan, job_of, plan
from after.worker.runs import Runs

logger = logging.getLogger(__name__)

MAX_HELD = 20_000
"""How many tasks are in memory at the most; the others wait in the database."""
MAX_DUE = 4_096
"""How many tasks are claimed at the most before there is a place to run them."""
RATE_SECONDS = 0.1
HIGH_CLAIMS, LOW_CLAIMS = 1_024, 256
"""Between how many tasks found and not yet claimed the search for more stops and goes on."""


class Holdings:
    """What one process holds, and the parts that claim, run and record it.

    While `accepting` is false nothing more is claimed. `safe()` says whether this process may start anything at all;
    `missed` hears that a task was left in the database and has to be found again, `roomy` that there is room for such.
    """

    def __init__(
        self,
        name: str,
        instance: str,
        jobs: Mapping[str, Job],
        database: Database,
        scheduler: Scheduler,
        clock: Clock,
        concurrency: int,
        *,
        safe: Callable[[], bool],
        missed: Callable[[], None],
        roomy: Callable[[], None],
    ) -> None:
        self.accepting = True
        self.counts: Counter[str] = Counter()
        self._name, self._instance, self._jobs = name, instance, jobs
        self._scheduler, self._clock = scheduler, clock
        self._safe, self._missed, self._roomy = safe, missed, roomy
        self._held: dict[str, Held] = {}
        self.outbox = Outbox(database, clock, written=self._written, overtaken=self._overtaken)
        self.claims = Claims(database, clock, instance, room=self._room, claimed=self._claimed, failed=missed)
        self.runs = Runs(
            jobs, clock, instance, concurrency,
            started=self.outbox.put_soon, ended=self.outbox.put, said=self.outbox.put_soon,
        )  # fmt: skip
        self._rate_since = (clock.monotonic(), 0, 0)

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, identity: str) -> bool:
        return identity in self._held

    def ids(self) -> set[str]:
        """Give the ids of all that is held."""
        return set(self._held)

    def full(self) -> bool:
        """Tell whether no more tasks should be looked for now."""
        return not self.accepting or len(self.claims) >= HIGH_CLAIMS

    def offer(self, document: Document) -> None:
        """Look at a task that came from the feed or a scan."""
        if document.get("worker") != self._name or not is_task(document):
            return
        held = self._held.get(document["_id"])
        if held is not None:
            self._hear(held, document)
            return
        decision = plan(document, now(self._clock), now(self._clock) + HORIZON, self._instance, self._jobs)
        if decision is Plan.CLAIM:
            if not (self.accepting and self.claims.add(document)):
                self._missed()
            return
        self.claims.forget(document["_id"])
        if not isinstance(decision, Plan):
            self._answer(self._hold(document), decision)

    def deleted(self, identity: str) -> None:
        """Let go of a task that is there no more."""
        self.claims.forget(identity)
        if (held := self._held.get(identity)) is not None:
            logger.info("task %s was deleted while it was held", identity)
            self._drop(held)

    def give_back(self, note: str) -> None:
        """Give back all that has not begun."""
        self.runs.give_up()
        for held in list(self._held.values()):
            if held.run is None and held.answer is None:
                self._answer(held, Released(self._instance, note))

    def take_up(self, task: Document) -> None:
        """Claim a task again that is claimed by this process and not held by it; give it back where that cannot be."""
        if not (task.get("status") == Status.SCHEDULED and self.accepting and self.claims.add(task)):
            self._answer(self._hold(task), Released(self._instance, "its claim was not certain"))

    def writing(self, identity: str) -> bool:
        """Tell whether a write of a task is under way, after which its revision is another."""
        held = self._held.get(identity)
        return identity in self.claims.under_way or (held is not None and held.sent is not None)

    def leaf(self, identity: str) -> conflicts.Held | None:
        """Give what is held of a task, as one revision of those that may conflict."""
        held = self._held.get(identity)
        if held is None:
            return None
        return conflicts.Held(held.document["_rev"], held.run is not None or held.answer is not None)

    def let_go(self, identity: str) -> None:
        """Give up a task without a word: another revision stands in the place of what is held."""
        if (held := self._held.get(identity)) is not None:
            self._drop(held)

    def merge(self, document: Document) -> bool:
        """Go on from a task in which others were merged, and tell it; False where it is not held."""
        held = self._held.get(document["_id"])
        if held is None:
            return False
        held.document = document
        self.outbox.put(held)
        return True

    def rescue(self, task: Document) -> None:
        """Give back a task whose holder is gone."""
        holder, job = str(holder_of(task)), job_of(task, self._jobs)
        logger.warning("task %s was held by %s, which is gone", task["_id"], holder)
        self._answer(self._hold(task), Lost(self._instance, holder, job.retry if job else None))

    def _claimed(self, document: Document) -> None:
        held = self._hold(document)
        if not self.accepting:
            self._answer(held, Released(self._instance, "its worker takes nothing more"))
            return
        held.order = order(document)
        if held.order[0] <= now(self._clock):
            self.runs.add(held)
        else:
            held.timer = self._scheduler.at(held.order[0], self.runs.add, held)

    def _written(self, held: Held) -> None:
        """A report was taken."""
        if held.document["status"] not in HELD:
            self._forget(held)
        elif held.answer is not None:
            self.outbox.put(held)
        if (newer := held.newer) is not None and not held.dropped:
            held.newer = None
            self.offer(newer)

    def _overtaken(self, held: Held, document: Document | None) -> None:
        """Somebody else's revision of a task stands in the place of ours."""
        if document is None or holder_of(document) != self._instance:
            if held.started is not None:
                logger.warning("task %s is not ours any more; what was to be written of it is dropped", held.id)
            self._drop(held)
            if document is not None:
                self.offer(document)
        elif isinstance(held.answer, Ended) and document["status"] not in ENDED:
            held.document = document
            self.outbox.put(held)
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
        if holder_of(document) != self._instance or status in ENDED:
            self._drop(held)
            self.offer(document)
            return
        held.document = document
        if held.run is not None:
            if status not in HELD:
                held.stop()
            return
        if held.timer is not None:
            held.timer.cancel()
        stop = status == Status.CANCEL
        self._answer(held, Ended(self._instance, Stopped()) if stop else Released(self._instance))

    def _hold(self, document: Document) -> Held:
        held = self._held[document["_id"]] = Held(document)
        return held

    def _answer(self, held: Held, answer: Answer) -> None:
        held.answer = answer
        if held.timer is not None:
            held.timer.cancel()
        self.outbox.put(held)

    def _drop(self, held: Held) -> None:
        held.drop()
        self.outbox.forget(held)
        if self._held.get(held.id) is held:
            del self._held[held.id]

    def _forget(self, held: Held) -> None:
        self.counts[held.document["status"]] += 1
        if self._held.get(held.id) is held:
            del self._held[held.id]
        self.claims.look()
        if len(self.claims) < LOW_CLAIMS:
            self._roomy()

    def _room(self, due_now: bool) -> int:
        """Say for how many more tasks there is room: for those due now, about what a second can run."""
        if not self.accepting or not self._safe():
            return 0
        if not due_now:
            return MAX_HELD - len(self._held)
        window = min(MAX_DUE, max(2 * self.runs.concurrency, self._rate()))
        return window - self.runs.due - self.runs.running

    def _rate(self) -> int:
        """Give the number of jobs that end in a second, as of late."""
        since, count, rate = self._rate_since
        seconds = self._clock.monotonic() - since
        if seconds >= RATE_SECONDS:
            rate = round((self.runs.ended - count) / seconds)
            self._rate_since = (self._clock.monotonic(), self.runs.ended, rate)
        return rate
