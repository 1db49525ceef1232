"""`after move`: a whole database from one engine to the other."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from after.cli.output import URL, AsJson, Url, as_json, checked_url, run, table
from after.move import Moved, Plan, move


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command("move", epilog="Example: after move http://admin:PASSWORD@127.0.0.1:5984/after")(move_command)


def move_command(
    target: Annotated[
        str | None,
        typer.Argument(help="The database that gets all; the one of --url is the source.", callback=checked_url),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option("--from", help="The database that all comes from; --url is the target.", callback=checked_url),
    ] = None,
    source_as: Annotated[
        str | None, typer.Option(help="The source's URL as the CouchDB that copies sees it.", callback=checked_url)
    ] = None,
    target_as: Annotated[
        str | None, typer.Option(help="The target's URL as the CouchDB that copies sees it.", callback=checked_url)
    ] = None,
    check: Annotated[bool, typer.Option(help="Whether a CouchDB has to have After's design document.")] = True,
    live: Annotated[bool, typer.Option("--live", help="Copy also while workers run on the source.")] = False,
    url: Url = URL,
    json: AsJson = False,
) -> None:
    """Move a whole database into CouchDB, or back, by CouchDB's own replicator; again, it moves what has changed.

    The source is left as it is. The exit code is 1 where the two differ in the end.
    """
    if (target is None) == (origin is None):
        raise typer.BadParameter("give either the URL of the target, or --from and the URL of the source")
    plan = Plan(url if origin is None else origin, url if target is None else target, source_as, target_as)
    started = time.monotonic()
    with _progress() as progress:
        bar = progress.add_task("checking", total=None)

        def tell(what: str, done: int, total: int) -> None:
            progress.update(bar, description=what, completed=min(done, total), total=total or None)

        moved = run(move(plan, check=check, live=live, progress=tell))
    _tell(plan, moved, time.monotonic() - started, json)
    if moved.refused or moved.differences():
        raise typer.Exit(1)


def _tell(plan: Plan, moved: Moved, seconds: float, json: bool) -> None:
    source, target = plan.shown()
    tasks = None if moved.target.tasks is None else sum(moved.target.tasks.values())
    differences = moved.differences()
    if json:
        as_json({
            "written": moved.written, "refused": moved.refused, "seconds": round(seconds, 3),
            "documents": moved.target.documents, "tasks": tasks,
            "differences": [{"what": what, "source": one, "target": other} for what, one, other in differences],
        })  # fmt: skip
        return
    typer.echo(f"{moved.written} documents moved from {source} to {target} in {seconds:.0f} s")
    if moved.refused:
        typer.echo(f"{moved.refused} documents were refused by {target}; its log says which and why")
    if differences:
        typer.echo("the two differ; where something still changed the source, move once more")
        table(("what", "source", "target"), differences)
    else:
        counted = "" if tasks is None else f" and {tasks} tasks, by worker and status,"
        typer.echo(f"{moved.target.documents} documents{counted} are on both sides")


def _progress() -> Progress:
    shown = Console(stderr=True)
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), *Progress.get_default_columns()[1:2], MofNCompleteColumn(),
        TimeElapsedColumn(), console=shown, disable=not shown.is_terminal, transient=True,
    )  # fmt: skip
