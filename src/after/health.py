"""What keeps tasks from running: the examination behind `after doctor`."""

from __future__ import annotations

from typing import NamedTuple

from after.clock import SystemClock, now
from after.control import Control
from after.database import Database
from after.errors import AfterError, Refusal
from after.status import Status
from after.task import Document

OVERDUE = 10_000
"""Milliseconds after its date from which a waiting task counts as overdue."""
MAX_SKEW = 1.5
"""Seconds of difference between two clocks, one of which is told to the second."""


class Finding(NamedTuple):
    """One thing that was looked at; `level` is ok, warn or fail."""

    level: str
    what: str
    found: str
    advice: str = ""


async def examine(url: str) -> list[Finding]:
    """Look at the engine, the workers and their tasks; give what was found, one line a thing."""
    try:
        async with Database(url) as database:
            info = await database.info()
            found = [Finding("ok", "engine", f"{database.url} answers, {info.get('doc_count')} documents")]
            found.append(_clock(database))
            workers = await Control(database).workers()
            if not workers:
                found.append(Finding("warn", "workers", "none, and no tasks", "after start NAME --jobs …"))
            for worker in workers:
                found += await _worker(database, worker)
            return found
    except Refusal as error:
        return [Finding("fail", "engine", str(error), "is this the URL of an After database?")]
    except AfterError as error:
        return [Finding("fail", "engine", str(error), "after serve, or set AFTER_URL")]


def _clock(database: Database) -> Finding:
    skew = database.skew or 0.0
    if abs(skew) <= MAX_SKEW:
        return Finding("ok", "clock", "agrees with the engine's")
    return Finding("warn", "clock", f"differs from the engine's by {skew:.1f} s", "set both by NTP")


async def _worker(database: Database, worker: Document) -> list[Finding]:
    name, state = worker["name"], worker["state"]
    overdue = await _overdue(database, name)
    told = f"{overdue} overdue" if overdue else "nothing overdue"
    found = []
    if state in ("running", "draining"):
        level = "warn" if overdue else "ok"
        found.append(
            Finding(
                level, f"worker {name}", f"{state}, {told}", "more --concurrency, or more processes" * bool(overdue)
            )
        )
    elif state == "paused":
        found.append(
            Finding("warn", f"worker {name}", f"paused: {worker['note'] or 'no note'}; {told}", f"after resume {name}")
        )
    elif overdue or _pending(worker):
        found.append(Finding("fail", f"worker {name}", f"{state}, {told}", f"after start {name} --jobs …"))
    else:
        found.append(Finding("ok", f"worker {name}", f"{state}, nothing to do"))
    lost = [one["instance"] for one in worker["instances"] if one["state"] == "lost"]
    if lost and state not in ("running", "paused", "draining"):
        rows = await database.view("held", startkey=[name], endkey=[name, {}], limit=1)
        if rows:
            found.append(
                Finding("fail", f"worker {name}", f"tasks are held by {lost[0]}, which is gone", f"after start {name}")
            )
    failed = worker["tasks"].get(Status.ERR, 0)
    if failed:
        found.append(
            Finding("warn", f"worker {name}", f"{failed} tasks failed", f"after tasks --worker {name} --status err")
        )
    return found


def _pending(worker: Document) -> int:
    pending = (Status.WAITING, Status.SCHEDULE, Status.RESCHEDULE, Status.SCHEDULED, Status.RUNNING, Status.CANCEL)
    return sum(worker["tasks"].get(status, 0) for status in pending)


async def _overdue(database: Database, name: str) -> int:
    end = [name, now(SystemClock()) - OVERDUE]
    rows = await database.view("due", startkey=[name], endkey=end, limit=1001)
    return len(rows)
