"""The tasks in a worker's memory: what is done with each when something is heard of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping

from after import conflicts
from after.clock import Clock, now
from after.database.database import Database
from after.events import Ended, Lost, Released
from after.jobs.job import Job
from after.outcome import Stopped
from after.scheduler import Scheduler
from after.status import ENDED, HELD, Status
from after.task import Document, holder_of, is_task
from after.worker.claims import Claims
from after.worker.dependencies import Dependencies
from after.worker.finder import HORIZON
from after.worker.held import Answer, Held, generation, order
from after.worker.keys import SHARED, Keys
from after.worker.outbox import Outbox
from after.worker.plan import Plan, job_of, plan
from after.worker.room import Room
from after.worker.runs import Runs

logger = logging.getLogger(__name__)

MAX_ENDED = 100
"""How many runs of one repeating task may have ended without the database having heard of it."""
HIGH_CLAIMS, LOW_CLAIMS = 1_024, 256
"""Between how many tasks found and not yet claimed the search for more stops and goes on."""


class Holdings:
    """What one process holds, and the parts that claim, run and record it.

    While `accepting` is false nothing more is claimed. `safe()` says whether this process may claim at all, `fenced()`
    whether nothing may begin to run; `missed` hears that a task was left in the database and has to be found again,
    `roomy` that there is room for such.
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
        fenced: Callable[[], bool],
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
        self.claims = Claims(database, clock, instance, room=self._room_left, claimed=self._claimed, failed=missed)
        self.dependencies = Dependencies(database, clock, name, instance)
        self.keys = Keys(
            database, clock, name, instance,
            ripe=self._ripe, claimed=self._alone, refused=self._not_alone,
        )  # fmt: skip
        self.runs = Runs(
            jobs, clock, instance, concurrency, fenced=fenced,
            started=self.outbox.put_soon, ended=self._ended, said=self.outbox.put_soon,
            results=self.dependencies.results,
        )  # fmt: skip
        self._room = Room(self.runs, clock)

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
        decision = self._plan(document)
        if decision is Plan.CLAIM:
            self._want(document)
            return
        self.claims.forget(document["_id"])
        if decision is Plan.BLOCKED:
            self.dependencies.offer(document)
        elif not isinstance(decision, Plan):
            self._answer(self._hold(document), decision)

    def _plan(self, document: Document) -> Plan | Answer:
        instant = now(self._clock)
        return plan(document, instant, instant + HORIZON, self._instance, self._jobs)

    def _want(self, document: Document) -> None:
        """Have a task claimed, by the way that its key asks for."""
        if not self.accepting:
            self._missed()
        elif document.get("key"):
            later = self.keys.offer(document)
            held = None if later is None else self._held.get(later["_id"])
            if held is not None and held.run is None and held.answer is None:
                self._answer(held, Released(self._instance, SHARED))
        elif not self.claims.add(document):
            self._missed()

    def _ripe(self, document: Document) -> bool:
        """Tell whether a task with a key may be claimed now; one that cannot be run is answered on the way."""
        if self._room_left(due_now=False) <= 0 or document["_id"] in self._held:
            return False
        decision = self._plan(document)
        if decision is not Plan.CLAIM:
            self.offer(document)
        return decision is Plan.CLAIM

    def _alone(self, document: Document) -> None:
        held = self._hold(document)
        held.order = order(document)
        self._await_date(held, now(self._clock))

    def _not_alone(self, document: Document) -> None:
        self._answer(self._hold(document), Released(self._instance, SHARED))

    def deleted(self, identity: str) -> None:
        """Let go of a task that is there no more."""
        self.claims.forget(identity)
        self.dependencies.ended(identity)
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
        if not self.accepting:
            self._answer(self._hold(document), Released(self._instance, "its worker takes nothing more"))
        elif document.get("key"):
            self.keys.verify(document)
        else:
            self._alone(document)

    def _await_date(self, held: Held, instant: int) -> None:
        if held.order[0] <= instant:
            self._due(held)
        else:
            held.timer = self._scheduler.at(held.order[0], self._due, held)

    def _due(self, held: Held) -> None:
        """Let a task run, unless so many runs of it are not written that another would be too much to lose."""
        if len(held.ended) < MAX_ENDED:
            self.runs.add(held)
        else:
            held.stalled = True
            self.outbox.put(held)

    def _ended(self, held: Held, instant: int) -> None:
        """A run is over; a repeating task goes on at once, where its next occurrence is near."""
        answer = held.answer
        if self.accepting and isinstance(answer, Ended) and answer.keep is not None and held.goes_on(instant):
            self._count(held.current)
            self._await_date(held, instant)
            self.outbox.put_with_next(held, instant)
        else:
            self.outbox.put(held)

    def _written(self, held: Held) -> None:
        """A report was taken."""
        if held.document["status"] not in HELD:
            self._forget(held)
        elif held.answer is not None:
            self.outbox.put(held)
        elif held.ended:
            self.outbox.put_with_next(held, now(self._clock))
        if held.stalled and not held.dropped:
            held.stalled = False
            self._due(held)
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
            held.rebase(document)
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
        held.rebase(document)
        if held.run is not None:
            if status not in HELD:
                held.stop()
            elif held.ended:
                self.outbox.put(held)
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
        self._let_go(held.document)

    def _forget(self, held: Held) -> None:
        self._count(held.document)
        if self._held.get(held.id) is held:
            del self._held[held.id]
        self._let_go(held.document)
        self.claims.look()
        if len(self.claims) < LOW_CLAIMS:
            self._roomy()

    def _let_go(self, document: Document) -> None:
        """Tell those who wait for a task, or for its key, that it is held no more."""
        if document["status"] in ENDED:
            self.dependencies.ended(document["_id"])
        if document.get("key"):
            self.keys.forget(document)

    def _count(self, document: Document) -> None:
        """Count what has become of a task, or of one run of a repeating one."""
        last = document["history"][-1]
        self.counts[last["status"] if "next" in last else document["status"]] += 1

    def _room_left(self, due_now: bool) -> int:
        return self._room.left(len(self._held), due=due_now) if self.accepting and self._safe() else 0
