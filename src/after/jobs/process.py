"""Running a job in a process of its own, seen from its worker."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

import msgspec
from msgspec import Struct

from after.jobs.context import TaskContext
from after.jobs.job import Job
from after.jobs.program import Lines, Program, soon
from after.jobs.source import Source
from after.outcome import Done, Failed, Outcome, Stopped, failed, of_exception
from after.task import Call, Document

logger = logging.getLogger(__name__)

BEGIN = "import json, sys; sys.path[:] = json.loads(sys.argv[2]); from after.jobs.child import main; main(sys.argv[1])"
"""What the process begins with: modules are found where the worker finds them, whatever its environment says."""
LINGER_SECONDS = 1.0
"""How long a process may take to end after it has told its outcome."""


class Order(Struct):
    """What the process is to do: the first line that it hears. `level` is that of the worker's root logger."""

    name: str
    source: Source
    call: Call
    memory: int | None
    task: Document
    attempt: int
    results: dict[str, Any]
    level: int


async def in_process(job: Job, call: Call, context: TaskContext) -> Outcome:
    """Run a job in a process; nothing of that is left when this returns.

    Cancelled, it tells the process to end and kills what is left of it soon; cancelled again, it kills it at once and
    waits no longer.
    """
    words = _Conversation(context)
    try:
        try:
            program = await _start(job, context, words)
        except OSError as error:
            return failed("ProcessDied", f"the job's process could not be started: {error}")
        return await _converse(program, words, _order(job, call, context))
    except Exception as error:
        logger.exception("a job's process could not be looked after")
        return of_exception(error)
    finally:
        words.close()


async def _start(job: Job, context: TaskContext, words: _Conversation) -> Program:
    with await words.open() as theirs:
        channel = theirs.fileno()
        path = json.dumps([str(place) for place in sys.path])
        # The names are only for who looks at the processes of the machine.
        command = [sys.executable, "-c", BEGIN, str(channel), path, job.name, context.id]
        return await Program.start(command, inherited=[channel])


async def _converse(program: Program, words: _Conversation, order: Order) -> Outcome:
    try:
        words.say(msgspec.json.encode(order))
        return await _answer(program, words)
    except asyncio.CancelledError:
        answered = words.outcome
        words.say(b'{"cancel":true}')
        program.stop()
        await program.wait()
        await soon(words.ended.wait())
        # What failed now may have failed because its own children were told to end too.
        return answered or (words.outcome if isinstance(words.outcome, Done) else Stopped())
    finally:
        program.kill()


async def _answer(program: Program, words: _Conversation) -> Outcome:
    answered = asyncio.create_task(words.ended.wait())
    await asyncio.wait({answered, program.ended}, return_when=asyncio.FIRST_COMPLETED)
    answered.cancel()
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            ending = await program.wait()
    except TimeoutError:
        program.stop()
        ending = await program.wait()
    await soon(words.ended.wait())
    if isinstance(words.outcome, Stopped):
        return failed("ProcessDied", "the job's process was told to end, but not by its worker")
    return words.outcome or failed("ProcessDied", f"the job's process {ending}, without an answer")


def _order(job: Job, call: Call, context: TaskContext) -> Order:
    source = job.source or Source("module", job.function.__module__)
    level = logging.getLogger().level
    return Order(job.name, source, call, job.memory, context.data, context.attempt, context.results, level)


class _Conversation(Lines):
    """What the process says: what the job says of itself, and its outcome."""

    def __init__(self, context: TaskContext) -> None:
        super().__init__()
        self.outcome: Outcome | None = None
        self.ended = asyncio.Event()
        """Set when the outcome was heard, or nothing more is to come."""
        self._context = context

    def heard(self, message: dict[str, object]) -> None:
        match message:
            case {"said": dict(said)}:
                self._context.hear(said)
            case {"done": result}:
                self._end(Done(result))
            case {"failed": failure}:
                self._end(msgspec.convert(failure, Failed))
            case {"stopped": _}:
                self._end(Stopped())

    def _end(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.ended.set()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.ended.set()
