"""When garbage is looked for. What it needs of Python's collector holds for a process, so each test has its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from commanding import SECONDS, Command

from after.blocking import BlockingClient

if TYPE_CHECKING:
    from serving import Server

COMMON = """
import gc, weakref
from after.collector import SHARE, Collector, memory_used
from after.testing import TurnableClock

def take_time(phase, info):
    if phase == "stop" and info["generation"] == 2:
        clock.advance(5)

clock = TurnableClock()
gc.callbacks.append(take_time)
collector = Collector(clock=clock)

class Node:
    pass

def left(content=None):
    "Leave a cycle behind that was old before it was garbage."
    node = Node()
    node.itself, node.content = node, content
    gc.collect(0)
    return weakref.ref(node)
"""

BY_TIME = """
node = left()
busy = [[] for _ in range(2_100_000)]  # Python looks at the youngest 2,100 times
assert node() is not None
collector.look()
assert node() is not None, "not long ago for what it takes"
clock.advance(5 * SHARE - 1)
collector.look()
assert node() is not None
clock.advance(1)
collector.look()
assert node() is None
"""

BY_MEMORY = """
MIB = 1024 * 1024
for _ in range(40):
    left(b"x" * (64 * MIB))
    collector.look()
    assert memory_used() < 640 * MIB, memory_used()
"""

JOB = """
import asyncio, gc, weakref
from after import job

class Node: pass

@job
async def leave():
    gone = asyncio.Event()
    node = Node()
    node.itself, node.content = node, b"x" * 400_000_000
    weakref.finalize(node, asyncio.get_running_loop().call_soon_threadsafe, gone.set)
    gc.collect(0)
    del node
    await gone.wait()
"""


def run(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", COMMON + script], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr


def test_old_objects_are_looked_at_after_long_enough_for_what_it_takes() -> None:
    run(BY_TIME)


def test_old_objects_are_looked_at_where_memory_grows() -> None:
    run(BY_MEMORY)


def test_a_worker_finds_the_garbage_of_its_jobs(server: Server, tmp_path: Path) -> None:
    jobs = tmp_path / "leaving.py"
    jobs.write_text(JOB)
    with Command("start", "manobi", "--jobs", jobs, url=server.database), BlockingClient(server.database) as tasks:
        task = tasks.wait(tasks.schedule("manobi", "leave")["_id"], SECONDS)
    assert task["status"] == "done"
