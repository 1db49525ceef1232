"""PouchDB's and nano's clients against the embedded server: what CouchDB's own users would bring along."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from serving import Server

FOLDER = Path(__file__).parent / "javascript_clients"
SECONDS = 100.0
MISSING = [name for name in ("node", "npm") if shutil.which(name) is None]

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} missing: PouchDB and nano were NOT tried against the server"
)


@pytest.fixture(scope="session")
def clients() -> Path:
    """Give the folder of the clients, installed as its lock file says, once for all processes that test."""
    locked = FOLDER / "package-lock.json"
    with (FOLDER / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = FOLDER / "node_modules" / ".installed"
        if not installed.exists() or installed.read_bytes() != locked.read_bytes():
            done = _run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
            if done.returncode:
                pytest.skip(f"npm could not install PouchDB and nano, which were NOT tried:\n{done.stdout}")
            installed.write_bytes(locked.read_bytes())
    return FOLDER


def _run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=FOLDER, env={**os.environ, **environment}, text=True, timeout=SECONDS, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["nano", "pouchdb"])
def test_does_all_that_the_server_promises(name: str, clients: Path, server: Server) -> None:
    script = f"{name}.mjs"
    done = _run("node", "--test", "--test-reporter=tap", script, AFTER_URL=server.database)
    written = len(re.findall(r"^test\(", (clients / script).read_text(), re.MULTILINE))
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout
    assert passed is not None
    assert int(passed[1]) == written, done.stdout
