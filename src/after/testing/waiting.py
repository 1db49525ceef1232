"""The tasks that wait for others: what becomes of them when those have ended."""

from __future__ import annotations

from after.database import Database
from after.status import ENDED
from after.task import Document
from after.testing.clock import TurnableClock
from after.testing.place import INSTANCE
from after.worker.dependencies import Dependencies


class Waiting:
    """Looks after the tasks with `after`, as a worker does, at the beginning and whenever a task has ended."""

    def __init__(self, database: Database, clock: TurnableClock) -> None:
        self._database = database
        self._clock = clock
        self._wanted = True

    def look(self) -> None:
        """Hear that a task has ended."""
        self._wanted = True

    async def free(self, ended: list[Document]) -> bool:
        """Free the tasks that need wait no longer, and add to `ended` those that will never run; False for none."""
        changed = False
        while self._wanted:
            before = await self._blocked()
            for name in sorted(set(before.values())):
                await Dependencies(self._database, self._clock, name, INSTANCE).sweep()
            left = await self._blocked() if before else before
            gone = sorted(before.keys() - left.keys())
            tasks = (await self._database.get_many(gone)).values()
            ended += [task for task in tasks if task["status"] in ENDED]
            self._wanted = bool(gone)  # a task that failed may have others that wait for it
            changed = changed or bool(gone)
        return changed

    async def _blocked(self) -> dict[str, str]:
        """Give the ids of the tasks that wait for others, with their workers' names."""
        return {row.id: row.value for row in await self._database.view("blocked")}
