"""The built-in job `shell`: real programs, and what of a task may become an argument of one."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commanding import JOBS, Command, after
from processes import let_end, pipe, told, watched
from working import SECONDS, run_to_the_end, story, until

from after.client import Client
from after.clock import SystemClock
from after.errors import JobError
from after.jobs import TaskContext
from after.jobs.run import run
from after.jobs.shell import KEPT, Output, parse_commands, shell_job
from after.outcome import Done, Failed, Outcome, Stopped
from after.task import Call

if TYPE_CHECKING:
    from serving import Server

GONE_SECONDS = 2.0
"""What is promised: so long after a timeout or a cancel nothing of the command is left."""
SHOW = "import json, sys; print(json.dumps(sys.argv[1:]))"


def python(text: str, *arguments: str) -> list[str]:
    """Give the command that runs a Python program."""
    return [sys.executable, "-S", "-c", text, *arguments]


def context() -> TaskContext:
    return TaskContext({"_id": "one; rm -rf $HOME\n"}, 2, SystemClock(), lambda: None)


async def outcome(
    words: Sequence[str], *arguments: Any, name: str = "it", task: TaskContext | None = None, **keywords: Any
) -> Outcome:
    job = shell_job({name: words})
    call = Call("shell", [name.partition("/")[0], *arguments], keywords)
    assert job.refuses(call) is None
    return await run(job, call, task or context(), SECONDS)


async def result(words: Sequence[str], *arguments: Any, **options: Any) -> dict[str, Any]:
    found = await outcome(words, *arguments, **options)
    assert isinstance(found, Done), found
    assert isinstance(found.result, dict)
    return found.result


async def failure(words: Sequence[str], *arguments: Any, **options: Any) -> Failed:
    found = await outcome(words, *arguments, **options)
    assert isinstance(found, Failed), found
    return found


async def test_it_runs_what_the_operator_named() -> None:
    text = (
        "import sys; print('Grüße', flush=True); print('careful', file=sys.stderr); sys.stdout.buffer.write(b'\\xff')"
    )
    task = context()
    found = await result([*python(text)], task=task)
    assert found == {"code": 0, "stdout": "Grüße\n\ufffd", "stderr": "careful\n", "cut": False}
    assert [line["text"] for line in task.said()["log"]] == ["careful"]


async def test_arguments_of_the_task_stay_as_they_are() -> None:
    given = ["two words", "'quoted'", "$HOME", "`id`", "*", ";", "|", "a\nb", "", "ü", 5, 2.5, 10**20]
    found = await result(python(SHOW, "first"), *given)
    assert json.loads(found["stdout"]) == ["first", *map(str, given)]


@pytest.mark.parametrize("argument", [True, None, ["a"], {"a": 1}, "nul\0", "-rf", "--output=/etc/passwd", -5])
async def test_other_arguments_are_refused(argument: object) -> None:
    found = await failure(python(SHOW), argument)
    assert (found.error.type, found.final) == ("WrongArguments", True)


async def test_after_two_hyphens_there_are_no_options() -> None:
    found = await result(python(SHOW, "--"), "-rf", -5)
    assert json.loads(found["stdout"]) == ["--", "-rf", "-5"]


async def test_the_operator_says_how_many_arguments_there_are() -> None:
    assert json.loads((await result(python(SHOW), name="it/0"))["stdout"]) == []
    assert json.loads((await result(python(SHOW), "a", "b", name="it/2"))["stdout"]) == ["a", "b"]
    for arguments in ([], ["a"], ["a", "b", "c"]):
        found = await failure(python(SHOW), *arguments, name="it/2")
        assert (found.error.type, found.final) == ("WrongArguments", True)
        assert "takes 2 arguments" in found.error.message


async def test_an_unknown_command_is_refused_with_the_known() -> None:
    job = shell_job({"backup": ["true"], "restore/1": ["true"]})
    found = await run(job, Call("shell", ["rm -rf /"]), context(), None)
    assert isinstance(found, Failed)
    assert (found.error.type, found.final) == ("WrongArguments", True)
    assert "'rm -rf /'" in found.error.message
    assert "backup, restore" in found.error.message


async def test_its_environment_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTER_URL", "http://user:secret@localhost/after")
    monkeypatch.setenv("TZ", "America/Sao_Paulo")
    found = await result(python("import json, os; print(json.dumps(dict(os.environ)))"))
    environment = json.loads(found["stdout"])
    assert environment.pop("AFTER_TASK_ID") == "one; rm -rf $HOME\n"
    assert environment.pop("AFTER_ATTEMPT") == "2"
    assert (environment["TZ"], environment["PATH"]) == ("America/Sao_Paulo", os.environ["PATH"])
    assert "AFTER_URL" not in environment


async def test_it_reads_nothing_or_what_the_task_gives() -> None:
    text = "import sys; print(len(sys.stdin.read()))"
    assert (await result(python(text)))["stdout"] == "0\n"
    assert (await result(python(text), stdin="x" * 300_000))["stdout"] == "300000\n"
    assert (await result(["true"], stdin="x" * 300_000))["stdout"] == "", "it need not read it"
    assert (await failure(["true"], stdin=5)).final


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; print('why', file=sys.stderr); sys.exit(7)", "ended with exit code 7: why"),
        ("import os; os._exit(1)", "ended with exit code 1"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
    ],
)
async def test_a_command_that_fails_tells_how(text: str, message: str) -> None:
    found = await failure(python(text))
    assert (found.error.type, found.final) == ("CommandFailed", False)
    assert found.error.message == f"the command 'it' {message}"


async def test_a_program_that_is_gone_is_a_failure(tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy(shutil.which("true") or "", program)
    job = shell_job({"it": [str(program)]})
    program.unlink()
    found = await run(job, Call("shell", ["it"]), context(), None)
    assert isinstance(found, Failed)
    assert (found.error.type, found.final) == ("CommandFailed", False)
    assert "could not be started: " in found.error.message
    assert "No such file" in found.error.message


async def test_of_much_output_the_end_is_kept() -> None:
    text = "import sys\nfor n in range(40_000): print(n); print(n, file=sys.stderr)"
    task = context()
    found = await result(python(text), task=task)
    whole = "".join(f"{n}\n" for n in range(40_000))
    assert found == {"code": 0, "stdout": whole[-KEPT:], "stderr": whole[-KEPT:], "cut": True}
    assert [line["text"] for line in task.said()["log"]] == [str(n) for n in range(39_900, 40_000)]


async def test_output_that_takes_much_json_still_fits() -> None:
    found = await result(python("import sys; sys.stdout.write('\\0' * 60_000); sys.stderr.write('\\0' * 60_000)"))
    assert found["cut"]
    assert set(found["stdout"]) == set(found["stderr"]) == {"\0"}


async def test_output_without_an_end_takes_no_memory_and_leaves_the_loop_alone() -> None:
    said, loop = asyncio.Event(), asyncio.get_running_loop()
    task = TaskContext({"_id": "loud"}, 1, SystemClock(), lambda: loop.call_soon_threadsafe(said.set))
    running = asyncio.create_task(outcome(["yes"]))
    loud = asyncio.create_task(outcome(["sh", "-c", "yes >&2"], task=task))
    async with asyncio.timeout(SECONDS):
        for _ in range(20):
            await said.wait()
            said.clear()
            assert {line["text"] for line in task.said()["log"]} == {"y"}
    running.cancel()
    loud.cancel()
    assert await asyncio.gather(running, loud) == [Stopped(), Stopped()]


def test_lines_come_apart_wherever_they_are_cut() -> None:
    whole = "".join(f"line {n}\n" for n in range(50)) + "the end"
    for size in (1, 7, 64, 1000):
        task = context()
        output = Output(task)
        for start in range(0, len(whole), size):
            output._log(task, whole[start : start + size].encode())
        output.close()
        assert [line["text"] for line in task.said()["log"]] == [f"line {n}" for n in range(50)]


IGNORE = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
children = [subprocess.Popen(["sleep", "3600"], start_new_session=new) for new in (False, True)]
print(os.getpid(), *(child.pid for child in children), file=open(sys.argv[1], "w"), flush=True)
time.sleep(3600)
"""


async def test_nothing_of_it_is_left_when_it_is_told_to_end(tmp_path: Path) -> None:
    file = pipe(tmp_path)
    running = asyncio.create_task(outcome(python(IGNORE), str(file)))
    with watched(await told(file)) as processes:
        running.cancel()
        assert await processes.left(GONE_SECONDS) == []
        assert await running == Stopped()


async def test_what_it_leaves_in_the_background_ends_with_it(tmp_path: Path) -> None:
    file = pipe(tmp_path)
    running = asyncio.create_task(outcome(["sh", "-c", f"sleep 3600 & echo $! > {file}; read go < {file}"]))
    with watched(await told(file)) as processes:
        await let_end(file)
        assert (await running) == Done({"code": 0, "stdout": "", "stderr": "", "cut": False})
        assert processes.ended(0)


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["backup"], "has no name"),
        (["=true"], "no name for a command"),
        (["a b=true"], "no name for a command"),
        (["a/b=true"], "no name for a command"),
        (["backup="], "names no program"),
        (["backup=''"], "names no program"),
        (["backup='pg_dump"], "No closing quotation"),
        (["backup=no-such-program-here now"], "there is no program 'no-such-program-here'"),
        (["backup=true", "backup=false"], "two commands are named 'backup'"),
        (["backup=true", "backup/1=false"], "two commands are named"),
    ],
)
def test_a_wrong_command_is_one_line_at_the_start(texts: list[str], why: str) -> None:
    with pytest.raises(JobError, match=why):
        shell_job(parse_commands(texts))
    code, out, err = after("start", "manobi", *(word for text in texts for word in ("--command", text)))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert why in err


def test_a_command_is_split_as_a_shell_would() -> None:
    assert parse_commands(["backup=pg_dump -Fc 'my shop' --where=a=b", "x/0=y"]) == {
        "backup": ["pg_dump", "-Fc", "my shop", "--where=a=b"],
        "x/0": ["y"],
    }


async def test_a_worker_with_commands_only(server: Server, tmp_path: Path) -> None:
    file = pipe(tmp_path)
    script = tmp_path / "ignore.py"
    script.write_text(IGNORE)
    options = ["--command", "say/2=echo hello", "--command", f"stay={sys.executable} {script}"]
    async with Client(server.database) as client:
        with Command("start", "manobi", *options, url=server.database) as worker:
            worker.wait_for("started as")
            task = await run_to_the_end(client, "shell", "say", "big", "world")
            assert (task["status"], task["result"]["stdout"]) == ("done", "hello big world\n")
            task = await client.schedule("manobi", "shell", "stay", str(file))
            with watched(await told(file)) as processes:
                await until(client, task["_id"], "running")
                await client.cancel(task["_id"])
                assert await processes.left(GONE_SECONDS) == []
            task = await client.wait(task["_id"], SECONDS)
            assert story(task)[-2:] == ["cancel", "canceled"]
            await client.schedule("manobi", "shell", "stay", str(file))
            with watched(await told(file)) as processes:
                worker.process.send_signal(signal.SIGKILL)
                assert await processes.left(GONE_SECONDS) == []


async def test_a_worker_has_no_shell_unless_it_has_commands(server: Server, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs_of_the_tests.py"
    jobs.write_text(JOBS)
    async with Client(server.database) as client:
        with Command("start", "manobi", "--jobs", jobs, url=server.database) as worker:
            worker.wait_for("started as")
            task = await run_to_the_end(client, "shell", "say")
    assert task["error"]["type"] == "UnknownJob"
