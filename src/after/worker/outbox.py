"""Telling the database what became of tasks: in bulk, again and again until it has taken or refused it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from after.clock import Clock, now
from after.database.answers import Written
from after.database.database import Database
from after.errors import AfterError, Conflict, Refusal, Unavailable
from after.events import Ended
from after.history import archive
from after.outcome import failed
from after.task import Document
from after.worker.archiving import Archive, settle
from after.worker.gathering import REPEAT_DELAY, Gathering
from after.worker.held import Held

logger = logging.getLogger(__name__)

MAX_BATCH = 500
MAX_BATCH_BYTES = 1024 * 1024
SENDERS = 2
"""Requests under way at once: while the engine works on one, the next is put together."""

START_DELAY = 0.05
"""Seconds from a job's start to the write that says so, at most twice as many; a job that ends before costs none."""
PROGRESS_DELAY = 1.0
"""Seconds between two writes of one job's progress and log."""
MIN_BACKOFF, MAX_BACKOFF = 0.05, 5.0

_encode = msgspec.json.Encoder().encode


class Outbox:
    """What has to be told about held tasks. At most one write of a task is under way at any time.

    `written` hears of each write that was taken, `overtaken` of each task of which the database has a newer revision:
    it gets that, or None where the task is gone.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        written: Callable[[Held], None],
        overtaken: Callable[[Held, Document | None], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._written = written
        self._overtaken = overtaken
        self._waiting: dict[str, Held] = {}
        self._soon: dict[str, Held] = {}
        self._later: dict[str, Held] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._gathering = Gathering(clock, self.put)
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._under_way = 0
        self._senders: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to send."""
        self._senders = [asyncio.create_task(self._send_all(), name="outbox") for _ in range(SENDERS)]

    async def stop(self, seconds: float) -> None:
        """Send what is left, for at most so long, and end."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            logger.error("%d outcomes could not be written before the end", len(self._waiting))
        self._gathering.stop()
        if self._sweep is not None:
            self._sweep.cancel()
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)

    def put(self, held: Held) -> None:
        """Tell this as soon as possible."""
        if held.dropped or held.sent is not None:
            return  # what changes while a write is under way is looked at when that is answered
        self._not_later(held)
        self._waiting[held.id] = held
        self._wanted.set()
        self._idle.clear()

    def put_soon(self, held: Held) -> None:
        """Tell that a job runs, and what it says of itself, unless its end comes first."""
        self._later[held.id] = held
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(START_DELAY, self._swept)

    def put_with_next(self, held: Held, instant: int) -> None:
        """Tell that a run of a repeating task has ended; it is now `instant`.

        While there is much to tell it waits for the runs that follow soon, so that one write tells several.
        """
        self._not_later(held)
        if held.gathering:
            return
        much = self._under_way or self._gathering.many
        if much and held.order[0] - instant <= REPEAT_DELAY * 1000:
            self._gathering.add(held)
        else:
            self.put(held)

    def forget(self, held: Held) -> None:
        """Say nothing more about a task."""
        self._not_later(held)
        self._waiting.pop(held.id, None)

    def _not_later(self, held: Held) -> None:
        identity = held.id
        self._soon.pop(identity, None)
        self._later.pop(identity, None)

    def _swept(self) -> None:
        self._sweep = None
        instant = self._clock.monotonic()
        # What was put after the last sweep has not waited long enough; it is for the next.
        soon, self._soon, self._later = self._soon, self._later, {}
        if self._soon:
            self._sweep = asyncio.get_running_loop().call_later(START_DELAY, self._swept)
        for held in soon.values():
            if held.dropped or held.answer is not None:
                continue
            if held.sent is not None or instant - held.reported < PROGRESS_DELAY:
                self.put_soon(held)
            else:
                held.reported = instant
                self.put(held)

    async def _send_all(self) -> None:
        backoff = MIN_BACKOFF
        while True:
            await self._wanted.wait()
            batch, archives, content = self._take()
            if not batch:
                self._rest()
                continue
            self._under_way += 1
            try:
                answers = await self._database.write(content)
                failing = await self._hear(batch, answers[: len(batch)])
                if archives:
                    await settle(self._database, archives, answers[len(batch) :])
                if failing:
                    raise Unavailable(failing)
                backoff = MIN_BACKOFF
            except Exception as error:
                if isinstance(error, AfterError):
                    logger.warning("the engine did not take %d reports: %s; trying again", len(batch), error)
                else:
                    logger.exception("%d reports could not be worked on; trying again", len(batch))
                self._put_back(batch)
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, MAX_BACKOFF)
            finally:
                self._under_way -= 1
                self._rest()

    def _rest(self) -> None:
        if not self._waiting:
            self._wanted.clear()
            if not self._under_way:
                self._idle.set()

    def _take(self) -> tuple[list[Held], list[Archive], list[msgspec.Raw]]:
        """Take what is to be told next, and the archives of what has become long; give the JSON of both."""
        batch: list[Held] = []
        archives: list[Archive] = []
        content: list[msgspec.Raw] = []
        size, instant = 0, now(self._clock)
        while self._waiting and len(batch) < MAX_BATCH and size < MAX_BATCH_BYTES:
            held = self._waiting.pop(next(iter(self._waiting)))
            try:
                sent = held.report(instant)
                raw, archived = _encode(sent), archive(sent)
            except Exception as error:
                logger.exception("the report of %s cannot be made", held.id)
                self._refused(held, str(error))
                continue
            held.sent = sent
            batch.append(held)
            content.append(msgspec.Raw(raw))
            size += len(raw)
            if archived is not None:
                archives.append((held, archived))
        content += [msgspec.Raw(_encode(archived)) for _, archived in archives]
        return batch, archives, content

    def _put_back(self, batch: list[Held]) -> None:
        for held in batch:
            if held.sent is not None:
                held.sent = None
                self.put(held)

    async def _hear(self, batch: list[Held], answers: list[Written | Refusal]) -> str:
        """Work on the answers; give why a cluster could not tell of some whether they were written, if it could not."""
        conflicts, failing = [], ""
        for held, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Written):
                self._taken(held, answer.rev)
            elif isinstance(answer, Conflict):
                conflicts.append(held)
            elif isinstance(answer, Unavailable):
                failing = answer.reason
            else:
                held.sent = None
                self._refused(held, answer.reason)
        if conflicts:
            await self._hear_conflicts(conflicts)
        return failing

    def _taken(self, held: Held, rev: str) -> None:
        held.taken(rev)
        self._written(held)

    def _refused(self, held: Held, reason: str) -> None:
        """What the engine will never take, a result that is too large say, ends the task as a failure."""
        logger.error("the engine refuses the report of %s: %s", held.id, reason)
        held.context = None
        if held.answer is None and not held.ended:
            return  # the job still runs; its end will be told
        if held.refused:
            self._overtaken(held, None)
            return
        held.refused = True
        outcome = failed("Refused", f"the outcome could not be written: {reason}", final=True)
        answer = held.answer or held.ended[0][1]
        if isinstance(answer, Ended):
            held.answer = msgspec.structs.replace(answer, outcome=outcome, keep=None)
        else:
            held.answer = Ended(answer.instance, outcome)
        held.forget_ended()
        self.put(held)

    async def _hear_conflicts(self, conflicts: list[Held]) -> None:
        """Somebody wrote first, or our own write was taken and its answer lost: the database knows which."""
        while True:
            try:
                newer = await self._database.get_many([held.id for held in conflicts])
                break
            except AfterError as error:
                logger.warning("newer revisions cannot be read: %s; trying again", error)
                await asyncio.sleep(MAX_BACKOFF / 5)
        for held in conflicts:
            document = newer.get(held.id)
            if document is not None and held.sent is not None and _same(document, held.sent):
                self._taken(held, document["_rev"])
            else:
                held.sent = None
                self._overtaken(held, document)


def _same(document: Document, sent: Document) -> bool:
    return {**document, "_rev": None} == {**msgspec.json.decode(_encode(sent)), "_rev": None}
