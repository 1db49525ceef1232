"""Running one job, as a coroutine or in a thread, to one of the outcomes; nothing that a job does gets past here."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

from after.jobs.context import TaskContext
from after.jobs.job import Job
from after.outcome import Outcome, Stopped, failed, of_exception, of_result
from after.task import Call

logger = logging.getLogger(__name__)

STUBBORN_SECONDS = 3.0
"""How long a job that was told to end may take to do so before its timeout is recorded without it."""


Limit = Callable[[float | None], AbstractAsyncContextManager[object]]
"""Gives a context that ends with `TimeoutError` after so many seconds, as `asyncio.timeout` does."""


async def run(
    job: Job, call: Call, context: TaskContext | None, seconds: float | None, limit: Limit = asyncio.timeout
) -> Outcome:
    """Run a job and give its outcome. `seconds` is how long it may take, `context` what the job gets as `task`.

    Cancelling this coroutine tells the job to end and waits until it has: a coroutine is cancelled, a thread sees
    `task.canceled`. It gives `Stopped`, or the job's outcome where it ended all the same. Cancelled a second time it
    waits no longer.
    """
    keywords = call.keywords if context is None else {**call.keywords, "task": context}
    if job.asynchronous and seconds is None:
        # Nothing to watch besides the job: a task of its own would double the cost of a short one.
        return await _coroutine(job.function, call.arguments, keywords)
    function = _coroutine if job.asynchronous else _in_thread
    running = asyncio.create_task(function(job.function, call.arguments, keywords), name=f"job {job.name}")
    try:
        async with limit(seconds):
            return await asyncio.shield(running)
    except TimeoutError:
        return await _timed_out(running, job, context, seconds or 0.0)
    except asyncio.CancelledError:
        return await _stopped(running, job, context)


async def _timed_out(running: asyncio.Task[Outcome], job: Job, context: TaskContext | None, seconds: float) -> Outcome:
    if context is not None:
        context.cancel()
    if job.asynchronous:
        running.cancel()
    ended, _ = await asyncio.wait({running}, timeout=STUBBORN_SECONDS)
    reason = f"the job ran longer than its timeout of {seconds:g} seconds"
    if ended:
        return failed("Timeout", reason)
    logger.error("the job %s goes on although its time is over", job.name)
    # Another try would run beside this one.
    return failed("Timeout", f"{reason}, and does not end; it is not tried again", final=True)


async def _stopped(running: asyncio.Task[Outcome], job: Job, context: TaskContext | None) -> Outcome:
    if job.asynchronous:
        running.cancel()
    await asyncio.wait({running})
    outcome = Stopped() if running.cancelled() else running.result()
    if not job.asynchronous and context is not None:
        return Stopped()  # a thread that could see that it was to end may have returned because it did
    return outcome


async def _coroutine(
    function: Callable[..., Coroutine[Any, Any, object]], arguments: list[Any], keywords: dict[str, Any]
) -> Outcome:
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

    threading.Thread(target=work, name=f"job {function.__name__}", daemon=True).start()
    return await ended
