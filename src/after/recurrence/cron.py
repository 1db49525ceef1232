"""Cron expressions: read by the library cronsim, looked up in the calendar here, forwards and backwards."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache

from cronsim import CronSim, CronSimError

from after.recurrence.grid import Days, Grid, Times

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ANY = datetime(2000, 1, 1)  # noqa: DTZ001 - only so that the expression is read


class Cron:
    """The nominal times, in ms, of a cron expression.

    `elapsed` is true where its minute or hour begins with `*`: such an expression follows elapsed time, as Debian's
    cron does.
    """

    def __init__(self, expression: str) -> None:
        """Read an expression of five fields, or of six with the second first; raises `ValueError`."""
        try:
            fields = CronSim(MACROS.get(expression.strip().lower(), expression), _ANY)
        except (CronSimError, AssertionError) as error:
            raise ValueError(f"{expression!r:.80} is not a cron expression: {_explained(expression, error)}") from None
        self.elapsed = fields.parts[1].startswith("*") or fields.parts[2].startswith("*")

        def matches(day: date) -> bool:
            return day.month in fields.months and fields.match_day(day)

        self._grid = Grid(Days(matches), Times(fields.hours, fields.minutes, fields.seconds))
        if self._grid.at_or_after(0) is None:
            raise ValueError(f"{expression!r:.80} never occurs")

    def after(self, nominal: int) -> int | None:
        """Give the first nominal time strictly later; None where there is none up to the year 9999."""
        found = self._grid.at_or_after(nominal // 1000 + 1)
        return None if found is None else found * 1000

    def up_to(self, nominal: int) -> int | None:
        """Give the last nominal time that is not later; None where there is none from the year 1."""
        found = self._grid.at_or_before(nominal // 1000)
        return None if found is None else found * 1000


@lru_cache(maxsize=1024)
def cron(expression: str) -> Cron:
    """Read a cron expression, once for all tasks that have it; raises `ValueError`."""
    return Cron(expression)


def _explained(expression: str, error: Exception) -> str:
    if expression.strip().startswith("@"):
        return f"of macros it takes {', '.join(MACROS)}"
    reason = str(error)
    return "it has five fields, or six with seconds first" if reason == "Wrong number of fields" else reason.lower()
