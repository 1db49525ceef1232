"""Commands that answer questions about time: `next`, when would this run, and `audit`, what became of what was due."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from after.audit import OUTCOMES, Row, Summary
from after.cli.output import (
    URL,
    AsJson,
    Cron,
    Interval,
    Rrule,
    Timezone,
    Url,
    as_json,
    coloured,
    milliseconds,
    repetition,
    run,
    table,
)  # fmt: skip
from after.clock import SystemClock, now
from after.database import Database
from after.dates import DAY, format_instant, parse_instant
from after.many import audit
from after.nexts import occurrences, read, told, zone_of


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command("audit", epilog="Example: after audit --worker manobi --from 2026-11-24 --to 2026-11-25")(audit_command)
    app.command(
        "next",
        epilog="""Examples: after next '{"cron": "30 2 * * *", "timezone": "Europe/Berlin"}' --from 2026-03-27; """
        "after next --interval P1M --from 2026-01-31",
    )(next_command)


def next_command(
    repeat: Annotated[str | None, typer.Argument(help="A task's `repeat`: JSON, or such as R5/2026-12-01/P1D.")] = None,
    cron: Cron = None,
    interval: Interval = None,
    rrule: Rrule = None,
    timezone: Timezone = None,
    since: Annotated[str | None, typer.Option("--from", help="From then on; the task's date. Now without it.")] = None,
    count: Annotated[int, typer.Option(help="How many.", min=1, max=1000)] = 10,
    json: AsJson = False,
) -> None:
    """Tell when a repetition comes round, before anything is stored, and what the clocks do to it. Needs no engine."""
    asked = repetition(repeat, cron, interval, rrule, timezone)
    if asked is None:
        raise typer.BadParameter("give either a repeat or one of --cron, --interval, --rrule")
    rule = read(asked)
    start = now(SystemClock()) if since is None else _instant(since)
    found = occurrences(rule, start, count)
    if json:
        as_json(told(found))
    else:
        rows = [(format_instant(one.at), one.local, one.note) for one in found]
        table(("in UTC", f"in {zone_of(rule)}", "the clocks"), rows)


def audit_command(
    since: Annotated[str | None, typer.Option("--from", help="What was due then or later. A day before --to.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="What was due before. Now without it.")] = None,
    worker: Annotated[str | None, typer.Option(help="Only tasks of this worker.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only tasks with this tag.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Show only these, such as late,failed,missed.")] = None,
    tolerance: Annotated[str, typer.Option(help="What starts later than so long after its date is late.")] = "PT1S",
    limit: Annotated[int, typer.Option(help="How many rows to show; 0 for all. All are counted.", min=0)] = 100,
    url: Url = URL,
    json: AsJson = False,
) -> None:
    """Tell what was due, and what became of it: on time, late, failed, missed, skipped, canceled, pending, running."""
    wanted = frozenset(OUTCOMES if outcome is None else outcome.split(","))
    for one in wanted:
        if one not in OUTCOMES:
            raise typer.BadParameter(f"{one!r} is not one of {', '.join(OUTCOMES)}", param_hint="--outcome")
    instant = now(SystemClock())
    high = instant if until is None else _instant(until, "--to")
    low = high - DAY if since is None else _instant(since, "--from")
    late = milliseconds(tolerance, "--tolerance")
    if low >= high:
        raise typer.BadParameter("--to has to be later than --from")
    kept, summary = _Kept(limit), Summary()

    async def work() -> None:
        async with Database(url) as database:
            async for row in audit.rows(database, low, high, instant, worker=worker, tag=tag, tolerance=late):
                summary.add(row)
                if row.outcome in wanted and json:
                    as_json(row)
                elif row.outcome in wanted:
                    kept.add(row)

    run(work())
    if json:
        sys.stdout.flush()
        return
    table(("date", "id", "worker", "job", "outcome", "late", "took", "tries", "why"), map(_cells, kept.rows()))
    if kept.more:
        typer.echo(f"the first {limit} by date are shown; --limit 0 shows all", err=True)
    typer.echo(_summary(summary))


class _Kept:
    """The first rows by date, of rows that come in any order and may be very many."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows: list[Row] = []
        self.more = False

    def add(self, row: Row) -> None:
        self._rows.append(row)
        if self._limit and len(self._rows) > 10 * self._limit:
            self._rows = self.rows()

    def rows(self) -> list[Row]:
        """Give them by date."""
        self._rows.sort(key=lambda row: (row.date, row.id))
        self.more = self.more or bool(self._limit and len(self._rows) > self._limit)
        return self._rows[: self._limit or None]


def _cells(row: Row) -> tuple[object, ...]:
    date = row.date if row.last is None else f"{row.date} to {row.last}, {row.count or 'very many'}"
    late, took = (None if ms is None else _length(ms) for ms in (row.lateness_ms, row.duration_ms))
    return date, row.id, row.worker, row.job, coloured(row.outcome), late, took, row.attempts, row.why


def _length(ms: float) -> str:
    return f"{ms:,.1f} ms" if ms < 10_000 else f"{ms / 1000:,.0f} s"


def _summary(summary: Summary) -> str:
    counts = ", ".join(f"{summary.counts[one]:,} {one.replace('_', ' ')}" for one in OUTCOMES if summary.counts[one])
    half, most = summary.lateness(0.5), summary.lateness(0.99)
    late = "" if half is None or most is None else f"; late by {_length(half)} (p50), {_length(most)} (p99)"
    return f"{counts or 'nothing was due'}{late}"


def _instant(text: str, option: str = "--from") -> int:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
