"""Commands that answer questions about time: `next`, when would this run, and `audit`, what became of what was due."""

from __future__ import annotations

from typing import Annotated

import typer

from after.cli.output import AsJson, as_json, parsed, table
from after.clock import SystemClock, now
from after.dates import format_instant, parse_instant
from after.nexts import occurrences, read, told, zone_of


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command(
        "next",
        epilog="""Examples: after next '{"cron": "30 2 * * *", "timezone": "Europe/Berlin"}' --from 2026-03-27; """
        "after next --interval P1M --from 2026-01-31",
    )(next_command)


def next_command(
    repeat: Annotated[str | None, typer.Argument(help="A task's `repeat`: JSON, or such as R5/2026-12-01/P1D.")] = None,
    cron: Annotated[str | None, typer.Option(help="A cron expression.")] = None,
    interval: Annotated[str | None, typer.Option(help="An ISO 8601 duration.")] = None,
    rrule: Annotated[str | None, typer.Option(help="A recurrence rule of RFC 5545.")] = None,
    timezone: Annotated[str | None, typer.Option(help="An IANA time zone.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="From then on; the task's date. Now without it.")] = None,
    count: Annotated[int, typer.Option(help="How many.", min=1, max=1000)] = 10,
    json: AsJson = False,
) -> None:
    """Tell when a repetition comes round, before anything is stored, and what the clocks do to it. Needs no engine."""
    options = {"cron": cron, "interval": interval, "rrule": rrule, "timezone": timezone}
    options = {name: value for name, value in options.items() if value is not None}
    if (repeat is None) == (not options):
        raise typer.BadParameter("give either a repeat or one of --cron, --interval, --rrule")
    rule = read(parsed(repeat) if repeat is not None else options)
    start = now(SystemClock()) if since is None else _instant(since)
    found = occurrences(rule, start, count)
    if json:
        as_json(told(found))
    else:
        rows = [(format_instant(one.at), one.local, one.note) for one in found]
        table(("in UTC", f"in {zone_of(rule)}", "the clocks"), rows)


def _instant(text: str) -> int:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--from") from None
