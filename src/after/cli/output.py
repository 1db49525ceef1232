"""What commands print: tables for people, JSON for programs, complaints."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Coroutine, Iterable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from after.database import DEFAULT_URL, Database
from after.dates import parse_elapsed

T = TypeVar("T")


def checked_url(url: str | None) -> str | None:
    """Give an option that is the URL of a database, or none; refuse any other."""
    try:
        Database(DEFAULT_URL if url is None else url)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return url


Url = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="AFTER_URL",
        help="The database's URL; those of a cluster's nodes separated by commas.",
        show_envvar=True,
        callback=checked_url,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
URL = DEFAULT_URL

COLOURS = {
    "waiting": "default", "schedule": "default", "reschedule": "default", "scheduled": "cyan", "running": "blue",
    "done": "green", "err": "red", "cancel": "yellow", "canceled": "yellow",
    "paused": "yellow", "draining": "yellow", "stopped": "default", "down": "red", "lost": "red",
    "on_time": "green", "late": "yellow", "failed": "red", "missed": "red", "skipped": "yellow", "pending": "default",
    "ok": "green", "warn": "yellow", "fail": "red",
}  # fmt: skip


def console() -> Console:
    """Give what tables are printed to; wide where nobody looks, so that nothing is cut off."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=200)


def coloured(word: object) -> Text:
    """Give a status or state in its colour."""
    return Text(line(word), style=COLOURS.get(str(word), "default"))


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; nothing but its titles where it has no rows."""
    made = Table(*titles, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        made.add_row(*[cell if isinstance(cell, Text) else Text("" if cell is None else line(cell)) for cell in row])
    console().print(made)


def as_json(value: object) -> None:
    """Print one JSON value on one line."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def complain(reason: str) -> None:
    """Say on stderr what is wrong, on one line."""
    sys.stderr.write(f"after: {line(reason)}\n")


_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def line(text: object) -> str:
    """Put a text on one line, without what would act on a terminal: it may come from anybody who can put a task."""
    return _CONTROLS.sub(" ", str(text))


def milliseconds(text: str, option: str) -> int:
    """Read an option that is an ISO 8601 duration."""
    try:
        return parse_elapsed(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def parsed(text: str) -> Any:
    """Read an argument as JSON where it is JSON, as text otherwise."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


Cron = Annotated[str | None, typer.Option(help="A cron expression.")]
Interval = Annotated[str | None, typer.Option(help="An ISO 8601 duration.")]
Rrule = Annotated[str | None, typer.Option(help="A recurrence rule of RFC 5545.")]
Timezone = Annotated[str | None, typer.Option(help="An IANA time zone.")]


def repetition(
    repeat: str | None, cron: str | None, interval: str | None, rrule: str | None, timezone: str | None
) -> Any:
    """Give a task's `repeat`, said as a whole or by options of its parts; None where nothing is said of it."""
    options = {"cron": cron, "interval": interval, "rrule": rrule, "timezone": timezone}
    given = {name: value for name, value in options.items() if value is not None}
    if repeat is not None and given:
        raise typer.BadParameter("give either a repeat as a whole, or its parts by --cron, --interval, --rrule")
    return parsed(repeat) if repeat is not None else given or None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work."""
    return asyncio.run(work)
