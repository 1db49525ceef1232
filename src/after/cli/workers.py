"""Commands about workers: `list`, `stop`, `pause`, `resume`, `log`, `clean`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from after.cleaning import Cleaned, clean_tasks, remove_orphans
from after.cli.output import URL, AsJson, Url, as_json, coloured, line, milliseconds, run, table
from after.client import Client
from after.clock import SystemClock, now
from after.control import Control
from after.database import Database, bare
from after.dates import LATEST, format_instant
from after.errors import AfterError, Unreachable
from after.status import ENDED
from after.task import Document

T = TypeVar("T")
Name = Annotated[str, typer.Argument(help="The worker's name.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command("list", epilog="Example: after list")(list_workers)
    app.command("stop", epilog="Example: after stop manobi")(stop)
    app.command("pause", epilog="Example: after pause manobi --note 'moving the shop'")(pause)
    app.command("resume", epilog="Example: after resume manobi")(resume)
    app.command("log", epilog="Example: after log manobi -f")(log)
    app.command("clean", epilog="Example: after clean manobi --older P30D --yes")(clean)


def list_workers(url: Url = URL, json: AsJson = False) -> None:
    """List the workers, their processes and the counts of their tasks."""

    async def work() -> list[Document]:
        async with Database(url) as database:
            return await Control(database).workers()

    workers = run(work())
    if json:
        as_json(workers)
        return
    rows = []
    for worker in workers:
        counts = ", ".join(f"{count} {status}" for status, count in sorted(worker["tasks"].items()))
        rows.append((worker["name"], coloured(worker["state"]), "", "", "", counts, worker["note"]))
        for one in worker["instances"]:
            load = f"{one['running']} of {one['concurrency']}, {one['held']} held"
            rows.append(
                ("", coloured(one["state"]), one["instance"], one["heartbeat"], load, ", ".join(one["jobs"]), "")
            )
    table(("worker", "state", "process", "heartbeat", "running", "tasks / jobs", "note"), rows)


def stop(
    name: Name,
    wait: Annotated[bool, typer.Option(help="Wait until all its processes have stopped.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at the most.", min=0)] = 60.0,
    url: Url = URL,
) -> None:
    """Stop all processes of a worker, on whatever machine they run; running jobs may end."""

    async def work() -> None:
        async with Database(url) as database:
            control = Control(database)
            await control.worker(name)
            since = (await database.info())["update_seq"]
            await control.stop(name)
            if wait:
                await _until_stopped(database, control, name, since, timeout)

    run(work())
    typer.echo(f"{name} is {'stopped' if wait else 'asked to stop'}")


async def _until_stopped(database: Database, control: Control, name: str, since: object, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            if await _has_stopped(control, name):
                return
            async for _ in database.changes(since=since, selector={"type": "worker", "name": name}, heartbeat=1.0):
                if await _has_stopped(control, name):
                    return
    except TimeoutError:
        raise AfterError(f"{name} has not stopped in {seconds:g} s; its jobs may still run") from None
    raise Unreachable(f"{database.url}: the engine was stopped before {name} was")


async def _has_stopped(control: Control, name: str) -> bool:
    return (await control.worker(name))["state"] not in ("running", "paused", "draining")


def pause(
    name: Name,
    note: Annotated[str | None, typer.Option(help="Why; everyone sees it.")] = None,
    url: Url = URL,
) -> None:
    """Let a worker start nothing more until it is resumed."""
    run(_with_control(url, lambda control: control.pause(name, note)))
    typer.echo(f"{name} is paused")


def resume(name: Name, url: Url = URL) -> None:
    """Let a paused worker go on."""
    run(_with_control(url, lambda control: control.resume(name)))
    typer.echo(f"{name} goes on")


async def _with_control(url: str, work: Callable[[Control], Awaitable[T]]) -> T:
    async with Database(url) as database:
        return await work(Control(database))


def log(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    limit: Annotated[int, typer.Option(help="How many of the latest tasks to begin with.", min=0)] = 100,
    url: Url = URL,
    json: AsJson = False,
) -> None:
    """Print what has become of a worker's tasks, change by change."""

    async def work() -> None:
        async with Database(url) as database, Client(url) as client:
            since, began = (await database.info())["update_seq"], format_instant(now(SystemClock()))
            tasks = await Control(database).latest(name, limit)
            told = [(line["at"], task["_id"], line) for task in tasks for line in _lines(task)]
            for _, identity, line in sorted(told, key=lambda one: one[:2]):
                _print_line(identity, line, json)
            if not follow:
                return
            last = {task["_id"]: task for task in tasks}
            async for task in client.changes(worker=name, since=since):
                for line in _news(task, last.get(task["_id"]), began):
                    _print_line(task["_id"], line, json)
                last[task["_id"]] = task
            raise Unreachable(f"{bare(url)}: the engine has ended the feed")

    run(work())


def _lines(task: Document) -> list[Document]:
    """Give what a task's history and log tell, in order of time; a line of the log has its text as `log`."""
    logged = [{"at": line["at"], "log": line["text"]} for line in task.get("log") or []]
    return sorted([*(task.get("history") or []), *logged], key=lambda line: str(line["at"]))


def _news(task: Document, told: Document | None, began: str) -> list[Document]:
    """Give what is new in a task since it was told; of one that was not, what there is since we began."""
    if told is None:
        lines = _lines(task)
        return [line for line in lines if line["at"] >= began] or lines[-1:]
    known = _lines(told)
    news = [line for line in _lines(task) if line not in known]
    if task.get("progress") not in (None, told.get("progress")):
        news.append({"progress": task["progress"]})
    return news


def _print_line(identity: str, told: Document, json: bool) -> None:
    if json:
        as_json({"id": identity, **told})
        return
    if "log" in told:
        parts = [told["at"], identity, "|", told["log"]]
    elif "progress" in told:
        fraction, text = told["progress"].get("fraction"), told["progress"].get("text")
        parts = [identity, *([] if fraction is None else [f"{fraction:.0%}"]), *([text] if text else [])]
    else:
        parts = _told(identity, told)
    sys.stdout.write(line("  ".join(parts)) + "\n")
    sys.stdout.flush()


def _told(identity: str, entry: Document) -> list[str]:
    parts = [entry["at"], identity, entry["status"]]
    if "attempt" in entry:
        parts.append(f"attempt {entry['attempt']}")
    if "lateness_ms" in entry:
        parts.append(f"{entry['lateness_ms']:g} ms late")
    if "duration_ms" in entry:
        parts.append(f"took {entry['duration_ms']:g} ms")
    if "error" in entry:
        parts.append(f"{entry['error']['type']}: {entry['error']['message']}")
    if "missed" in entry:
        parts.append(f"missed {entry['missed']['first']} to {entry['missed']['last']}")
    if "next" in entry:
        parts.append(f"next {entry['next']}")
    if "note" in entry:
        parts.append(f"({entry['note']})")
    return parts


def clean(
    name: Name,
    status: Annotated[str, typer.Option(help="Which ended tasks to remove, separated by commas.")] = "done,canceled",
    older: Annotated[str | None, typer.Option(help="Only those whose date is longer ago, such as P30D.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = URL,
) -> None:
    """Remove a worker's ended tasks with their history, and what is left of its stopped processes."""
    statuses = status.split(",")
    for one in statuses:
        if one not in ENDED:
            raise typer.BadParameter(f"{one!r} is not one of {', '.join(sorted(ENDED))}", param_hint="--status")
    before = LATEST if older is None else now(SystemClock()) - milliseconds(older, "--older")
    if not yes:
        if not sys.stdin.isatty():
            raise AfterError("this removes tasks for good; say --yes where nobody can be asked")
        if not typer.confirm(f"Remove the tasks of {name} that are {status}, with their history?"):
            raise AfterError("nothing was removed")

    async def work() -> tuple[Cleaned, int]:
        async with Database(url) as database:
            tasks = Cleaned()
            async for so_far in clean_tasks(database, name, statuses, before):
                tasks = so_far
            await remove_orphans(database)
            return tasks, await Control(database).forget_dead(name)

    tasks, processes = run(work())
    kept = f"; {tasks.kept} are kept, because others wait for them" if tasks.kept else ""
    typer.echo(f"removed {tasks.removed} tasks and {processes} processes of {name}{kept}")
