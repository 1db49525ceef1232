"""Commands that change tasks, and `doctor`, which says what is wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from after import __version__
from after.cli.output import URL, AsJson, Url, as_json, coloured, complain, run, table
from after.client import Client
from after.design import design_document
from after.errors import Refusal
from after.health import Finding, examine
from after.task import Document

Ids = Annotated[list[str], typer.Argument(help="The ids of tasks.")]
Id = Annotated[str, typer.Argument(help="The task's id.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command("cancel", epilog="Example: after cancel spring-sale")(cancel)
    app.command("reschedule", epilog="Example: after reschedule spring-sale 2026-12-02T09:00:00Z")(reschedule)
    app.command("again", epilog="Example: after again spring-sale")(again)
    app.command("doctor", epilog="Example: after doctor")(doctor)
    app.command("version", epilog="Example: after version")(version)


def cancel(ids: Ids, url: Url = URL, json: AsJson = False) -> None:
    """Stop tasks: waiting, held or running ones."""
    _each(url, ids, json, lambda client, one: client.cancel(one))


def reschedule(
    id: Id,  # noqa: A002
    date: Annotated[str, typer.Argument(help="ISO 8601, or a time from now such as PT2H.")],
    url: Url = URL,
    json: AsJson = False,
) -> None:
    """Move a task that has not ended to another date."""
    _each(url, [id], json, lambda client, one: client.reschedule(one, date))


def again(
    ids: Ids,
    date: Annotated[str | None, typer.Option(help="ISO 8601, or a time from now; now without it.")] = None,
    url: Url = URL,
    json: AsJson = False,
) -> None:
    """Run tasks once more."""
    _each(url, ids, json, lambda client, one: client.again(one, date))


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
        typer.echo(f"{task['_id']}  {task['status']}  {task['date']}")


def doctor(url: Url = URL, json: AsJson = False) -> None:
    """Look for what keeps tasks from running, and say what to do about it; fails where something does."""
    digests = [design_document(validation=validation)["after"]["digest"] for validation in (True, False)]
    findings = run(examine(url, digests))
    if json:
        as_json([finding._asdict() for finding in findings])
    else:
        table(("", "what", "found", "what to do"), [_finding(one) for one in findings])
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)


def _finding(one: Finding) -> tuple[object, ...]:
    return coloured(one.level), one.what, one.found, one.advice


def version() -> None:
    """Print After's version."""
    typer.echo(f"after {__version__}")
