"""What can happen to a task; `after.lifecycle` says what each makes of it. Instants are ms since the epoch."""

from __future__ import annotations

from msgspec import Struct

from after.outcome import Outcome
from after.task import Document, Retry


class Claimed(Struct, frozen=True):
    """A worker process takes the task into its memory; `note` says why again, where it had claimed it before."""

    instance: str
    note: str | None = None


class Started(Struct, frozen=True, gc=False):
    """The job has begun at `at`, `lateness` ms after the task's date."""

    instance: str
    at: int
    lateness: float


class Ended(Struct, frozen=True, gc=False):
    """The run is over, or there was none because the task could not be run.

    `started` tells of the run, `duration` its length in ms; `policy` is the job's own retry policy, for a task that has
    none; `chance`, from 0 to 1, decides what the policy leaves to chance. Of a repeating task the worker keeps the next
    occurrence where that is not later than the instant `keep`.
    """

    instance: str
    outcome: Outcome
    started: Started | None = None
    duration: float = 0.0
    policy: Retry | None = None
    chance: float = 0.5
    keep: int | None = None


class Freed(Struct, frozen=True):
    """All tasks that this one had to wait for are done."""

    instance: str


class Finished(Struct, frozen=True):
    """A repeating task has no occurrence left that could be run."""

    instance: str


class Released(Struct, frozen=True):
    """The worker process gives the task back unrun."""

    instance: str
    note: str | None = None


class Lost(Struct, frozen=True):
    """The process that held the task is gone; `instance` is the survivor that says so."""

    instance: str
    holder: str
    policy: Retry | None = None


class Requested(Struct, frozen=True):
    """A client asks for a status and changes the fields it gives."""

    status: str
    changes: Document
    by: str = "client"


Event = Claimed | Started | Ended | Released | Lost | Freed | Finished | Requested
