"""The house rules that would rot if nobody looked: which part may know which, and what the package offers."""

from __future__ import annotations

import ast
from pathlib import Path

import after

ROOT = Path(after.__file__).parent

FLOORS = (
    ("errors", "clock", "cycles", "dates", "status", "collation", "repeat"),
    ("recurrence", "collector"),
    ("task", "selector", "missed"),
    ("conflicts", "given", "history", "idempotence", "outcome", "retry", "roster", "timers"),
    ("events", "repeating", "step"),
    ("ended", "drivers"),
    ("lifecycle",),
    ("audit", "editing", "nexts", "scheduler", "database"),
    ("cleaning", "editor"),
    ("many",),
    ("jobs", "client", "control"),
    ("blocking", "health", "move", "worker", "server", "design"),
    ("",),
    ("cli", "testing"),
    ("__main__",),
)
"""From the ground up. A part imports from floors below its own, or from itself; `` is the package's front."""


def part(path: Path) -> str:
    name = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


def imported(path: Path) -> set[str]:
    """Give the parts of the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "after":
            names = [alias.name for alias in node.names]
            found |= {name if (ROOT / f"{name}.py").exists() or (ROOT / name).exists() else "" for name in names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("after."):
            found.add(node.module.split(".")[1])
    return found


def test_parts_know_only_what_lies_below_them() -> None:
    floor = {name: height for height, names in enumerate(FLOORS) for name in names}
    files = sorted(ROOT.rglob("*.py"))
    assert {part(file) for file in files} == set(floor), "every part has its floor"
    upwards = {
        f"{file.relative_to(ROOT)} imports {other}"
        for file in files
        for other in imported(file)
        if other != part(file) and floor[other] >= floor[part(file)]
    }
    assert not upwards


def test_the_front_of_the_package_is_a_table_of_contents() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text())
    kinds = {type(node) for node in tree.body}
    assert kinds <= {ast.Expr, ast.ImportFrom, ast.Assign}
    assert sorted(after.__all__) == sorted(set(after.__all__))
    assert all(getattr(after, name).__doc__ for name in after.__all__)


def test_each_effect_has_one_door() -> None:
    """SQL, processes, the environment and the clock are reached from one place each."""
    doors = {
        "sqlite3": {
            "server/store.py",
            "server/writer.py",
            "server/group.py",
            "server/losers.py",
            "server/compaction.py",
            "server/migration.py",
        },
        "subprocess": {"jobs/program.py", "jobs/shell.py"},
        "os.fork(": {"jobs/guard.py"},
        "os.environ": {"cli/engine.py", "jobs/shell.py"},
        "time.time(": {"clock.py"},
        "datetime.now(": set(),
        "random.": {"worker/runs.py"},
    }
    for text, allowed in doors.items():
        users = {str(file.relative_to(ROOT)) for file in ROOT.rglob("*.py") if text in _code(file)}
        assert users <= allowed, text


def _code(file: Path) -> str:
    """Give a file without its comments and docstrings."""
    return ast.unparse(_without_docstrings(ast.parse(file.read_text())))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [one for one in body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return tree
