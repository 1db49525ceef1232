"""Running a job in a process of its own, seen from that process."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from after.clock import SystemClock
from after.jobs.context import CURRENT, TaskContext
from after.jobs.job import Job
from after.jobs.logs import FORMAT, Capture
from after.jobs.process import Order
from after.jobs.registry import jobs_of
from after.jobs.run import in_loop
from after.outcome import Done, Failed, Outcome, Stopped, failed, of_exception, of_result

TELL_SECONDS = 0.1
"""How long between two messages of what the job says of itself."""
HEADROOM = 32 * 1024 * 1024
"""Bytes beyond the limit of a job's memory that are left for telling of its end."""
RESERVE = 2 * 1024 * 1024
"""Bytes that are taken beforehand, to be given up when all are gone."""

STACK = 512 * 1024
"""Bytes of stack that each thread of ours gets; the usual is eight MiB."""
M_ARENA_MAX = -8


def main(channel: str) -> None:
    """Hear what to do on a socket, the number of whose file descriptor this is, do it, and tell the outcome."""
    with socket.socket(fileno=int(channel)) as speaking:
        speaking.set_inheritable(False)  # the programs that the job starts have nothing to say to its worker
        del sys.argv[1:]  # they are not the job's
        lines = _lines(speaking)
        Child(msgspec.json.decode(next(lines), type=Order), speaking).run(lines)


class Child:
    """The process of one job: one thread runs the job, one hears the worker, one tells it what the job says."""

    def __init__(self, order: Order, channel: socket.socket) -> None:
        self._order = order
        self._channel = channel
        self._speaking = threading.Lock()
        self._news = threading.Event()
        self._over = threading.Event()
        self._context = TaskContext(order.task, order.attempt, SystemClock(), self._news.set, order.results)
        self._cancel: Callable[[], object] | None = None
        self._interruptible = True
        self._reserve = b""

    def run(self, lines: Iterator[bytes]) -> None:
        """Run the job and tell its outcome."""
        signal.signal(signal.SIGTERM, self._terminate)
        os.register_at_fork(after_in_child=partial(signal.signal, signal.SIGTERM, signal.SIG_DFL))
        CURRENT.set(self._context)
        logging.basicConfig(level=self._order.level, format=FORMAT)
        logging.getLogger().addHandler(Capture(self._context))
        if self._order.memory is not None:
            _save_memory()
        threads = [threading.Thread(target=work, daemon=True) for work in (partial(self._hear, lines), self._tell)]
        usual = threading.stack_size(STACK)
        for thread in threads:
            thread.start()
        threading.stack_size(usual)  # for those of the job
        outcome = self._outcome()
        self._over.set()
        self._news.set()
        threads[-1].join()
        self._say({"said": self._context.take()})
        self._say(_message(outcome))

    def _outcome(self) -> Outcome:
        try:
            if self._order.memory is not None:
                self._limit(self._order.memory)
            found = next((one for one in jobs_of(self._order.source) if one.name == self._order.name), None)
            if found is None:
                place = self._order.source.place
                return failed("JobError", f"{place!r} has no job {self._order.name!r} when a new process loads it")
            return self._call(found)
        except BaseException as error:  # noqa: BLE001 - SystemExit included, whoever raised it
            self._relax()
            stopped = isinstance(error, SystemExit) and self._context.canceled
            return Stopped() if stopped else self._failed(error)
        finally:
            self._interruptible = False

    def _call(self, job: Job) -> Outcome:
        call = self._order.call
        keywords = {**call.keywords, "task": self._context} if job.wants_task else call.keywords
        if job.asynchronous:
            outcome = asyncio.run(self._in_loop(job.function, call.arguments, keywords))
            signal.signal(signal.SIGTERM, self._terminate)  # the loop has taken it
            return outcome
        self._interruptible = not job.wants_task
        result = job.function(*call.arguments, **keywords)
        self._relax()
        # One that could see that it was to end may have returned because it did.
        return Stopped() if job.wants_task and self._context.canceled else of_result(result)

    async def _in_loop(self, function: Callable[..., Any], arguments: list[Any], keywords: dict[str, Any]) -> Outcome:
        self._interruptible = False
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        self._cancel = partial(loop.call_soon_threadsafe, task.cancel)
        loop.add_signal_handler(signal.SIGTERM, self._stop)  # which wakes the loop, as a handler alone may not
        if self._context.canceled:
            return Stopped()

        async def job(*arguments: object, **keywords: object) -> object:
            try:
                return await function(*arguments, **keywords)
            finally:
                self._relax()

        return await in_loop(job, arguments, keywords)

    def _limit(self, size: int) -> None:
        """Let the job have so many bytes of address space."""
        self._reserve = bytes(RESERVE)
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        hard = size + HEADROOM if most == resource.RLIM_INFINITY else min(size + HEADROOM, most)
        resource.setrlimit(resource.RLIMIT_AS, (min(size + RESERVE, hard), hard))

    def _relax(self) -> None:
        """Let us have what was kept from the job, to tell of its end with."""
        if self._order.memory is None:
            return
        self._reserve = b""  # first, since what follows needs some memory itself
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))

    def _failed(self, error: BaseException) -> Failed:
        outcome = of_exception(error)
        if isinstance(error, MemoryError) and not str(error) and self._order.memory is not None:
            why = f"the job wanted more than its {self._order.memory // 1024**2} MiB of memory"
            return Failed(msgspec.structs.replace(outcome.error, message=why))
        return outcome

    def _terminate(self, number: int, frame: object) -> None:
        """SIGTERM came: from our guard, which sends it to the whole group, or from elsewhere."""
        self._stop()
        if self._interruptible:
            self._interruptible = False
            raise SystemExit("the job was told to end")

    def _stop(self) -> None:
        """Tell the job to end, in the way that its kind can hear; from any thread, and perhaps twice."""
        canceled = self._context.canceled
        self._context.cancel()
        if self._cancel is not None and not canceled:
            with suppress(RuntimeError):  # the job has just ended, and its loop with it
                self._cancel()

    def _hear(self, lines: Iterator[bytes]) -> None:
        """Hear that the job is to end. When the worker is gone our guard ends us."""
        for line in lines:
            if "cancel" in msgspec.json.decode(line):
                self._stop()

    def _tell(self) -> None:
        while self._news.wait() and not self._over.is_set():
            self._news.clear()
            self._say({"said": self._context.take()})
            self._over.wait(TELL_SECONDS)

    def _say(self, message: dict[str, object]) -> None:
        if message == {"said": {}}:
            return
        content = msgspec.json.encode(message)
        with self._speaking:
            try:
                self._channel.sendall(content + b"\n")
            except OSError:
                return  # the worker is gone, or the job has closed what it did not open


def _lines(channel: socket.socket) -> Iterator[bytes]:
    """Give the lines that are heard. No buffered file, as a thread that waits in one upsets the end of the process."""
    waiting = b""
    while got := channel.recv(65536):
        *lines, waiting = (waiting + got).split(b"\n")
        yield from lines


def _message(outcome: Outcome) -> dict[str, object]:
    match outcome:
        case Done(result):
            return {"done": result}
        case Failed():
            return {"failed": outcome}
    return {"stopped": True}


def _save_memory() -> None:
    """Let all threads of glibc share one arena; each for itself would reserve 64 MiB of what the job may have."""
    with suppress(OSError, AttributeError):  # another C library has no such function, nor such arenas
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
