"""Processes that jobs have started: which they are, and whether they have ended."""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def pipe(folder: Path) -> Path:
    """Make the named pipe into which a job writes the ids of its processes."""
    path = folder / "pids"
    os.mkfifo(path)
    return path


async def told(path: Path) -> list[int]:
    """Wait until a job has written into the pipe, and give the ids."""
    return [int(pid) for pid in (await asyncio.to_thread(path.read_text)).split()]


async def let_end(path: Path) -> None:
    """Let a job go on that reads from the pipe before it ends, so that its processes live until they are watched."""
    await asyncio.to_thread(path.write_text, "end\n")


def parent(pid: int) -> int:
    """Give the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


class Watched:
    """Processes that are watched by file descriptors of theirs, so that none is taken for another of its number."""

    def __init__(self, pids: list[int]) -> None:
        self._open = {os.pidfd_open(pid): pid for pid in pids}

    def ended(self, seconds: float) -> bool:
        """Wait for the end of all, for so long at the most, and tell whether they have ended."""
        return not self._left(time.monotonic() + seconds)

    async def left(self, seconds: float) -> list[int]:
        """Wait in a thread, and give those that have not ended."""
        return await asyncio.to_thread(self._left, time.monotonic() + seconds)

    def _left(self, until: float) -> list[int]:
        waiting = dict(self._open)
        while waiting:
            ready, _, _ = select.select(list(waiting), [], [], max(0.0, until - time.monotonic()))
            if not ready:
                break
            for descriptor in ready:
                del waiting[descriptor]
        return list(waiting.values())

    def close(self) -> None:
        """Kill what is left, so that a failed test leaves nothing."""
        for descriptor, pid in self._open.items():
            if self._left_of(descriptor):
                os.kill(pid, 9)
            os.close(descriptor)

    def _left_of(self, descriptor: int) -> bool:
        return not select.select([descriptor], [], [], 0)[0]


@contextmanager
def watched(pids: list[int]) -> Iterator[Watched]:
    """Watch processes, which live now, for the length of a block."""
    watching = Watched(pids)
    try:
        yield watching
    finally:
        watching.close()
