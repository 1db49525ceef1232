"""What a worker does about a task that it does not hold: a decision without any effect."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from after import repeating
from after.dates import parse_elapsed
from after.errors import Refusal
from after.events import Ended, Finished, Released
from after.jobs.job import Job
from after.outcome import Failed, Stopped, failed
from after.status import REQUESTS, Status
from after.task import Call, Document, call, check, due, is_blocked


class Plan(Enum):
    """Leave the task alone, look at what it waits for, or claim it."""

    LEAVE = "leave"
    BLOCKED = "blocked"
    CLAIM = "claim"


def plan(
    task: Document, now: int, horizon: int, instance: str, jobs: Mapping[str, Job]
) -> Plan | Ended | Released | Finished:
    """Say what to do about a task that was found: leave it, claim it, or answer it at once.

    `horizon` is the last instant, in ms, up to which tasks are claimed ahead.
    """
    status = task.get("status") or Status.WAITING
    if status not in REQUESTS or task.get("claim"):
        return Plan.LEAVE  # what another process holds is its own to answer, or its rescuer's
    if status == Status.CANCEL:
        return Ended(instance, Stopped())
    try:
        check(task)
    except Refusal as error:
        return Ended(instance, failed("InvalidTask", error.reason, final=True))
    moved = repeating.found(task, now) if repeating.repeats(task) else None
    if isinstance(moved, repeating.Over):
        return Finished(instance)
    if moved is not None:
        task = {**task, "date": moved.date}
    if is_blocked(task) and status != Status.RESCHEDULE:
        return Plan.BLOCKED
    if due(task) > horizon:
        # A request is answered when it is seen, so that its status tells what is true; the task itself has time.
        return Plan.LEAVE if status == Status.WAITING and moved is None else Released(instance)
    if is_blocked(task):
        return Released(instance)
    found = runnable(task, now, jobs)
    return Ended(instance, found) if isinstance(found, Failed) else Plan.CLAIM


def runnable(task: Document, now: int, jobs: Mapping[str, Job]) -> tuple[Job, Call] | Failed:
    """Give the job of a checked task and what it is called with, or why it cannot be run at all."""
    wanted = call(task)
    job = jobs.get(wanted.name)
    if job is None:
        known = ", ".join(sorted(jobs)) or "none"
        return failed("UnknownJob", f"job: this worker has no job {wanted.name!r}; it has {known}", final=True)
    if (reason := job.refuses(wanted)) is not None:
        return failed("WrongArguments", reason, final=True)
    return expired(task, now) or (job, wanted)


def expired(task: Document, now: int) -> Failed | None:
    """Say that it is too late to start a task, or give None."""
    expires = task.get("expires")
    if expires is None or now - due(task) <= parse_elapsed(expires):
        return None
    return failed("Expired", f"expires: the task was to start within {expires} of its date", final=True)


def job_of(task: Document, jobs: Mapping[str, Job]) -> Job | None:
    """Give the job of a task that may not have been checked, None where there is none."""
    job = task.get("job")
    name = job.get("name") if isinstance(job, dict) else job
    return jobs.get(name) if isinstance(name, str) else None
