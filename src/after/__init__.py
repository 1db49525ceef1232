"""After: schedule your tasks over HTTP.

Put a document `{worker, date, job, status}` into the database over HTTP; at that date a worker of that name runs the
job and writes into the same document what became of it.
"""

# Scheduling tasks
from after.blocking import BlockingClient
from after.client import Client

# Errors
from after.errors import (
    AfterError,
    BadRequest,
    Conflict,
    Forbidden,
    InvalidTask,
    JobError,
    NotFound,
    Refusal,
    Unreachable,
)

# Writing jobs
from after.jobs import TaskContext, job

# Timers in memory
from after.scheduler import Scheduler

# Statuses
from after.status import Status
from after.timers import Timer

__all__ = [
    "AfterError", "BadRequest", "BlockingClient", "Client", "Conflict", "Forbidden", "InvalidTask", "JobError",
    "NotFound", "Refusal", "Scheduler", "Status", "TaskContext", "Timer", "Unreachable", "job",
]  # fmt: skip

__version__ = "0.1.0"
