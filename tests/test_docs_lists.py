"""The lists of the documentation are those of the code: fields, statuses, commands, paths, limits, methods."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main
from documented import ROOT, blocks, codes, section, table
from starlette.routing import Match, Route

import after
from after import collector, editing
from after.audit import OUTCOMES
from after.cli.app import app
from after.database import transport
from after.dates import format_instant, parse_instant
from after.jobs import context
from after.outcome import MAX_DEPTH as RESULT_DEPTH
from after.outcome import MAX_RESULT
from after.server import audits, feed, http, listing, nexts
from after.server.app import Engine
from after.server.viewrows import VIEWS
from after.status import TRANSITIONS, Role, Status
from after.task import MAX_ID_LENGTH, WORKER_FIELDS, Entry, Fields, Retry, check
from after.worker import dependencies, finder, gathering, holdings, outbox, presence, room, worker

TASKS, HTTP, CLI = (ROOT / "docs" / name for name in ("tasks.md", "http.md", "cli.md"))
PYTHON, JOBS, WORKER = (ROOT / "docs" / name for name in ("python.md", "jobs.md", "worker.md"))
BOTH = frozenset(Role)


def _first_column(page: Path, heading: str, title: str) -> set[str]:
    return {code for row in table(section(page, heading), title) for code in codes(row[0])}


def test_every_field_is_documented_with_an_example() -> None:
    by_client = _first_column(TASKS, "### What you write", "field")
    by_worker = _first_column(TASKS, "### What the server and the workers write", "field")
    assert by_client | by_worker == {"_id", "_rev", *Fields.__struct_fields__, *WORKER_FIELDS}
    assert by_worker == {"_rev", "type", *WORKER_FIELDS}
    for row in table(TASKS.read_text(), "field"):
        for name, example in zip(codes(row[0]), codes(row[2]), strict=False):
            check({"worker": "manobi", "job": "flaky"} | {name: json.loads(example)})


@pytest.mark.parametrize(("heading", "kind"), [("## History", Entry), ("## Retries", Retry)], ids=["history", "retry"])
def test_every_member_is_documented(heading: str, kind: type[msgspec.Struct]) -> None:
    assert _first_column(TASKS, heading, "member") == set(kind.__struct_fields__)


def test_every_status_is_documented() -> None:
    rows = table(section(TASKS, "## Statuses"), "status")
    assert [codes(row[0]) for row in rows] == [[status] for status in Status]
    for row in rows:
        (status,) = codes(row[0])
        by_client = any(Role.CLIENT in roles for (old, new), roles in TRANSITIONS.items() if new == status != old)
        assert ("client" in row[1]) == by_client


def test_the_table_of_statuses_is_the_one_in_the_code() -> None:
    lines = ["| from \\ to | " + " | ".join(f"`{new}`" for new in Status) + " |", "|---" * (len(Status) + 1) + "|"]
    for old in (None, *Status):
        cells = ["" if old == new else _who(TRANSITIONS.get((old, new))) for new in Status]
        lines.append(f"| {f'`{old}`' if old else 'a new task'} | " + " | ".join(cells) + " |")
    made = "\n".join(lines)
    documented = re.search(r"<!-- statuses: .*?-->\n\n(.*?)\n\n<!-- end of statuses -->", TASKS.read_text(), re.DOTALL)
    assert documented is not None
    assert documented[1] == made, f"the table should be:\n{made}"


def _who(roles: frozenset[Role] | None) -> str:
    return "" if roles is None else "client" if roles == BOTH else "worker"


def test_the_picture_of_statuses_shows_allowed_changes_by_who_may_make_them() -> None:
    (picture,) = [block.text for block in blocks(TASKS) if block.kind == "mermaid"]
    arrows = re.findall(r"^ +(\S+) --> (\w+) : (.*)$", picture, re.MULTILINE)
    assert len(arrows) == picture.count("-->")
    for old, new, label in arrows:
        roles = TRANSITIONS.get((None if old == "[*]" else old, new))
        assert roles is not None, f"{old} cannot become {new}"
        assert Role.CLIENT in roles or "client" not in label, f"{old} becomes {new} by a worker only"
    assert {name for arrow in arrows for name in arrow[:2]} == {"[*]", *Status}


def test_dates_are_stored_as_the_page_says() -> None:
    rows = table(section(TASKS, "## Dates and durations"), "you write")
    stored = [codes(row[0] + row[1]) for row in rows if codes(row[1])]
    assert len(stored) == 6
    for written, kept in stored:
        assert format_instant(parse_instant(written)) == kept


COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a Typer with many commands is a group


def _heading(name: str) -> str:
    words = ["after", name]
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "argument":
            word = parameter.name.upper() + ("..." if parameter.nargs == -1 else "")
            words.append(word if parameter.required else f"[{word}]")
    return f"### `{' '.join(words)}`"


def test_every_command_is_documented() -> None:
    headings = re.findall(r"^### .*$", CLI.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(map(_heading, COMMANDS))


def _options(name: str) -> dict[str, Any]:
    return {option.opts[0]: option for option in COMMANDS[name].params if option.param_type_name == "option"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_is_documented_with_its_default(name: str) -> None:
    common = {codes(row[0])[0]: row for row in table(CLI.read_text(), "option") if len(row) == 4}
    documented = {codes(row[0])[0]: row for row in table(section(CLI, _heading(name)), "option")}
    options = _options(name)
    assert (name in codes(common["--json"][2])) == ("--json" in options)
    assert (name in codes(common["--url"][2])) == ("--url" not in options)
    assert documented.keys() == options.keys() - {"--url", "--json"}
    for option, row in documented.items():
        known = options[option]
        assert codes(row[0]) == [*known.opts, *known.secondary_opts]
        default = option if known.default is True else known.default
        assert row[1] == ("required" if known.required else f"`{default}`" if default else "")
        assert ("may be given again" in row[2]) == known.multiple


def _routes() -> list[Route]:
    return [route for route in Engine(None).app.routes if isinstance(route, Route)]


def _documented_requests() -> set[tuple[str, str]]:
    text = HTTP.read_text()
    found = set(re.findall(r"`(GET|POST|PUT|DELETE) (/[^`?\s]*)`", text))
    for row in table(text, "path"):
        found |= {(method, path) for path in codes(row[0]) for method in codes(row[1])}
    return found


def test_every_path_is_documented() -> None:
    known = set()
    for route in _routes():
        path = re.sub(r"\{(\w+)(:path)?\}", lambda found: found[1].upper().replace("REST", "ID"), route.path)
        known |= {(method, path.rstrip("/") or "/") for method in (route.methods or set()) - {"HEAD"}}
    assert known <= _documented_requests()


def test_every_documented_path_is_there() -> None:
    for method, path in _documented_requests():
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "root_path": ""}
        assert any(route.matches(scope)[0] == Match.FULL for route in _routes()), f"{method} {path}"


def test_every_parameter_and_view_is_documented() -> None:
    assert _first_column(HTTP, "### `GET /tasks`", "parameter") == listing.PARAMETERS
    assert _first_column(HTTP, "### `GET /tasks/_changes`", "parameter") == feed.PARAMETERS | listing.FILTERS
    assert _first_column(HTTP, "### `GET /tasks/_audit`", "parameter") == audits.PARAMETERS
    assert _first_column(HTTP, "### `GET /tasks/_next`", "parameter") == nexts.PARAMETERS
    assert _first_column(HTTP, "### `POST /tasks/_edit`", "member") == set(editing.Request.__struct_fields__)
    selection = set(editing.Selection.__struct_encode_fields__)
    assert _first_column(HTTP, "### `POST /tasks/_edit`", "in `filter`") == selection
    assert _first_column(HTTP, "### `GET /tasks/_audit`", "outcome") == set(OUTCOMES)
    assert _first_column(HTTP, "## The document protocol", "view") == VIEWS.keys()


def _numbers(page: Path, title: str) -> dict[str, float]:
    """Give the numbers of a table of limits, by the first words of its rows, bytes and lines as they are."""
    units = {"KiB": 1024, "MiB": 1024 * 1024}
    rows = {row[0]: re.findall(r"(\d[\d,]*) ?(\w+)?", row[1]) for row in table(section(page, title), "what")}
    return {
        f"{name} {place}".removesuffix(" 0"): float(number.replace(",", "")) * units.get(unit, 1)
        for name, found in rows.items()
        for place, (number, unit) in enumerate(found)
    }


def test_limits_are_those_of_the_code() -> None:
    name = next(one for one in msgspec.inspect.type_info(Fields).fields if one.name == "worker")  # type: ignore[attr-defined]
    assert _numbers(HTTP, "## Limits") == {
        "a document": http.MAX_DOCUMENT,
        "a request": http.MAX_REQUEST,
        "documents in one request": http.MAX_DOCUMENTS,
        "nesting of a document": http.MAX_DEPTH,
        "an id": MAX_ID_LENGTH,
        "a worker's or a job's name": name.type.type.max_length,
        "the result of a job": MAX_RESULT,
        "the result of a job 1": RESULT_DEPTH,
        "a line that a job logs": context.MAX_LINE,
    }
    assert _numbers(WORKER, "## Numbers that matter") == {
        "horizon: how far ahead of its date a task is claimed": finder.HORIZON / 1000,
        "a look for what the feed may have missed": finder.SCAN_SECONDS,
        "heartbeat of a process": presence.HEARTBEAT,
        "silence after which a process is lost": presence.LOST_AFTER,
        "a look through the tasks that wait for others": dependencies.SWEEP_SECONDS,
        "the end of a run waits for the next runs, where there is much to write": gathering.REPEAT_DELAY,
        f"the same, of a run that began more than {gathering.LATE:g} ms late": gathering.LATE_REPEAT_DELAY,
        "tasks whose ends wait so, from which on those of others do, too": gathering.MANY,
        "memory that has to be added before old objects are looked at sooner for garbage": collector.GROWTH,
        "runs of one repeating task that may be unwritten": holdings.MAX_ENDED,
        "a look for lost processes and their tasks, for conflicts and for uncertain claims": worker.CHORE_SECONDS,
        "silence of a node after which the next is asked": transport.PATIENCE,
        "a connection that is not made": transport.CONNECT_SECONDS,
        "silence of the changes feed after which it is followed elsewhere": 3 * finder.HEARTBEAT,
        "tasks in the memory of a process": room.MAX_HELD,
        "difference of clocks at which it warns": presence.WARN_SKEW,
        "difference of clocks at which it claims nothing": presence.MAX_SKEW,
        "progress and log of a running job are written": outbox.PROGRESS_DELAY,
    }


def _signature(method: Callable[..., object]) -> str:
    marks: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    parameters = list(inspect.signature(method).parameters.values())[1:]
    return f"{method.__name__}({', '.join(marks.get(one.kind, '') + one.name for one in parameters)})"


@pytest.mark.parametrize(("heading", "kind"), [("## The client", after.Client), ("## The scheduler", after.Scheduler)])
def test_every_method_is_documented(heading: str, kind: type) -> None:
    methods = [value for name, value in vars(kind).items() if inspect.isfunction(value) and name[0] != "_"]
    assert _first_column(PYTHON, heading, "method") == {_signature(method) for method in methods} - {"aclose()"}


def test_every_public_name_is_documented() -> None:
    told = PYTHON.read_text() + JOBS.read_text()
    assert [name for name in after.__all__ if f"`{name}" not in told and f"import {name}" not in told] == []


def test_every_member_of_a_jobs_task_is_documented() -> None:
    documented = {re.sub(r"\(.*", "", code).removeprefix("task.") for code in _first_column(
        JOBS, "## The task, seen from its job", "member")}  # fmt: skip
    members = {name for name in vars(after.TaskContext) if name[0] != "_"}
    assert documented == members - {"cancel", "said", "take", "hear", "hear_results"}


def test_the_blocking_client_has_the_methods_of_the_other() -> None:
    names = {kind: {name for name in dir(kind) if name[0] != "_"} for kind in (after.Client, after.BlockingClient)}
    assert names[after.Client] - names[after.BlockingClient] == {"each"}
    assert names[after.BlockingClient] <= names[after.Client]
