"""`after add`: one task, or a file of them."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from after.cli.output import (
    URL,
    AsJson,
    Cron,
    Interval,
    Rrule,
    Timezone,
    Url,
    as_json,
    complain,
    parsed,
    repetition,
    run,
)  # fmt: skip
from after.client import Client
from after.errors import Refusal, Unreachable
from after.task import Document

BATCH = 1_000
Element = tuple[int, bytes]
"""A task of a file, unread, and where it stands."""


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command(
        "add",
        epilog="Examples: after add manobi start_campaign 2 3 teste --date 2026-12-01T09:00:00Z; "
        "after add manobi report --cron '30 2 * * *' --timezone Europe/Berlin; after add --file tasks.ndjson",
    )(add)


def add(
    worker: Annotated[str | None, typer.Argument(help="The name of the worker that is to run it.")] = None,
    job: Annotated[str | None, typer.Argument(help="The job's name.")] = None,
    arguments: Annotated[list[str] | None, typer.Argument(help="The job's arguments: JSON, or else text.")] = None,
    date: Annotated[str | None, typer.Option(help="ISO 8601, or a time from now such as PT5M; now without it.")] = None,
    id: Annotated[str | None, typer.Option(help="The task's id; the same task again changes nothing.")] = None,  # noqa: A002
    keyword: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the job. Repeatable.")] = None,
    repeat: Annotated[str | None, typer.Option(help="When it runs again: JSON, or such as R5/2026-12-01/P1D.")] = None,
    cron: Cron = None,
    interval: Interval = None,
    rrule: Rrule = None,
    timezone: Timezone = None,
    after: Annotated[list[str] | None, typer.Option(help="The id of a task to be done before. Repeatable.")] = None,
    key: Annotated[str | None, typer.Option(help="Tasks of one key run one at a time.")] = None,
    retry: Annotated[str | None, typer.Option(help="""Such as '{"limit": 3, "interval": "PT10S"}'.""")] = None,
    timeout: Annotated[str | None, typer.Option(help="How long a run may take, such as PT1M.")] = None,
    expires: Annotated[str | None, typer.Option(help="How late it may still start, such as PT1H.")] = None,
    priority: Annotated[int | None, typer.Option(help="-100 to 100, among tasks due together.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag. Repeatable.")] = None,
    file: Annotated[Path | None, typer.Option(help="NDJSON, or a JSON array, of tasks; - for standard input.")] = None,
    url: Url = URL,
    json: AsJson = False,
) -> None:
    """Put one task, or all tasks of a file; those of a file that are refused are told by their number."""
    if file is not None:
        if worker is not None:
            raise typer.BadParameter("give either a worker and a job, or --file")
        raise typer.Exit(run(_add_all(url, _elements(file), json)))
    if worker is None or job is None:
        raise typer.BadParameter("give a worker and a job, or --file")
    options = {"retry": None if retry is None else parsed(retry), "timeout": timeout, "expires": expires}
    options |= {"priority": priority, "tags": tag or None, "after": after or None, "key": key}
    options["repeat"] = repetition(repeat, cron, interval, rrule, timezone)
    keywords = dict(_keyword(text) for text in keyword or ())
    fields = {name: value for name, value in options.items() if value is not None}

    async def work() -> Document:
        async with Client(url) as client:
            given = [parsed(text) for text in arguments or ()]
            return await client.schedule(worker, job, *given, date=date, keywords=keywords, id=id, **fields)

    task = run(work())
    if json:
        as_json(task)
    else:
        typer.echo(f"{task['_id']}  {task['status']}  {task['date']}")


def _keyword(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--keyword")
    return name, parsed(value)


def _elements(file: Path) -> list[Element]:
    """Give the tasks of a file, unread, each with the number of its line, or of its place in the array, from 1."""
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="--file") from None
    content = content.removeprefix(BOM_UTF8)
    if content.lstrip()[:1] != b"[":
        return [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    try:
        return list(enumerate(map(bytes, msgspec.json.decode(content, type=list[msgspec.Raw])), 1))
    except (msgspec.DecodeError, RecursionError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="--file") from None


async def _add_all(url: str, elements: list[Element], json: bool) -> int:
    refused = 0
    async with Client(url) as client:
        with _progress(len(elements)) as progress:
            bar = progress.add_task("tasks", total=len(elements))
            for start in range(0, len(elements), BATCH):
                batch = elements[start : start + BATCH]
                try:
                    refused += await _add_batch(client, batch, json)
                except Unreachable as error:
                    raise Unreachable(f"{error}; from {batch[0][0]} on it is not known what is put") from None
                progress.advance(bar, len(batch))
    typer.echo(f"{len(elements) - refused} tasks put, {refused} refused", err=True)
    return 1 if refused else 0


async def _add_batch(client: Client, batch: list[Element], json: bool) -> int:
    """Put tasks in one request, say which are refused, and give how many."""
    tasks = [(number, _document(element)) for number, element in batch]
    answers = iter(await client.schedule_many(task for _, task in tasks if isinstance(task, dict)))
    return sum(_tell(number, next(answers) if isinstance(task, dict) else task, json) for number, task in tasks)


def _document(element: bytes) -> Document | str:
    try:
        value = msgspec.json.decode(element)
    except (msgspec.DecodeError, RecursionError) as error:
        return f"is not JSON: {error}"
    return value if isinstance(value, dict) else "is not a JSON object"


def _tell(place: int, outcome: Document | Refusal | str, json: bool) -> bool:
    """Say what became of the task at this place; give whether it was refused."""
    if isinstance(outcome, dict):
        if json:
            as_json(outcome)
        return False
    complain(f"{place}: {outcome}")
    return True


def _progress(total: int) -> Progress:
    shown = Console(stderr=True)
    return Progress(
        *Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn(),
        console=shown, disable=not shown.is_terminal or total < BATCH, transient=True,
    )  # fmt: skip
