"""What keeps tasks from running: the examination behind `after doctor`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from after.clock import SystemClock, now
from after.control import Control
from after.database import Database
from after.errors import AfterError, NotFound, Refusal
from after.status import ENDED, REQUESTS, Status
from after.task import Document

OVERDUE = 10_000
"""Milliseconds after its date from which a waiting task counts as overdue."""
MAX_SKEW = 1.0
"""Seconds by which two clocks may differ."""
LITTLE_DISK = 1024**3
NO_DISK = 100 * 1024**2
"""Free bytes below which a disk is worth a word, and below which writes will soon fail."""
LOOKED_AT = 1_000
"""How many tasks of a worker are looked at for each question; more would answer it no better."""
LIVING = ("running", "paused", "draining")


class Finding(NamedTuple):
    """One thing that was looked at; `level` is ok, warn or fail."""

    level: str
    what: str
    found: str
    advice: str = ""


async def examine(url: str, digests: Collection[str] = ()) -> list[Finding]:
    """Look at the engine, the workers and their tasks; give what was found, one line a thing.

    `digests` are those of the design documents that this After would install in a CouchDB.
    """
    found: list[Finding] = []
    try:
        async with Database(url) as database:
            found += [await _engine(database), _clock(database), *await _disk(database)]
            if not await _is_after(database):
                found += await _installed(database, digests)
                if found[-1].level == "fail":
                    return found  # without the views there is nothing more to see
            workers = await Control(database).workers()
            if not workers:
                found.append(Finding("ok", "workers", "none, and no tasks", "after start NAME --jobs MODULE"))
            for worker in workers:
                found += await _worker(database, worker)
            return found
    except Refusal as error:
        advice = "is this the URL of an After database? In CouchDB, after install makes one"
        return [*found, Finding("fail", "engine", str(error), advice)]
    except AfterError as error:
        return [*found, Finding("fail", "engine", str(error), "after serve, or set AFTER_URL")]


async def _engine(database: Database) -> Finding:
    info, engine = await database.info(), await database.engine()
    vendor = engine.get("vendor") or {}
    name, version = ("After", vendor.get("version")) if vendor.get("name") == "After" else ("CouchDB", None)
    told = f"{name} {version or engine.get('version')} answers at {database.url}"
    return Finding("ok", "engine", f"{told}, {info.get('doc_count')} documents")


async def _is_after(database: Database) -> bool:
    vendor = (await database.engine()).get("vendor") or {}
    return bool(vendor.get("name") == "After")


async def _installed(database: Database, digests: Collection[str]) -> list[Finding]:
    """Look whether CouchDB has the design document that this After would install."""
    what, again = "design document", f"after install {database.url.with_user('ADMIN').with_password('PASSWORD')}"
    try:
        design = await database.get("_design/after")
    except NotFound:
        return [Finding("fail", what, "After is not installed in this database", again)]
    told = design.get("after")
    if not isinstance(told, dict):
        return [Finding("fail", what, "_design/after is not After's", "use another database")]
    found = []
    if "validate_doc_update" not in design:
        trust = f"trust all who may write, or {again}"
        found.append(Finding("warn", what, "has no rules: whoever may write can set any status", trust))
    if told.get("digest") in digests:
        return found or [Finding("ok", what, f"of After {told.get('version')}")]
    return [*found, Finding("warn", what, f"of After {told.get('version')}, differs from this one's", again)]


def _clock(database: Database) -> Finding:
    skew = database.skew or 0.0
    if abs(skew) <= MAX_SKEW:
        return Finding("ok", "clock", "agrees with the engine's")
    return Finding("warn", "clock", f"differs from the engine's by {skew:.1f} s", "set both by NTP")


async def _disk(database: Database) -> list[Finding]:
    """Say how much room the engine has, where it tells: After's does, CouchDB does not."""
    try:
        free = (await database.engine("_up")).get("disk_free")
    except NotFound:
        return []
    if not isinstance(free, int):
        return []
    level = "fail" if free < NO_DISK else "warn" if free < LITTLE_DISK else "ok"
    advice = "" if level == "ok" else "after clean NAME, or a larger disk"
    return [Finding(level, "disk", f"{free / 1024**3:.1f} GiB free for the database", advice)]


async def _worker(database: Database, worker: Document) -> list[Finding]:
    found = [_state(worker, await _overdue(database, worker["name"]))]
    found += await _held_by_nobody(database, worker)
    if worker["state"] in LIVING:
        found += await _unknown_jobs(database, worker)
    if failed := worker["tasks"].get(Status.ERR, 0):
        advice = f"after tasks --worker {worker['name']} --status err"
        found.append(_finding("warn", worker, f"{failed} tasks failed", advice))
    return found


def _finding(level: str, worker: Document, found: str, advice: str = "") -> Finding:
    return Finding(level, f"worker {worker['name']}", found, advice)


def _state(worker: Document, overdue: int) -> Finding:
    name, state = worker["name"], worker["state"]
    told = f"{overdue if overdue < LOOKED_AT else f'{overdue} or more'} tasks overdue" if overdue else "nothing overdue"
    if state == "paused":
        return _finding("warn", worker, f"paused: {worker['note'] or 'no note'}; {told}", f"after resume {name}")
    if state in LIVING:
        advice = f"more --concurrency, or one more `after start {name}`" if overdue else ""
        return _finding("warn" if overdue else "ok", worker, f"{state}, {told}", advice)
    pending = sum(count for status, count in worker["tasks"].items() if status not in ENDED)
    if not pending:
        return _finding("ok", worker, f"{state}, nothing to do")
    level = "fail" if overdue else "warn"
    return _finding(level, worker, f"{state}, {pending} tasks pending, {told}", f"after start {name} --jobs MODULE")


async def _overdue(database: Database, name: str) -> int:
    end = [name, now(SystemClock()) - OVERDUE]
    return len(await database.view("due", startkey=[name], endkey=end, limit=LOOKED_AT))


async def _held_by_nobody(database: Database, worker: Document) -> list[Finding]:
    """Find tasks in the hands of processes that are gone, where no other lives to take them back."""
    name = worker["name"]
    if worker["state"] in LIVING:
        return []
    held = len(await database.view("held", startkey=[name], endkey=[name, {}], limit=LOOKED_AT))
    if not held:
        return []
    found = f"{held} tasks are held by processes that are gone"
    return [_finding("fail", worker, found, f"after start {name} takes them back")]


async def _unknown_jobs(database: Database, worker: Document) -> list[Finding]:
    """Find pending tasks whose job no living process has, and processes with different jobs."""
    name, found = worker["name"], []
    sets = {tuple(one["jobs"] or ()) for one in worker["instances"] if one["state"] in LIVING}
    if len(sets) > 1:
        found.append(_finding("warn", worker, "its processes have different jobs", "start all with the same --jobs"))
    missing: set[str] = set()
    for status in sorted(REQUESTS):
        rows = await database.view(
            "by_worker", startkey=[name, status], endkey=[name, status, {}], limit=LOOKED_AT,
            include_docs=True, reduce=False,
        )  # fmt: skip
        missing.update(job for row in rows if row.doc for job in _job(row.doc) if job not in worker["jobs"])
    if missing:
        told = ", ".join(sorted(missing)[:5])
        advice = "start it with --jobs that have them, before they are due"
        found.append(_finding("fail", worker, f"pending tasks name jobs that it does not have: {told}", advice))
    return found


def _job(task: Document) -> Iterator[str]:
    job = task.get("job")
    name = job.get("name") if isinstance(job, dict) else job
    if isinstance(name, str):
        yield name
