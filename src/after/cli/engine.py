"""`after serve` and `after start`: the two that go on until they are stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from after.cli.output import URL, Url
from after.collector import Collector
from after.database import Database
from after.errors import AfterError, Unavailable, Unreachable
from after.jobs import Registry
from after.jobs.addresses import Guard
from after.jobs.builtin import builtin_jobs
from after.jobs.logs import FORMAT
from after.jobs.shell import parse_commands, shell_job
from after.jobs.signing import Signer

MAX_BACKOFF = 5.0


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command("serve", epilog="Example: after serve --port 5985 --data after.db")(serve_command)
    app.command("start", epilog="Example: after start manobi --jobs shop.jobs --jobs ./jobs")(start)


def serve_command(
    host: Annotated[str, typer.Option(help="The address to listen on; of this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 5985,
    data: Annotated[Path, typer.Option(help="The SQLite file; made where there is none.")] = Path("after.db"),
) -> None:
    """Serve the embedded engine: one port, one file."""
    _log("info")
    if not data.absolute().parent.is_dir():
        raise AfterError(f"--data {data}: there is no folder {data.absolute().parent}")
    if data.is_dir():
        raise AfterError(f"--data {data}: is a folder; name a file in it")
    shown = f"[{host}]" if ":" in host else host
    from after.server.serve import serve  # here, because no other command needs the server, and all would start later

    serve(host, port, data, lambda: typer.echo(f"After serves http://{shown}:{port}/ from {data}"))


def start(
    name: Annotated[str, typer.Argument(help="The worker's name: it runs the tasks that name it.")],
    jobs: Annotated[
        list[str] | None, typer.Option(help="A module, a Python file, or a folder of them, with jobs. Repeatable.")
    ] = None,
    command: Annotated[
        list[str] | None, typer.Option(help="NAME='PROGRAM ARGUMENT...': what the job `shell` may run. Repeatable.")
    ] = None,
    http_allow: Annotated[
        list[str] | None,
        typer.Option(help="An address, network or host that the job http may call although it is private. Repeatable."),
    ] = None,
    concurrency: Annotated[int, typer.Option(help="How many jobs run at once.", min=1)] = 100,
    grace: Annotated[float, typer.Option(help="Seconds that running jobs may take to end at a stop.", min=0)] = 30.0,
    url: Url = URL,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Start a worker process; it goes on until Ctrl-C, SIGTERM or `after stop`.

    A first signal lets running jobs end, a second ends at once.
    """
    _log(log_level)
    registry = _registry(jobs or [], command or [])
    guard, signer = Guard(http_allow or []), Signer(_secrets())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(name, registry, url, concurrency, grace, guard, signer))
    _leave()


def _registry(jobs: list[str], commands: list[str]) -> Registry:
    registry = Registry.load(jobs)
    if commands:
        registry.add_defaults([shell_job(parse_commands(commands))])
    return registry


def _secrets() -> str:
    """Give the secrets for signing, and leave none of them to the processes that jobs start."""
    return os.environ.pop("AFTER_HTTP_SECRET", "")


async def _work(
    name: str, registry: Registry, url: str, concurrency: int, grace: float, guard: Guard, signer: Signer
) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with Database(url) as database, builtin_jobs(database, name, guard=guard, signer=signer) as builtin:
        registry.add_defaults(builtin)
        if not await _reachable(database, stopped):
            return
        from after.worker import Worker

        worker = Worker(name, registry, database, concurrency=concurrency, grace=grace)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, worker.stop)
        collecting = asyncio.create_task(Collector().work(), name="collector")
        try:
            await worker.run()
        finally:
            collecting.cancel()


async def _reachable(database: Database, stopped: asyncio.Event) -> bool:
    """Wait until the engine answers, so that a worker may be started before it; False where we are stopped before."""
    backoff, said = 0.1, False
    while not stopped.is_set():
        try:
            await database.info()
        except (Unreachable, Unavailable) as error:
            if not said:
                logging.getLogger(__name__).warning("waiting for the engine: %s", error)
                said = True
        else:
            return True
        try:
            async with asyncio.timeout(backoff):
                await stopped.wait()
        except TimeoutError:
            backoff = min(2 * backoff, MAX_BACKOFF)
    return False


def _leave() -> None:
    """End the process also where a job still hangs in a thread, which nothing can stop."""
    hanging = [thread for thread in threading.enumerate() if thread.name.startswith("job ")]
    if hanging:
        logging.getLogger(__name__).warning("%d jobs still hang in threads; they end with this process", len(hanging))
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def _log(level: str) -> None:
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        raise typer.BadParameter(f"{level!r} is not one of debug, info, warning, error", param_hint="--log-level")
    logging.basicConfig(level=known[level.upper()], stream=sys.stderr, format=FORMAT)
