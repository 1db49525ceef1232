"""`after install` and `after uninstall`: After in an Apache CouchDB, and out of it again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from yarl import URL

from after.cli.output import AsJson, as_json, line, run
from after.design import design_document
from after.design.admin import EXAMPLE, Server
from after.design.install import apply
from after.design.look import Found, look
from after.design.plan import USER, Step, Wish, notes, plan, target, vhost_refused
from after.design.removal import removal

Where = Annotated[str, typer.Argument(metavar="URL", help=f"{EXAMPLE}, with a server admin of CouchDB.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be changed, and change nothing.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command("install", epilog="Example: after install http://admin:PASSWORD@localhost:5984/after")(install)
    app.command("uninstall", epilog="Example: after uninstall http://admin:PASSWORD@localhost:5984/after")(uninstall)


def install(
    url: Where,
    user: Annotated[str, typer.Option(help="The user that workers log in as; made where there is none.")] = USER,
    no_user: Annotated[bool, typer.Option("--no-user", help="Make no user.")] = False,
    password_file: Annotated[
        Path | None, typer.Option(help="The user's password is its first line; - for standard input.")
    ] = None,
    vhost: Annotated[str | None, typer.Option(help="A host name under which CouchDB shows /tasks.")] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Let the scripts of the dashboard run.")] = False,
    no_validation: Annotated[
        bool, typer.Option("--no-validation", help="Leave out the rules: faster, for trusted writers only.")
    ] = False,
    existing: Annotated[
        bool, typer.Option("--existing", help="Share a database that has other documents in it.")
    ] = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Set up an Apache CouchDB for After, or bring one up to date; run again it changes nothing.

    All is looked at before anything is changed. An upgrade builds its indexes before it takes effect.
    """
    server = _server(url)
    name, password = _user(user, no_user, password_file)
    if vhost is not None and (refused := vhost_refused(vhost, URL(server.url).host)):
        raise typer.BadParameter(refused, param_hint="--vhost")
    wish = Wish(
        design=design_document(validation=not no_validation), user=name, has_password=password is not None,
        vhost=vhost, dashboard=dashboard, existing=existing,
    )  # fmt: skip

    steps = plan(_look(server, user=name, password=password, config=bool(vhost or dashboard)), wish)
    if not dry_run and password is None and any(step.secret for step in steps):
        password = _asked(f"Password for the user {name}")
    _change(server, steps, password, dry_run=dry_run, json=json, said=notes(wish))
    if not dry_run and not json:
        _tell_urls(server, name, vhost)


def uninstall(
    url: Where,
    user: Annotated[str | None, typer.Option(help="Remove this user too.")] = None,
    data: Annotated[bool, typer.Option("--data", help="Delete the database with all its tasks.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the data is deleted.")] = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Take After out of an Apache CouchDB; the tasks stay, unless --data is given."""
    server = _server(url)
    found = _look(server, user=user, config=True, all_data=data)
    steps = removal(found, user=user, data=data)
    if data and found.exists and not (yes or dry_run):
        told = f"This deletes {found.documents} documents for good. The name of the database, to go on"
        if typer.prompt(told, err=True) != server.database:
            raise typer.Exit(1)
    _change(server, steps, None, dry_run=dry_run, json=json, said=[])


def _server(url: str) -> Server:
    """Give the server; ask for the admin's password where the URL has only the name."""
    server = Server(url)
    if server.user is not None and server.password is None:
        server.password = _asked(f"Password for {server.user}", twice=False, otherwise="in the URL")
    return server


def _user(user: str, no_user: bool, file: Path | None) -> tuple[str | None, str | None]:
    """Give the user's name and, where there is one yet, the password."""
    if no_user:
        if file is not None or user != USER:
            raise typer.BadParameter("--no-user goes with neither --user nor --password-file")
        return None, None
    if not user or user.startswith("_") or ":" in user or not user.isprintable():
        raise typer.BadParameter(f"{user!r} cannot be a user's name", param_hint="--user")
    if file is None:
        return user, None
    try:
        first = (sys.stdin.readline() if str(file) == "-" else file.read_text("utf-8").partition("\n")[0]).rstrip(
            "\r\n"
        )
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="--password-file") from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file}: is not UTF-8", param_hint="--password-file") from None
    if not first:
        raise typer.BadParameter(f"{file}: the first line is empty", param_hint="--password-file")
    return user, first


def _asked(question: str, *, twice: bool = True, otherwise: str = "with --password-file") -> str:
    """Ask for a password without showing it."""
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"nobody can be asked for a password here; give it {otherwise}")
    return str(typer.prompt(question, hide_input=True, confirmation_prompt=twice, err=True))


def _look(
    server: Server, *, user: str | None, password: str | None = None, config: bool, all_data: bool = False
) -> Found:
    async def work() -> Found:
        async with server:
            return await look(server, user=user, password=password, config=config, all_data=all_data)

    return run(work())


def _change(
    server: Server, steps: Sequence[Step], password: str | None, *, dry_run: bool, json: bool, said: list[str]
) -> None:
    """Do the steps, or only say them."""

    def done(step: Step) -> None:
        if not json:
            typer.echo(line(step.line))

    async def work() -> None:
        async with server:
            with _progress() as progress:
                bar = progress.add_task("indexes", total=None, visible=False)
                await apply(
                    server, steps, password=password, done=done,
                    tell=lambda known, of: progress.update(bar, completed=known, total=of, visible=known < of),
                )  # fmt: skip

    if dry_run:
        for step in steps:
            done(step)
    else:
        run(work())
    if json:
        changes = [step.line for step in steps]
        as_json({"database": server.shown, "dry_run": dry_run, "changes": changes, "notes": said})
        return
    if not steps:
        typer.echo("nothing to change")
    elif dry_run:
        typer.echo("dry run: nothing was changed")
    for note in said:
        typer.echo(f"note: {note}")


def _tell_urls(server: Server, user: str | None, vhost: str | None) -> None:
    shown = URL(server.shown)
    account = shown if user is None else shown.with_user(user).with_password("PASSWORD")
    typer.echo(f"workers, clients: AFTER_URL={account}")
    port = "" if shown.is_default_port() else f":{shown.port}"
    name = vhost if vhost is None or ":" in vhost else f"{vhost}{port}"
    rest = f"{shown.scheme}://{name}" if name else f"{server.url.rstrip('/')}{target(server.database)}"
    typer.echo(f"HTTP:             {rest}/tasks")


def _progress() -> Progress:
    shown = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        console=shown, disable=not shown.is_terminal, transient=True,
    )  # fmt: skip
