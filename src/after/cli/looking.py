"""Commands that look at tasks: `tasks`, `show`, `watch`."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from after.cli.output import URL, AsJson, Url, as_json, coloured, console, line, run, table
from after.client import Client
from after.database import bare
from after.errors import Unreachable
from after.status import STATUSES
from after.task import Document, call

Worker = Annotated[str | None, typer.Option(help="Only those of this worker.")]
Status = Annotated[str | None, typer.Option(help="Only those in this status.")]
HISTORY = ("at", "status", "by", "attempt", "date", "lateness_ms", "duration_ms", "next", "missed", "error", "note")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command("tasks", epilog="Example: after tasks --worker manobi --status err")(tasks)
    app.command("show", epilog="Example: after show spring-sale")(show)
    app.command("watch", epilog="Example: after watch --worker manobi")(watch)


def tasks(
    worker: Worker = None,
    status: Status = None,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Only those due then or later.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Only those due before.")] = None,
    limit: Annotated[int, typer.Option(help="How many at the most; 0 for all.", min=0)] = 100,
    url: Url = URL,
    json: AsJson = False,
) -> None:
    """List tasks by date."""
    _check(status)

    async def work() -> tuple[list[Document], bool]:
        found: list[Document] = []
        async with Client(url) as client:
            async for task in client.each(worker=worker, status=status, tag=tag, since=since, until=until):
                if limit and len(found) == limit:
                    return found, True
                if json:
                    as_json(task)
                found.append({} if json else task)
        return found, False

    found, more = run(work())
    if not json:
        table(("id", "worker", "job", "date", "status"), map(_row, found))
        if more:
            typer.echo("there are more; --limit 0 shows all", err=True)


def watch(worker: Worker = None, status: Status = None, url: Url = URL, json: AsJson = False) -> None:
    """Print every task that changes, from now on, until Ctrl-C."""
    _check(status)

    shown = console()

    async def work() -> None:
        async with Client(url) as client:
            async for task in client.changes(worker=worker, status=status):
                if json:
                    as_json(task)
                else:
                    told = [Text(line(word)) for word in (task.get("date"), task["_id"], task["worker"], _job(task))]
                    shown.print(*told, coloured(task.get("status", "waiting")), sep="  ", soft_wrap=True)
                sys.stdout.flush()
            raise Unreachable(f"{bare(url)}: the engine has ended the feed")

    run(work())


def show(
    id: Annotated[str, typer.Argument(help="The task's id.")],  # noqa: A002
    history: Annotated[bool, typer.Option("--history", help="All of its history, archives too.")] = False,
    url: Url = URL,
    json: AsJson = False,
) -> None:
    """Show all of a task: its fields, history, log, result and error."""

    async def work() -> Document:
        async with Client(url) as client:
            task = await client.get(id)
            return {**task, "history": await client.history(id), "archived": 0} if history else task

    task = run(work())
    if json:
        as_json(task)
        return
    _show(task)


def _show(task: Document) -> None:
    apart = {"history", "log", "error", "job"}
    rows: list[tuple[object, object]] = [("job", _job(task))]
    for field, value in task.items():
        if field not in apart:
            told = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            rows.append((field, coloured(told) if field == "status" else told))
    table(("field", "value"), rows)
    if task.get("history"):
        console().print()
        if older := task.get("archived", 0):
            console().print(f"{older} older entries are in archives; --history shows all")
        shown = [name for name in HISTORY if any(name in entry for entry in task["history"])]
        table(shown, [[_cell(name, entry) for name in shown] for entry in task["history"]])
    if task.get("log"):
        console().print()
        table(("at", "log"), [(line["at"], line["text"]) for line in task["log"]])
    if error := task.get("error"):
        console().print()
        told = error.get("traceback") or f"{error['type']}: {error['message']}"
        for text in told.splitlines():
            console().print(Text(line(text)), soft_wrap=True)


def _cell(name: str, entry: Document) -> object:
    value = entry.get(name)
    if name == "status":
        return coloured(value)
    if name == "missed" and value:
        return f"{value['first']} to {value['last']}"
    if name == "error" and value:
        return f"{value['type']}: {value['message']}"
    return value


def _row(task: Document) -> tuple[object, ...]:
    return task["_id"], task["worker"], _job(task), task.get("date"), coloured(task.get("status", "waiting"))


def _job(task: Document) -> str:
    try:
        wanted = call(task)
    except msgspec.ValidationError:  # a document that went round the engine's checks, in a replication
        return msgspec.json.encode(task["job"]).decode()
    given = [msgspec.json.encode(argument).decode() for argument in wanted.arguments]
    given += [f"{name}={msgspec.json.encode(value).decode()}" for name, value in wanted.keywords.items()]
    return f"{wanted.name}({', '.join(given)})"


def _check(status: str | None) -> None:
    if status is not None and status not in STATUSES:
        raise typer.BadParameter(f"{status!r} is not one of {', '.join(sorted(STATUSES))}", param_hint="--status")
