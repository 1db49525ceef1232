"""What SQLite alone does here: rows like a task's, with the same indexes, each batch synced to the disk."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path

from after.server import sql
from benchmarks.processes import RUNS, report

ROWS = 50_000
BODY = b'{"type":"task","worker":"bench","job":"nothing","history":[%s]}' % (b'"............"' * 15)


def rate(batch: int, rows: int) -> float:
    """Insert rows in transactions of so many; give rows a second."""
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "limit.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(sql.SCHEMA)
        began = time.perf_counter()
        for start in range(0, rows, batch):
            connection.execute("BEGIN")
            connection.executemany(sql.insert(1), [_row(number) for number in range(start, start + batch)])
            connection.execute("COMMIT")
        seconds = time.perf_counter() - began
        connection.close()
        return rows / seconds


def _row(number: int) -> tuple[object, ...]:
    date = 1_700_000_000_000 + number
    return (f"id-{number:032}", f"1-{number:032}", number, 0, "", 0, "bench", "waiting", date, date, None, BODY)


def main() -> None:
    """Print the limits."""
    report("SQLite alone, 1,000 rows a commit", [rate(1_000, ROWS) for _ in range(RUNS)], "rows/s")
    report("SQLite alone, 32 rows a commit", [rate(32, ROWS // 5) for _ in range(RUNS)], "rows/s")
    report("SQLite alone, 1 row a commit", [rate(1, ROWS // 50) for _ in range(RUNS)], "rows/s")
