"""The jobs `compact` and `clean`, which look after the database that their worker works for."""

from __future__ import annotations

import asyncio
from typing import Any

from after.cleaning import Cleaned, clean_tasks, remove_orphans
from after.clock import Clock, now
from after.database import Database
from after.dates import parse_elapsed
from after.errors import Forbidden, Unauthorized
from after.jobs.context import TaskContext
from after.jobs.job import Job
from after.outcome import FailedAs, failed
from after.status import ENDED

LOOK_SECONDS = 0.5
"""How long to wait between two looks whether the engine has done what it was asked for."""


class Upkeep:
    """The jobs of a worker of this name, on its database."""

    def __init__(self, database: Database, name: str, clock: Clock) -> None:
        self._database = database
        self._name = name
        self._clock = clock

    def jobs(self) -> list[Job]:
        """Give the jobs."""
        return [Job("compact", self.compact), Job("clean", self.clean)]

    async def compact(self) -> dict[str, int]:
        """Let the engine give back the space of what is gone, and tell the bytes of its file before and after."""
        before = await self._database.info()
        try:
            await self._database.compact()
        except (Forbidden, Unauthorized) as error:
            reason = f"{error.reason}; on CouchDB the worker's account has to be an administrator of the database"
            raise FailedAs(failed(type(error).__name__, reason, final=True)) from None
        while (after := await self._database.info()).get("compact_running"):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(LOOK_SECONDS)
        return {"before": before["sizes"]["file"], "after": after["sizes"]["file"]}

    async def clean(
        self,
        older: Any,
        status: Any = ("done", "canceled"),
        worker: Any = None,
        limit: Any = None,
        *,
        task: TaskContext,
    ) -> dict[str, int]:
        """Remove a worker's tasks that ended and whose date is longer ago than `older`; tell how many.

        A cancel or a timeout ends it between two requests, as any other coroutine.
        """
        before = now(self._clock) - _elapsed(older)
        name, most = _worker(worker, self._name), _limit(limit)
        done = Cleaned()
        async for done in clean_tasks(self._database, name, _statuses(status), before, most):
            task.progress(text=f"{done.removed} removed, {done.kept} kept")
        await remove_orphans(self._database)
        return done._asdict()


def _elapsed(older: Any) -> int:
    if not isinstance(older, str):
        raise _wrong("older", f"expected a duration such as P30D, got {older!r:.80}")
    try:
        return parse_elapsed(older)
    except ValueError as error:
        raise _wrong("older", str(error)) from None


def _statuses(status: Any) -> list[str]:
    known = ", ".join(sorted(ENDED))
    if not isinstance(status, list | tuple) or not status:
        raise _wrong("status", f"expected an array of {known}")
    for one in status:
        if not isinstance(one, str) or one not in ENDED:
            raise _wrong("status", f"{one!r:.80} is not one of {known}")
    return list(dict.fromkeys(status))


def _worker(worker: Any, own: str) -> str:
    if worker is None:
        return own
    if not isinstance(worker, str) or not worker:
        raise _wrong("worker", f"expected the name of a worker, got {worker!r:.80}")
    return worker


def _limit(limit: Any) -> int | None:
    if limit is None:
        return None
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise _wrong("limit", f"expected a whole number from 1, got {limit!r:.80}")
    return limit


def _wrong(keyword: str, problem: str) -> FailedAs:
    return FailedAs(failed("WrongArguments", f"{keyword}: {problem}", final=True))
