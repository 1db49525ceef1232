"""Reading the documentation and doing what its examples say.

What a page shows is compared with what happens, after these rules, which the pages tell their readers:
`…` stands for any text, alone on a line for any lines, as a JSON value for any value, and as a member for any others.
Answers in JSON are compared as values, and other text without regard to how many spaces stand between its words.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SECONDS = 30.0
"""How long an example may take."""
PORT = "5985"
"""The port that the pages name; the examples run on another, which is free."""
ANY = "…"
STAYS = ("make run", "after serve", "after start")
"""Commands that go on, in a terminal of their own, until the page ends."""
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LOOKS = re.compile(r"after (show|tasks|list|log|doctor)\b|curl (?!.*-[Xd])")
"""Commands that change nothing: the reader looks when it is time, so they are repeated until it is."""


class Block(NamedTuple):
    """A fenced block of a page; `line` is where its content begins."""

    kind: str
    text: str
    line: int


class Step(NamedTuple):
    """A command and what it prints."""

    command: str
    shown: str


def blocks(page: Path) -> list[Block]:
    """Give the fenced blocks of a page."""
    text = page.read_text()
    return [Block(match[1], match[2], text[: match.start()].count("\n") + 2) for match in FENCED.finditer(text)]


def table(text: str, title: str) -> list[list[str]]:
    """Give the rows, as cells, of the tables whose first column has this title."""
    rows: list[list[str]] = []
    for part in re.findall(rf"^\| {re.escape(title)} \|.*\n\|[-|]+\n((?:\|.*\n?)+)", text, re.MULTILINE):
        rows += [[cell.strip() for cell in row.strip("|").split("|")] for row in part.splitlines()]
    return rows


def codes(cell: str) -> list[str]:
    """Give what is marked as code."""
    return re.findall(r"`([^`]+)`", cell)


def section(page: Path, heading: str) -> str:
    """Give the text below a heading, up to the next one of its level or above."""
    text = re.sub(FENCED, lambda block: block[0].replace("\n#", "\n "), page.read_text())
    level, start = heading.partition(" ")[0], text.index(f"\n{heading}\n") + len(heading) + 2
    end = re.compile(rf"^#{{1,{len(level)}}} ", re.MULTILINE).search(text, start)
    return text[start : end.start() if end else None]


def steps(block: Block) -> list[Step]:
    """Give the commands of a console block; one goes on over lines while a quote is open."""
    found: list[Step] = []
    lines = iter(block.text.splitlines())
    for line in lines:
        if not line.startswith("$ "):
            command, shown = found.pop()
            found.append(Step(command, f"{shown}{line}\n"))
            continue
        command = line.removeprefix("$ ")
        while _is_open(command):
            command += "\n" + next(lines)
        found.append(Step(command, ""))
    return found


def _is_open(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return True
    return command.endswith("\\")


def fits(shown: str, printed: str) -> bool:
    """Tell whether a page shows what was printed."""
    return _fits(list(_items(shown)), list(_items(printed)))


def _fits(shown: list[Any], printed: list[Any]) -> bool:
    if not shown or shown == [ANY]:
        return bool(shown) or not printed
    if shown[0] == ANY:
        return any(_fits(shown[1:], printed[start:]) for start in range(len(printed) + 1))
    return bool(printed) and _alike(shown[0], printed[0]) and _fits(shown[1:], printed[1:])


def _items(text: str) -> Iterator[Any]:
    """Give what a text is made of: values in JSON, and lines of other text."""
    while text := text.lstrip():
        end = _end(text)
        try:
            yield json.loads(_whole(text[:end]))
        except ValueError:
            end = text.find("\n") + 1 or len(text)
            yield " ".join(text[:end].split())
        text = text[end:]


def _end(text: str) -> int:
    """Give where the array or object ends that a text begins with; 0 where it begins with none."""
    depth = 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]|\S', text):
        depth += (found[0] in "[{") - (found[0] in "]}")
        if depth <= 0:
            return found.end() if found[0] in "]}" else 0
    return 0


def _whole(text: str) -> str:
    """Make JSON of what has `…` in it outside of quotes: a value where one is due, a member elsewhere."""

    def quoted(found: re.Match[str]) -> str:
        before = found.string[: found.start()].rstrip()
        return found[0] if found[0] != ANY else f'"{ANY}"' if before.endswith(":") else f'"{ANY}": "{ANY}"'

    return re.sub(rf'"(?:[^"\\]|\\.)*"|{ANY}', quoted, text)


def _alike(shown: Any, printed: Any) -> bool:
    if shown == ANY:
        return True
    if isinstance(shown, str):
        pattern = ".*".join(re.escape(part) for part in shown.split(ANY))
        return isinstance(printed, str) and re.fullmatch(pattern, printed) is not None
    if isinstance(shown, dict) and isinstance(printed, dict):
        named = shown.keys() - {ANY}
        all_there = named <= printed.keys() if ANY in shown else named == printed.keys()
        return all_there and all(_alike(shown[name], printed[name]) for name in named)
    if isinstance(shown, list) and isinstance(printed, list):
        return len(shown) == len(printed) and all(map(_alike, shown, printed))
    return bool(shown == printed)


class Terminal:
    """Does what a page says, in a folder of its own with the examples in it, against a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = str(free.getsockname()[1])
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "AFTER_URL": f"http://127.0.0.1:{self._port}/after",
            "PYTHONUNBUFFERED": "1",
        }
        self._staying: list[subprocess.Popen[str]] = []
        self._code: Callable[[], int] = lambda: 0
        shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))

    def save(self, name: str, text: str) -> None:
        """Write a file of the page."""
        (self._folder / name).write_text(self._here(text))

    def run(self, step: Step) -> None:
        """Run a command; raise `AssertionError` where it does not print what is shown."""
        until = time.monotonic() + SECONDS
        do = self._stay if step.command.startswith(STAYS) else self._do
        printed = self._there(do(step))
        while LOOKS.match(step.command) and not fits(step.shown, printed) and time.monotonic() < until:
            self._wait_for_a_change()
            printed = self._there(do(step))
        assert fits(step.shown, printed), f"$ {step.command}\n{step.shown}--- but it printed:\n{printed}"

    def close(self) -> None:
        """End what still runs, the latest first."""
        for process in reversed(self._staying):
            process.terminate()
            process.wait(SECONDS)
            assert process.stdout is not None
            process.stdout.close()

    def _do(self, step: Step) -> str:
        command = self._here(step.command)
        if command == "echo $?":
            return f"{self._code()}\n"
        if command.startswith("curl "):
            return self._curl(command)
        done = subprocess.run(
            ["sh", "-c", command], cwd=self._folder, env=self._environment, text=True, timeout=SECONDS,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        self._code = lambda: done.returncode
        return done.stdout

    def _stay(self, step: Step) -> str:
        """Start a command, and let it go on once it has printed what is shown."""
        words = shlex.split(self._here(step.command))
        if words[0] == "make":
            words = [sys.executable, "examples/first_run.py", self._port]
        elif words[1] == "serve" and "--port" not in words:
            words += ["--port", self._port]
        process = subprocess.Popen(
            words, cwd=self._folder, env=self._environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._staying.append(process)
        self._code = lambda: process.wait(SECONDS)
        patience = threading.Timer(SECONDS, process.send_signal, [signal.SIGTERM])
        patience.start()
        printed = ""
        assert process.stdout is not None
        for line in process.stdout:
            printed += line
            if fits(step.shown, self._there(printed)):
                break
        patience.cancel()
        return printed

    def _curl(self, command: str) -> str:
        """Do what curl would, which not every machine has."""
        words = iter(shlex.split(command)[1:])
        method, content, headers, url, shows_head = "", None, {}, "", False
        for word in words:
            if word == "-X":
                method = next(words)
            elif word == "-d":
                content = next(words).encode()
            elif word == "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            elif word == "-i":
                shows_head = True
            else:
                url = word
        if content is not None:
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        address, slash, path = url.partition("/")
        response = self._request(
            address, method or ("GET" if content is None else "POST"), slash + path, content, headers
        )
        head = "".join(f"{name}: {value}\n" for name, value in response.getheaders())
        told = f"HTTP/1.1 {response.status} {response.reason}\n{head}\n" if shows_head else ""
        return told + response.read().decode()

    def _request(
        self, address: str, method: str, path: str, content: bytes | None = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(address, timeout=SECONDS)
        connection.request(method, path, content, {"Connection": "close", **(headers or {})})
        return connection.getresponse()

    def _wait_for_a_change(self) -> None:
        address = f"127.0.0.1:{self._port}"
        with suppress(OSError):
            self._request(address, "GET", "/after/_changes?feed=longpoll&since=now&timeout=500").read()

    def _here(self, text: str) -> str:
        return re.sub(rf"\b(localhost|127\.0\.0\.1):{PORT}\b", f"127.0.0.1:{self._port}", text)

    def _there(self, text: str) -> str:
        return text.replace(f":{self._port}", f":{PORT}")
