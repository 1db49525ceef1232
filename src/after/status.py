"""The statuses of a task and the one table that says who may change which into which.

Everything else that knows about statuses is made from this table or tested against it: the server's rules,
the design document's `validate_doc_update`, and the diagram in the documentation.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where a task stands."""

    WAITING = "waiting"
    SCHEDULE = "schedule"
    RESCHEDULE = "reschedule"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    DONE = "done"
    ERR = "err"
    CANCEL = "cancel"
    CANCELED = "canceled"


class Role(StrEnum):
    """What somebody who writes a task acts as. A worker may do all that a client may."""

    CLIENT = "client"
    WORKER = "worker"


STATUSES = frozenset(status.value for status in Status)
ENDED = frozenset({Status.DONE, Status.ERR, Status.CANCELED})
HELD = frozenset({Status.SCHEDULED, Status.RUNNING})
REQUESTS = frozenset({Status.WAITING, Status.SCHEDULE, Status.RESCHEDULE, Status.CANCEL})
"""What a worker has to act on: these and only these come to it through the feed and the view `due`."""

NEW_BY_CLIENT = frozenset({Status.WAITING, Status.SCHEDULE})
"""With these a client may put a new task; a worker, or a replication, may bring one in any status."""

# old -> what a client may make of it. Each may also stay as it is, so that other fields can be changed.
_BY_CLIENT: dict[Status, str] = {
    Status.WAITING: "schedule reschedule cancel done err",
    Status.SCHEDULE: "waiting reschedule cancel done err",
    Status.RESCHEDULE: "waiting schedule cancel done err",
    Status.SCHEDULED: "schedule reschedule cancel done err",
    Status.RUNNING: "reschedule cancel done err",
    Status.CANCEL: "schedule reschedule done err",
    Status.DONE: "schedule",
    Status.ERR: "schedule",
    Status.CANCELED: "schedule",
}

# old -> what a worker may make of it besides.
_BY_WORKER: dict[Status, str] = {
    Status.WAITING: "scheduled running",
    Status.SCHEDULE: "scheduled running",
    Status.RESCHEDULE: "scheduled running",
    Status.SCHEDULED: "waiting running",
    Status.RUNNING: "waiting scheduled",
    Status.CANCEL: "canceled",
}


def _table() -> dict[tuple[str | None, str], frozenset[Role]]:
    both, worker = frozenset(Role), frozenset({Role.WORKER})
    table: dict[tuple[str | None, str], frozenset[Role]] = {}
    for new in Status:
        table[None, new] = both if new in NEW_BY_CLIENT else worker
        table[new, new] = both
    for old, names in _BY_WORKER.items():
        table.update({(old, new): worker for new in names.split()})
    for old, names in _BY_CLIENT.items():
        table.update({(old, new): both for new in names.split()})
    return table


TRANSITIONS = _table()
"""(old status, or None for a new task; new status) -> the roles that may make the change; absent means nobody."""


def refused(old: str | None, new: str, role: Role) -> str | None:
    """Say why this change of status is refused, naming both statuses, or give None where it is allowed."""
    roles = TRANSITIONS.get((old, new))
    if roles is None:
        if new not in STATUSES:
            return f"status: '{new}' is not one of {', '.join(Status)}"
        return f"status: '{old}' cannot become '{new}'"
    if role in roles:
        return None
    if old is None:
        return f"status: a new task is 'waiting' or 'schedule'; '{new}' is set by workers only"
    return f"status: '{old}' becomes '{new}' by a worker only"
