"""Commands that change tasks, one by one by their ids or all that fit: `cancel`, `reschedule`, `again`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from after.cli.output import URL, AsJson, Url, as_json, coloured, complain, line, parsed, run, table
from after.client import Client
from after.errors import AfterError, Refusal
from after.task import Document

SHOWN = 20
"""How many tasks of a dry run are shown one by one to people."""

Ids = Annotated[list[str] | None, typer.Argument(help="The ids of tasks; or say by options which are meant.")]
Worker = Annotated[str | None, typer.Option(help="All tasks of this worker.")]
Status = Annotated[str | None, typer.Option(help="All tasks in this status, or in one of several: waiting,scheduled.")]
Tag = Annotated[str | None, typer.Option(help="All tasks with this tag.")]
From = Annotated[str | None, typer.Option("--from", help="All tasks due then or later.")]
To = Annotated[str | None, typer.Option("--to", help="All tasks due before.")]
All = Annotated[bool, typer.Option("--all", help="Every task.")]
Limit = Annotated[int | None, typer.Option(help="At most so many of those that fit.", min=1)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would become of which tasks, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before tasks are changed that options have chosen.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command(
        "cancel", epilog="Examples: after cancel spring-sale; after cancel --worker manobi --tag spring --dry-run"
    )(cancel)
    app.command(
        "reschedule",
        epilog="Examples: after reschedule spring-sale 2026-12-02T09:00:00Z; "
        "after reschedule --worker manobi --by PT2H --dry-run",
    )(reschedule)
    app.command("again", epilog="Examples: after again spring-sale; after again --worker manobi --status err")(again)


def cancel(
    ids: Ids = None,
    worker: Worker = None,
    status: Status = None,
    tag: Tag = None,
    since: From = None,
    until: To = None,
    every: All = False,
    limit: Limit = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = URL,
    json: AsJson = False,
) -> None:
    """Stop tasks: waiting, held or running ones."""
    chosen = _chosen(ids, worker, status, tag, since, until, every, limit)
    if chosen is None and not dry_run:
        _each(url, ids or [], json, lambda client, one: client.cancel(one))
    else:
        _many(url, "cancel", {"ids": ids} if chosen is None else chosen, dry_run, yes, json)


def reschedule(
    id: Annotated[str | None, typer.Argument(help="The task's id; or say by options which are meant.")] = None,  # noqa: A002
    date: Annotated[str | None, typer.Argument(help="ISO 8601, or a time from now such as PT2H.")] = None,
    by: Annotated[str | None, typer.Option(help="Move each date by so much: PT2H, or -PT2H to an earlier one.")] = None,
    to_date: Annotated[str | None, typer.Option("--date", help="The same as the argument, for those that fit.")] = None,
    change: Annotated[list[str] | None, typer.Option(help="FIELD=JSON, another field to change. Repeatable.")] = None,
    worker: Worker = None,
    status: Status = None,
    tag: Tag = None,
    since: From = None,
    until: To = None,
    every: All = False,
    limit: Limit = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = URL,
    json: AsJson = False,
) -> None:
    """Move tasks that have not ended to another date, each by the same, or all to one."""
    if date is not None and to_date is not None:
        raise typer.BadParameter("give the date once", param_hint="--date")
    changes = dict(_change(text) for text in change or ())
    wanted = {"by": by, "date": date or to_date, "changes": changes or None}
    if wanted == {"by": None, "date": None, "changes": None}:
        raise typer.BadParameter("give a date, --by or --change")
    ids = None if id is None else [id]
    chosen = _chosen(ids, worker, status, tag, since, until, every, limit)
    if chosen is None and not dry_run and by is None:
        _each(url, ids or [], json, lambda client, one: client.reschedule(one, date or to_date, **changes))
    else:
        _many(
            url, "reschedule", {"ids": ids} if chosen is None else chosen, dry_run, yes or chosen is None, json, wanted
        )


def again(
    ids: Ids = None,
    date: Annotated[str | None, typer.Option(help="ISO 8601, or a time from now; now without it.")] = None,
    worker: Worker = None,
    status: Status = None,
    tag: Tag = None,
    since: From = None,
    until: To = None,
    every: All = False,
    limit: Limit = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = URL,
    json: AsJson = False,
) -> None:
    """Run tasks once more; of those that fit the options, the ones that have ended."""
    chosen = _chosen(ids, worker, status, tag, since, until, every, limit)
    if chosen is None and not dry_run:
        _each(url, ids or [], json, lambda client, one: client.again(one, date))
    else:
        _many(url, "again", {"ids": ids} if chosen is None else chosen, dry_run, yes, json, {"date": date})


def _chosen(
    ids: list[str] | None,
    worker: str | None,
    status: str | None,
    tag: str | None,
    since: str | None,
    until: str | None,
    every: bool,
    limit: int | None,
) -> Document | None:
    """Give the filter, None where there are ids in its place."""
    chosen = {"worker": worker, "status": status, "tag": tag, "since": since, "until": until, "all": every or None}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if bool(ids) == bool(chosen):
        raise typer.BadParameter("give either ids or options that say which tasks are meant; --all for every task")
    if ids and limit is not None:
        raise typer.BadParameter("does not go with ids", param_hint="--limit")
    return {**chosen, "limit": limit} if chosen else None


def _change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not FIELD=JSON", param_hint="--change")
    return name, parsed(value)


def _many(
    url: str, action: str, chosen: Document, dry_run: bool, yes: bool, json: bool, wanted: Document | None = None
) -> None:
    """Edit all that fit, after it was seen what that would be where nobody has said yes to it yet."""

    async def work(**how: Any) -> Document:
        async with Client(url) as client:
            return await client.edit(action, **{**chosen, **(wanted or {}), **how})

    if not (dry_run or yes):
        if not sys.stdin.isatty():
            raise AfterError("this changes all tasks that fit; say --yes where nobody can be asked, or --dry-run")
        seen = run(work(dry_run=True))
        if not seen["tasks"]:
            _summary(action, seen, json)
            return
        if not typer.confirm(f"{action} {_count(seen['tasks'])}?", err=True):
            raise AfterError("nothing was changed")
        # What was shown is what is changed, and nothing that has come to fit since.
        chosen = {**chosen, "all": False, "limit": None, "ids": [task["id"] for task in seen["tasks"]]}
    _summary(action, run(work(dry_run=dry_run)), json)


def _summary(action: str, answer: Document, json: bool) -> None:
    if json:
        as_json(answer)
    else:
        if answer["dry_run"]:
            _table(answer["tasks"])
        for one in answer["refused"][:SHOWN]:
            complain(f"{one['id']}: {one['reason']}")
        would = "would " if answer["dry_run"] else ""
        typer.echo(f"{would}{action} {_count(answer['tasks'])}, {len(answer['refused']):,} refused")
    if answer["refused"]:
        raise typer.Exit(1)


def _count(tasks: list[Document]) -> str:
    return f"{len(tasks):,} task{'' if len(tasks) == 1 else 's'}"


def _table(tasks: list[Document]) -> None:
    rows = [
        (task["id"], task["worker"], coloured(task["status"]), task["date"], coloured(task["becomes"]["status"]),
         task["becomes"]["date"])
        for task in tasks[:SHOWN]
    ]  # fmt: skip
    table(("id", "worker", "status", "date", "becomes", "date"), rows)
    if len(tasks) > SHOWN:
        typer.echo(f"… and {len(tasks) - SHOWN:,} more; --json tells all")


def _each(url: str, ids: list[str], json: bool, change: Callable[[Client, str], Awaitable[Document]]) -> None:
    """Change each task; where one is refused, say why, go on with the others, and fail in the end."""

    async def work() -> Refusal | None:
        refusal: Refusal | None = None
        async with Client(url) as client:
            for identity in ids:
                try:
                    task = await change(client, identity)
                except Refusal as error:
                    if len(ids) > 1:
                        complain(f"{identity}: {error}")
                    refusal = error
                else:
                    _told(task, json)
        return refusal

    refusal = run(work())
    if refusal is not None and len(ids) == 1:
        raise refusal
    if refusal is not None:
        raise typer.Exit(1)


def _told(task: Document, json: bool) -> None:
    if json:
        as_json(task)
    else:
        typer.echo(line(f"{task['_id']}  {task['status']}  {task['date']}"))
