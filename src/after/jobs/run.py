"""Running one job, as a coroutine, in a thread or in a process, to its outcome; nothing of a job gets past here."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from typing import Any

from after.jobs.context import CURRENT, TaskContext
from after.jobs.job import Job
from after.jobs.process import in_process
from after.outcome import Outcome, Stopped, failed, of_exception, of_result
from after.task import Call

logger = logging.getLogger(__name__)

STUBBORN_SECONDS = 3.0
"""How long a job that was told to end may take to do so before its timeout is recorded without it."""


Limit = Callable[[float | None], AbstractAsyncContextManager[object]]
"""Gives a context that ends with `TimeoutError` after so many seconds, as `asyncio.timeout` does."""


async def run(
    job: Job, call: Call, context: TaskContext, seconds: float | None, limit: Limit = asyncio.timeout
) -> Outcome:
    """Run a job and give its outcome. `seconds` is how long it may take, `context` what the job may get as `task`.

    Cancelling this coroutine tells the job to end and waits until it has: a coroutine is cancelled, a process killed, a
    thread sees `task.canceled`. It gives `Stopped`, or the job's outcome where it ended all the same. Cancelled a
    second time it waits no longer.
    """
    CURRENT.set(context)  # for good: each run is an asyncio task, which has a copy of the context variables
    work = _work(job, call, context)
    if _is_cancelable(job) and seconds is None:
        # Nothing to watch besides the job: a task of its own would double the cost of a short one.
        return await work
    running = asyncio.create_task(work, name=f"job {job.name}")
    try:
        async with limit(seconds):
            return await asyncio.shield(running)
    except TimeoutError:
        return await _timed_out(running, job, context, seconds or 0.0)
    except asyncio.CancelledError:
        return await _stopped(running, job)


def _work(job: Job, call: Call, context: TaskContext) -> Coroutine[Any, Any, Outcome]:
    if job.process:
        return in_process(job, call, context)
    keywords = {**call.keywords, "task": context} if job.wants_task else call.keywords
    return (in_loop if job.asynchronous else _in_thread)(job.function, call.arguments, keywords)


def _is_cancelable(job: Job) -> bool:
    """Tell whether to cancel the job's coroutine is to end the job, which nothing does in a thread."""
    return job.asynchronous or job.process


async def _timed_out(running: asyncio.Task[Outcome], job: Job, context: TaskContext, seconds: float) -> Outcome:
    context.cancel()
    if _is_cancelable(job):
        running.cancel()
    ended, _ = await asyncio.wait({running}, timeout=STUBBORN_SECONDS)
    reason = f"the job ran longer than its timeout of {seconds:g} seconds"
    if ended:
        return failed("Timeout", reason)
    logger.error("the job %s goes on although its time is over", job.name)
    # Another try would run beside this one.
    return failed("Timeout", f"{reason}, and does not end; it is not tried again", final=True)


async def _stopped(running: asyncio.Task[Outcome], job: Job) -> Outcome:
    if _is_cancelable(job):
        running.cancel()
    await asyncio.wait({running})
    outcome = Stopped() if running.cancelled() else running.result()
    if not _is_cancelable(job) and job.wants_task:
        return Stopped()  # a thread that could see that it was to end may have returned because it did
    return outcome


async def in_loop(
    function: Callable[..., Coroutine[Any, Any, object]], arguments: list[Any], keywords: dict[str, Any]
) -> Outcome:
    """Run a coroutine in this task; `Stopped` where this task was cancelled and the coroutine ended by that."""
    try:
        return of_result(await function(*arguments, **keywords))
    except asyncio.CancelledError:
        # Ours, or one that the job raised itself: who asked for it knows.
        if (current := asyncio.current_task()) is not None and current.cancelling():
            return Stopped()
        return failed("CancelledError", "the job raised CancelledError itself")
    except BaseException as error:  # noqa: BLE001 — SystemExit included: a job never ends its worker
        return of_exception(error)


async def _in_thread(function: Callable[..., object], arguments: list[Any], keywords: dict[str, Any]) -> Outcome:
    """Run a function in a thread of its own: one that never returns takes no place from others, nor keeps us alive."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Outcome] = loop.create_future()

    def end(outcome: Outcome) -> None:
        if not ended.done():
            ended.set_result(outcome)

    def work() -> None:
        try:
            outcome: Outcome = of_result(function(*arguments, **keywords))
        except BaseException as error:  # noqa: BLE001 — SystemExit included: a job never ends its worker
            outcome = of_exception(error)
        try:
            loop.call_soon_threadsafe(end, outcome)
        except RuntimeError:
            logger.warning("a job ended after its worker")

    threading.Thread(target=copy_context().run, args=(work,), name=f"job {function.__name__}", daemon=True).start()
    return await ended
