"""Jobs that run in processes of their own, for the tests. Those that stay say in a pipe which processes they are."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from after.jobs import TaskContext, job

FOREVER = 3600
SECONDS = 10


@job(process=True)
def give(value: Any) -> Any:
    """Return what it gets."""
    return value


@job(process=True)
async def give_async(value: Any, *, task: TaskContext) -> Any:
    """Return what it gets, and what it knows of its task."""
    await asyncio.sleep(0)
    return [value, task.id, task.attempt, task.data["own"], os.getpid()]


@job(process=True)
def speak(*, task: TaskContext) -> str:
    """Say something in every way that there is."""
    print("printed to the standard output")
    print("printed to the standard error output", file=sys.stderr)
    task.progress(0.25, "a quarter")
    task.log("by the task")
    logging.getLogger("shop").warning("by %s", "logging")
    logging.getLogger("after.jobs").warning("not the job's")
    thread = threading.Thread(target=logging.getLogger("shop.thread").warning, args=("from a thread",))
    thread.start()
    thread.join()
    return "said"


@job(process=True)
def speak_and_stay(*, task: TaskContext) -> None:
    """Say something and go on."""
    task.progress(0.5, "half")
    task.log("here")
    time.sleep(FOREVER)


@job(process=True)
def flood(lines: int) -> int:
    """Write more than anybody reads."""
    for number in range(lines):
        logging.getLogger("flood").warning("line %d %s", number, "x" * 100)
        print("y" * 100)
    return lines


@job(process=True)
def fail(message: str) -> None:
    """Raise."""
    raise LookupError(message)


@job(process=True)
def give_object() -> object:
    """Return what is not JSON."""
    return object()


@job(process=True)
def exit_at_once(code: int) -> None:
    """End the process, past everything."""
    os._exit(code)


@job(process=True)
def call_exit() -> None:
    """End the process as a program would."""
    sys.exit(4)


@job(process=True)
def kill_itself() -> None:
    """Be killed."""
    os.kill(os.getpid(), signal.SIGKILL)


@job(process=True, memory="200M")
def take(size: int) -> int:
    """Take so many MiB of memory."""
    return len(b"x" * (size * 1024 * 1024))


@job(process=True, memory="96M")
def take_little() -> int:
    """Take what fits even into the least memory."""
    return len(b"x" * (24 * 1024 * 1024))


@job(process=True, memory="200M")
def take_by_and_by() -> int:
    """Take memory in small pieces, until there is none."""
    taken = []
    while True:
        taken.append([len(taken)] * 100)


@job(process=True)
def stay(file: str) -> None:
    """Stay, having children of each kind, none of which hears SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ignoring = f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep({FOREVER})"
    group = subprocess.Popen([sys.executable, "-S", "-c", ignoring])
    session = subprocess.Popen([sys.executable, "-S", "-c", ignoring], start_new_session=True)
    forked = multiprocessing.get_context("fork").Process(target=_ignore)
    forked.start()
    _note(file, os.getpid(), group.pid, session.pid, forked.pid, _orphan())
    time.sleep(FOREVER)


@job(process=True)
def leave(file: str) -> str:
    """End, and leave children behind."""
    child = subprocess.Popen([sys.executable, "-S", "-c", f"import time; time.sleep({FOREVER})"])
    child.returncode = 0  # so that nobody complains of it
    _note(file, os.getpid(), child.pid, _orphan())
    Path(file).read_text()
    return "ended"


@job(process=True)
def linger(file: str) -> str:
    """Return, and leave a thread that keeps the process."""
    threading.Thread(target=time.sleep, args=(FOREVER,)).start()
    _note(file, os.getpid())
    Path(file).read_text()
    return "returned"


@job(process=True)
async def stay_async(file: str) -> None:
    """Stay, and say how it ended."""
    try:
        _note(file, os.getpid())
        await asyncio.sleep(FOREVER)
    finally:
        Path(file).with_suffix(".end").write_text("cleaned up")


@job(process=True)
def stay_plainly(file: str) -> None:
    """Stay, and say how it ended."""
    try:
        _note(file, os.getpid())
        time.sleep(FOREVER)
    finally:
        Path(file).with_suffix(".end").write_text("cleaned up")


@job(process=True)
def listen(file: str, *, task: TaskContext) -> str:
    """Stay until it is told to end, not by a signal."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _note(file, os.getpid())
    while not task.canceled:
        time.sleep(0.001)
    Path(file).with_suffix(".end").write_text("heard it")
    return "heard it"


@job(process=True)
def pool(*, task: TaskContext) -> list[int]:
    """Use processes of its own, which are ended by SIGTERM."""
    with multiprocessing.get_context("fork").Pool(2) as workers:
        return workers.map(abs, [-1, -2])


@job(process=True)
def end_a_child(*, task: TaskContext) -> int | None:
    """End a forked process by SIGTERM, as anybody would, and tell its exit code."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(FOREVER,))
    child.start()
    child.terminate()
    child.join(SECONDS)
    return child.exitcode


@job(process=True)
async def end_a_child_async(*, task: TaskContext) -> int | None:
    """Do the same from a coroutine."""
    return await asyncio.to_thread(end_a_child, task=task)


@job(process=True)
async def sum_of_results(*, task: TaskContext) -> int:
    """Use the results of other tasks."""
    return sum(task.results.values())


JOBS = tuple(value for value in vars().copy().values() if hasattr(value, "__after_job__"))


def _ignore() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(FOREVER)


def _orphan() -> int:
    """Start a process that leaves the group, and whose parent ends."""
    heard, says = os.pipe()
    if not os.fork():
        os.setsid()
        if (pid := os.fork()) != 0:
            os.write(says, str(pid).encode())
            os._exit(0)
        _ignore()
    os.wait()
    return int(os.read(heard, 20))


def _note(file: str, *pids: int | None) -> None:
    """Tell the test, which reads the named pipe."""
    Path(file).write_text(" ".join(map(str, pids)))
