"""What turns a scheduler: a thread of its own, or a running event loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias

from after.clock import Alarm, alarm
from after.timers import Timer

logger = logging.getLogger(__name__)

Call: TypeAlias = tuple[Timer, Callable[..., object], tuple[Any, ...]]
"""A timer that is due, its function and its arguments."""

_SLICE = 0.002
"""Seconds of calling after which an event loop gets its turn."""


class ThreadDriver:
    """Calls functions one after another on a daemon thread."""

    def __init__(
        self, take: Callable[[], Call | None], again: Callable[[Timer], None], rest: Callable[[], float | None]
    ) -> None:
        """Drive by three functions: what is due first, put a repeating timer back, seconds to wait (None: no end)."""
        self._take, self._again, self._rest = take, again, rest
        self._woken = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="after-scheduler", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the clock and the timers now; from any thread."""
        self._woken.set()

    def stop(self) -> None:
        """End after the function that runs, and wait for it unless it is the one that asks."""
        self._ended = True
        self._woken.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended:
            call = self._take()
            if call is not None:
                self._call(*call)
            else:
                self._woken.wait(self._rest())
                self._woken.clear()

    def _call(self, timer: Timer, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        try:
            result = function(*arguments)
        except BaseException:  # nobody is above this thread, and the other timers depend on it
            logger.exception("%r failed in the scheduler", function)
        else:
            if inspect.iscoroutine(result):
                result.close()
                logger.error("%r is a coroutine function: it needs a scheduler under `async with`", function)
        if timer.pending:
            self._again(timer)


class LoopDriver:
    """Calls functions on an event loop, in slices, so that many due timers do not keep the loop from all else."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        take: Callable[[], Call | None],
        again: Callable[[Timer], None],
        rest: Callable[[], float | None],
    ) -> None:
        """Drive by three functions: what is due first, put a repeating timer back, seconds to wait (None: no end)."""
        self._loop = loop
        self._take, self._again, self._rest = take, again, rest
        self._thread = threading.get_ident()
        self._alarm: Alarm | None = None
        self._next_slice: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[object]] = set()

    def start(self) -> None:
        """Begin with the loop's next turn."""
        self._alarm = alarm(self._loop, self._turn)
        self._loop.call_soon(self._turn)

    def wake(self) -> None:
        """Look at the clock and the timers soon; from any thread."""
        if threading.get_ident() == self._thread:
            self._loop.call_soon(self._turn)
            return
        try:
            self._loop.call_soon_threadsafe(self._turn)
        except RuntimeError:
            logger.debug("the scheduler's event loop is closed")

    async def aclose(self) -> None:
        """Cancel the tasks and wait for them, but for the one that asks."""
        if self._alarm is not None:
            self._alarm.close()
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others)

    def _turn(self) -> None:
        limit = self._loop.time() + _SLICE
        while (call := self._take()) is not None:
            self._call(*call)
            if self._loop.time() >= limit:
                self._yield()
                return
        delay = self._rest()
        if delay is not None and self._alarm is not None:
            self._alarm.set(delay)

    def _yield(self) -> None:
        """Go on in the loop's next turn."""
        if self._next_slice is not None:
            self._next_slice.cancel()
        self._next_slice = self._loop.call_soon(self._turn)

    def _call(self, timer: Timer, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        try:
            result = function(*arguments)
        except (SystemExit, KeyboardInterrupt):
            # They end the loop's run, not the scheduler's: the loop may be run again.
            self._yield()
            raise
        except BaseException:  # a stray CancelledError must not stop the other timers
            logger.exception("%r failed in the scheduler", function)
        else:
            if result is not None and inspect.iscoroutine(result):
                self._spawn(timer, function, result)
                return
        if timer.pending:
            self._again(timer)

    def _spawn(self, timer: Timer, function: Callable[..., object], coroutine: Coroutine[Any, Any, object]) -> None:
        task = self._loop.create_task(coroutine)
        # The loop itself keeps only a weak reference.
        self._tasks.add(task)
        task.add_done_callback(partial(self._finished, timer, function))

    def _finished(self, timer: Timer, function: Callable[..., object], task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%r failed in the scheduler", function, exc_info=error)
        if timer.pending:
            self._again(timer)
