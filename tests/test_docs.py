"""The documentation tells what is so: its examples are run, its links lead somewhere."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from documented import ANY, FENCED, PAGES, ROOT, Block, Step, Terminal, blocks, fits, steps

from after.task import Retry, check

ALL = [*PAGES, ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_do_what_the_page_says(page: Path, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    found = blocks(page)
    try:
        for block, following in zip(found, [*found[1:], Block("", "", 0)], strict=True):
            if block.kind == "console":
                for step in steps(block):
                    terminal.run(step)
            elif block.kind == "python":
                _run_python(terminal, page, block, following)
    finally:
        terminal.close()


def _run_python(terminal: Terminal, page: Path, block: Block, following: Block) -> None:
    """Run a script, or keep it for the commands that name it."""
    named = re.match(r"# (\w+\.py)\n", block.text)
    name = named[1] if named else f"line_{block.line}.py"
    terminal.save(name, block.text)
    if not any(name in other.text for other in blocks(page) if other.kind == "console"):
        terminal.run(Step(f"python {name}", following.text if following.kind == "text" else ""))


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.stem)
def test_the_other_blocks_are_what_they_say(page: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for block in blocks(page):
        if block.kind == "json":
            document = json.loads(block.text)
            check(document) if "worker" in document else msgspec.convert(document, Retry)
        elif block.kind == "toml":
            tomllib.loads(block.text)
        elif block.kind == "sh":
            commands = [line.partition("#")[0].strip() for line in block.text.splitlines()]
            assert set(commands) <= {"pip install .", *(f"make {target}" for target in targets)}
        else:
            assert block.kind in ("console", "python", "text", "mermaid")


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCED.sub("", page.read_text())
    for link in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = link.partition("#")
        if "://" not in path:
            target = (page.parent / path) if path else page
            assert target.exists(), link
            assert not anchor or anchor in _anchors(target), link


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("one", "two"),
        ("one\n", "one\ntwo\n"),
        (f"one\n{ANY}\nthree\n", "one\ntwo\n"),
        ('{"a": 1}', '{"a": 2}'),
        ('{"a": 1}', '{"a": 1, "b": 2}'),
        (f'{{"a": 1, {ANY}}}', '{"b": 2}'),
        (f'{{"a": "1-{ANY}"}}', '{"a": "2-3"}'),
        ('[{"a": 1}]', "[]"),
    ],
)
def test_what_differs_is_seen(shown: str, printed: str) -> None:
    assert not fits(shown, printed)
