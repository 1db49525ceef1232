"""`after install` and `after uninstall` as commands: what they refuse, and what they do to a real CouchDB.

AFTER_TEST_COUCHDB_URL names a CouchDB 3, with name and password of a server admin, and AFTER_TEST_COUCHDB_CLUSTER all
nodes of a cluster, separated by commas. Each test has a database and names of its own, and removes them.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import subprocess
import sys
import termios
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commanding import Result, after, free_port
from documented import ROOT, blocks, fits, steps
from yarl import URL

from after.design import design_document
from after.design.admin import Server as Couch
from after.design.install import apply
from after.design.look import look
from after.design.plan import Step, Wish, plan
from after.errors import Conflict, Refusal
from after.task import Document

if TYPE_CHECKING:
    from serving import Server

SINGLE = os.environ.get("AFTER_TEST_COUCHDB_URL")
CLUSTER = os.environ.get("AFTER_TEST_COUCHDB_CLUSTER")
SECRET = "correct horse ä:/@"
needs_couchdb = pytest.mark.skipif(SINGLE is None, reason="AFTER_TEST_COUCHDB_URL is not set: no install into CouchDB")
needs_cluster = pytest.mark.skipif(CLUSTER is None, reason="AFTER_TEST_COUCHDB_CLUSTER is not set: no install on it")


class Place:
    """A database of a CouchDB that is not there yet, and a user's name that nobody has."""

    def __init__(self, server: str) -> None:
        self.name = f"install-{uuid.uuid4().hex[:8]}"
        self.user = f"{self.name}-user"
        self.vhost = f"{self.name}.example.org"
        self.url = f"{server.rstrip('/')}/{self.name}"

    def ask(self, method: str, path: str = "", body: object = None, **query: str) -> Any:
        """Ask the server as its admin; None where nothing is there."""

        async def work() -> Any:
            async with Couch(self.url) as couch:
                return await couch.request(method, path, body, query)

        try:
            return asyncio.run(work())
        except Refusal as error:
            if error.code == 404:
                return None
            raise

    def as_user(self, password: str) -> Place:
        """Give the same place for its user."""
        made = Place("")
        made.__dict__ |= vars(self)
        made.url = str(URL(self.url).with_user(self.user).with_password(password))
        return made

    def snapshot(self) -> list[Any]:
        """Give all that installing may change, with revisions."""
        nodes = self.ask("GET", "_membership")["cluster_nodes"]
        return [
            self.ask("GET", f"{self.name}/_all_docs"),
            self.ask("GET", f"{self.name}/_security"),
            self.ask("GET", f"_users/org.couchdb.user:{self.user}"),
            [self.ask("GET", f"_node/{node}/_config/{section}") for node in nodes for section in ("vhosts", "csp")],
        ]

    def clean(self) -> None:
        self.ask("DELETE", self.name)
        if user := self.ask("GET", f"_users/org.couchdb.user:{self.user}"):
            self.ask("DELETE", f"_users/{user['_id']}", rev=user["_rev"])
        for node in self.ask("GET", "_membership")["cluster_nodes"]:
            self.ask("DELETE", f"_node/{node}/_config/vhosts/{self.vhost}")


@pytest.fixture
def place() -> Iterator[Place]:
    assert SINGLE is not None
    made = Place(SINGLE)
    yield made
    made.clean()


@pytest.fixture
def nodes() -> Iterator[list[Place]]:
    """One place, seen from each node of a cluster, whose settings are put back."""
    assert CLUSTER is not None
    places = [Place(url) for url in CLUSTER.split(",")]
    for other in places[1:]:
        other.name, other.user, other.vhost = places[0].name, places[0].user, places[0].vhost
        other.url = str(URL(other.url).parent / other.name)
    first, names = places[0], places[0].ask("GET", "_membership")["cluster_nodes"]
    paths = [f"_node/{name}/_config/csp/attachments_enable" for name in names]
    before = {path: first.ask("GET", path) for path in paths}
    for path in paths:
        first.ask("DELETE", path)
    yield places
    for path, value in before.items():
        first.ask("DELETE", path) if value is None else first.ask("PUT", path, value)
    first.clean()


def install(place: Place, *options: object, password: str = SECRET) -> Result:
    done = after(
        "install", place.url, "--user", place.user, "--password-file", "-", *options, given=f"{password}\nmore"
    )
    told = done.out + done.err
    assert password not in told
    assert (URL(place.url).password or "?") not in told
    return done


class TestWrongUse:
    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (["--user", "a:b"], "'a:b' cannot be a user's name"),
            (["--user", "_admin"], "cannot be a user's name"),
            (["--user", ""], "cannot be a user's name"),
            (["--no-user", "--user", "ann"], "--no-user goes with neither"),
            (["--password-file", "/nothing/here"], "No such file"),
            (["--vhost", "127.0.0.1"], "choose another name"),
            (["--vhost", "a b"], "is not the name of a host"),
        ],
    )
    def test_is_told_before_anybody_is_asked(self, options: list[str], told: str) -> None:
        code, out, err = after("install", f"http://admin:hunter2@127.0.0.1:{free_port()}/after", *options)
        assert (code, out) == (2, "")
        assert told in err
        assert "hunter2" not in err

    def test_an_empty_password_is_none(self, tmp_path: Path) -> None:
        file = tmp_path / "password"
        for content in (b"", b"\nsecond", b"\xff\xfe"):
            file.write_bytes(content)
            assert after("install", "http://a:b@127.0.0.1:1/after", "--password-file", file).code == 2

    @pytest.mark.parametrize("command", ["install", "uninstall"])
    def test_a_url_that_is_none(self, command: str) -> None:
        code, out, err = after(command, "http://admin:hun#ter2@127.0.0.1:5984/after")
        assert (code, out) == (1, "")
        assert "special characters in a password" in err
        assert "ter2" not in err

    @pytest.mark.parametrize("command", ["install", "uninstall"])
    def test_nobody_answers(self, command: str) -> None:
        code, out, err = after(command, f"http://admin:hunter2@127.0.0.1:{free_port()}/after")
        assert (code, out) == (3, "")
        assert "Connection refused" in err
        assert "hunter2" not in err

    def test_a_password_that_nobody_can_be_asked_for(self) -> None:
        code, _, err = after("install", "http://admin@127.0.0.1:1/after", given="")
        assert code == 2
        assert "give it in the URL" in err

    @pytest.mark.parametrize("command", ["install", "uninstall"])
    def test_afters_own_server_needs_none(self, server: Server, command: str) -> None:
        code, out, err = after(command, server.database)
        assert (code, out) == (1, "")
        assert "is After's own server" in err


@needs_couchdb
class TestInstalling:
    def test_makes_what_is_missing_and_then_changes_nothing(self, place: Place) -> None:
        dry = install(place, "--dry-run")
        assert dry.code == 0, dry.err
        assert dry.out.endswith("dry run: nothing was changed\n")
        assert place.ask("GET", place.name) is None
        assert place.ask("GET", f"_users/org.couchdb.user:{place.user}") is None
        done = install(place)
        assert done.code == 0, done.err
        assert done.out.splitlines()[:-2] == dry.out.splitlines()[:-1]
        assert done.out.splitlines()[0] == f"user {place.user}: create with the role worker"
        assert f"AFTER_URL=http://{place.user}:PASSWORD@" in done.out
        before = place.snapshot()
        assert install(place).out.startswith("nothing to change\n")
        again = after("install", place.url, "--user", place.user, "--json")
        assert json.loads(again.out)["changes"] == []
        assert place.snapshot() == before
        installed = place.ask("GET", f"{place.name}/_design/after")
        assert installed["after"] == design_document()["after"]
        assert place.ask("GET", f"{place.name}/_security")["members"]["roles"] == ["_admin", "worker", "client"]

    def test_the_user_may_work_and_not_install(self, place: Place) -> None:
        install(place)
        assert place.as_user(SECRET).ask("GET", place.name)["doc_count"] == 1
        before = place.snapshot()
        for command in ("install", "uninstall"):
            refused = after(command, place.as_user(SECRET).url)
            assert (refused.code, refused.out) == (1, "")
            assert f"{place.user!r} with only the roles worker; installing needs a server admin" in refused.err
            wrong = after(command, place.as_user("wrong").url)
            assert (wrong.code, wrong.out) == (1, "")
            assert "Name or password is incorrect" in wrong.err
            nobody = after(command, str(URL(place.url).with_user(None)))
            assert nobody.code == 1
            assert "wants a server admin's name and password" in nobody.err
        assert place.snapshot() == before

    def test_an_existing_user_keeps_password_and_roles(self, place: Place) -> None:
        user = {"name": place.user, "type": "user", "roles": ["staff"], "password": "old"}
        place.ask("PUT", f"_users/org.couchdb.user:{place.user}", user)
        told = after("install", place.url, "--user", place.user).out
        assert f"user {place.user}: add the role worker\n" in told
        session = place.as_user("old").ask("GET", "_session")
        assert session["userCtx"]["roles"] == ["staff", "worker"]
        assert f"user {place.user}: set the password\n" in install(place, password="new").out
        assert place.as_user("new").ask("GET", "_session")["userCtx"]["name"] == place.user

    def test_the_password_is_asked_for_twice_and_never_shown(self, place: Place) -> None:
        nobody = after("install", place.url, "--user", place.user, given="")
        assert nobody.code == 2
        assert "--password-file" in nobody.err
        assert place.ask("GET", place.name) is None, "before anything is changed"
        told = typed(["install", place.url, "--user", place.user], ["one", "two", SECRET, SECRET])
        assert "do not match" in told
        assert SECRET not in told
        assert place.as_user(SECRET).ask("GET", "_session")["userCtx"]["roles"] == ["worker"]

    def test_documents_of_others_are_left_alone_unless_told(self, place: Place) -> None:
        place.ask("PUT", place.name)
        place.ask("PUT", f"{place.name}/invoice", {"total": 3})
        before = place.snapshot()
        for options in ((), ("--dry-run",)):
            code, out, err = install(place, *options)
            assert (code, out) == (1, "")
            assert "has documents that are not After's (invoice)" in err
        assert place.snapshot() == before
        assert install(place, "--existing").code == 0
        assert install(place).out.startswith("nothing to change")
        assert place.ask("GET", f"{place.name}/invoice")["total"] == 3

    def test_a_design_document_of_others_stays(self, place: Place) -> None:
        place.ask("PUT", place.name)
        place.ask("PUT", f"{place.name}/_design/after", {"views": {}})
        before = place.snapshot()
        assert "a _design/after that is not After's" in install(place, "--existing").err
        assert "is not After's" in after("uninstall", place.url).err
        assert place.snapshot() == before

    def test_the_rules_can_be_left_out_and_put_in(self, place: Place) -> None:
        told = install(place, "--no-validation").out
        assert "without the rules" in told
        assert "note: without the rules whoever may write can set any status" in told
        assert "validate_doc_update" not in place.ask("GET", f"{place.name}/_design/after")
        assert levels(place)["design document", "warn"].startswith("has no rules")
        assert "now with the rules" in install(place).out
        assert "validate_doc_update" in place.ask("GET", f"{place.name}/_design/after")

    def test_a_vhost(self, place: Place) -> None:
        assert f"HTTP:             http://{place.vhost}:" in install(place, "--vhost", place.vhost).out
        before = place.snapshot()
        assert install(place, "--vhost", place.vhost).out.startswith("nothing to change")
        assert place.snapshot() == before
        node = place.ask("GET", "_membership")["cluster_nodes"][0]
        place.ask("PUT", f"_node/{node}/_config/vhosts/{place.vhost}", "/other")
        assert "points to /other already" in install(place, "--vhost", place.vhost).err

    def test_the_doctor_knows_what_is_installed(self, place: Place) -> None:
        place.ask("PUT", place.name)
        assert levels(place)["design document", "fail"] == "After is not installed in this database"
        install(place)
        installed = place.ask("GET", f"{place.name}/_design/after")
        assert levels(place)["design document", "ok"] == f"of After {installed['after']['version']}"
        older = {**installed, "after": {"version": "0.0.1", "digest": "older"}}
        place.ask("PUT", f"{place.name}/_design/after", older)
        assert levels(place)["design document", "warn"] == "of After 0.0.1, differs from this one's"
        assert "in place of After 0.0.1 (digest older)" in install(place).out


@needs_couchdb
class TestUpgrading:
    def test_new_indexes_are_ready_at_the_swap(self, place: Place) -> None:
        upgrade(place, design("1"))
        rows = [{"_id": f"t{n:05}", "worker": "manobi", "job": "j"} for n in range(2_000)]
        place.ask("POST", f"{place.name}/_bulk_docs", {"docs": rows})
        assert len(place.ask("GET", f"{place.name}/_design/after/_view/due", limit="1")["rows"]) == 1
        done, told = upgrade(place, design("2"), at_swap=lambda: place.ask("GET", f"{place.name}/_design/after/_info"))
        assert [step.do for step, _ in done] == ["put", "build", "put", "use", "remove", "tidy"]
        pending = {step.line: seen["view_index"]["updates_pending"]["total"] for step, seen in done}
        assert pending[next(line for line in pending if "in place of" in line)] <= 1, "ready but for the swap itself"
        assert told[-1][0] == told[-1][1]
        rows = place.ask("GET", f"{place.name}/_design/after/_view/due", limit="1", update="false")["rows"]
        assert rows[0]["key"] == 2
        assert place.ask("GET", f"{place.name}/_design/after-next") is None
        assert upgrade(place, design("2"))[0] == []

    def test_an_interrupted_one_is_taken_up(self, place: Place) -> None:
        upgrade(place, design("1"))
        place.ask("PUT", f"{place.name}/t", {"worker": "manobi", "job": "j"})
        upgrade(place, design("2"), only=1)
        assert place.ask("GET", f"{place.name}/_design/after-next") is not None
        done, _ = upgrade(place, design("2"))
        assert [step.do for step, _ in done] == ["build", "put", "use", "remove", "tidy"]
        assert place.ask("GET", f"{place.name}/_design/after-next") is None

    def test_two_at_once_are_told(self, place: Place) -> None:
        upgrade(place, design("1"))

        async def work() -> None:
            async with Couch(place.url) as couch:
                steps = plan(await look(couch), Wish(design=design("2"), user=None))
                await apply(couch, steps)
                await apply(couch, steps)

        with pytest.raises(Conflict, match="run the command again"):
            asyncio.run(work())


@needs_couchdb
class TestRemoving:
    def test_the_tasks_stay(self, place: Place) -> None:
        install(place, "--vhost", place.vhost)
        place.ask("PUT", f"{place.name}/seed", {"worker": "manobi", "job": "j", "status": "waiting"})
        before = place.snapshot()
        told = after("uninstall", place.url, "--user", place.user, "--dry-run")
        assert told.out.endswith("dry run: nothing was changed\n")
        assert place.snapshot() == before
        done = after("uninstall", place.url, "--user", place.user)
        assert done.out.splitlines() == told.out.splitlines()[:-1]
        (documents, _, user, config) = place.snapshot()
        assert [row["id"] for row in documents["rows"]] == ["seed"]
        assert user is None
        assert place.vhost not in str(config)
        assert after("uninstall", place.url).out == "nothing to change\n"
        assert install(place).code == 0, "and it can come back"

    def test_the_data_only_where_the_name_is_typed(self, place: Place) -> None:
        install(place)
        assert after("uninstall", place.url, "--data", given="yes\n").code == 1
        assert after("uninstall", place.url, "--data", given="").code == 130
        assert place.ask("GET", place.name) is not None
        assert after("uninstall", place.url, "--data", given=f"{place.name}\n").code == 0
        assert place.ask("GET", place.name) is None

    def test_data_of_others_never(self, place: Place) -> None:
        place.ask("PUT", place.name)
        place.ask("PUT", f"{place.name}/invoice", {"total": 3})
        assert "not After's (invoice)" in after("uninstall", place.url, "--data", "--yes").err
        assert place.ask("GET", f"{place.name}/invoice") is not None


@needs_cluster
class TestCluster:
    def test_settings_are_made_on_every_node(self, nodes: list[Place]) -> None:
        first = nodes[0]
        done = install(first, "--vhost", first.vhost, "--dashboard")
        assert done.code == 0, done.err
        assert "note: scripts in the attachments of every database" in done.out
        for node in nodes:
            assert (
                node.ask("GET", f"_node/_local/_config/vhosts/{first.vhost}") == f"/{first.name}/_design/after/_rewrite"
            )
            assert node.ask("GET", "_node/_local/_config/csp/attachments_enable") == "false"
        before = first.snapshot()
        for node in nodes:
            assert install(node, "--vhost", first.vhost, "--dashboard").out.startswith("nothing to change")
        assert first.snapshot() == before
        assert after("uninstall", nodes[-1].url, "--user", first.user).code == 0
        assert not any(node.ask("GET", f"_node/_local/_config/vhosts/{first.vhost}") for node in nodes)

    def test_an_upgrade_is_ready_on_every_copy(self, nodes: list[Place]) -> None:
        first = nodes[0]
        upgrade(first, design("1"))
        rows = [{"_id": f"t{n:05}", "worker": "manobi", "job": "j"} for n in range(2_000)]
        first.ask("POST", f"{first.name}/_bulk_docs", {"docs": rows})
        upgrade(first, design("2"))
        for node in nodes * 3:
            counted = node.ask("GET", f"{first.name}/_design/after/_view/due", limit="1", update="false")
            assert counted["total_rows"] == 2_000


@needs_couchdb
def test_the_page_shows_what_happens(place: Place, tmp_path: Path) -> None:
    (tmp_path / "password.txt").write_text(f"{SECRET}\n")
    shown = [step for block in blocks(ROOT / "docs" / "couchdb.md") if block.kind == "text" for step in steps(block)]
    commands = [step for step in shown if step.command.startswith("after ")]
    assert len(commands) == 5
    port, names = (
        URL(place.url).port,
        [(place.user, "after"), (place.vhost, "tasks.example.org"), (place.name, "after")],
    )
    for step in commands:
        here = step.command.replace("http://admin:PASSWORD@localhost:5984/after", place.url)
        here = here.replace("tasks.example.org", place.vhost).replace("password.txt", str(tmp_path / "password.txt"))
        words = here.replace("--user after", "").split()[1:]
        done = after(*words, "--user", place.user)
        printed = done.out.replace(f"//{URL(place.url).host}:{port}", "//localhost:5984").replace(f":{port}", ":5984")
        for name, told in names:
            printed = printed.replace(name, told)
        printed = printed.replace("@127.0.0.1:5984", "@localhost:5984")
        assert fits(step.shown, printed), f"$ {step.command}\n{step.shown}--- but it printed:\n{printed}{done.err}"


def design(key: str) -> Document:
    """Give a design document like After's with one view, which emits this key."""
    made = design_document(validation=False)
    source = f"function (doc) {{ if (doc.worker) {{ emit({key}, null); }} }}"
    return {**made, "views": {"due": {"map": source}, "lib": {}}, "after": {"version": "0.0.1", "digest": key}}


def upgrade(
    place: Place, to: Document, only: int | None = None, at_swap: Any = lambda: None
) -> tuple[list[Any], list[Any]]:
    """Install a design document; give the steps that were done, each with what was seen then, and the progress told."""
    done: list[tuple[Step, Any]] = []
    told: list[tuple[int, int]] = []

    async def work() -> None:
        async with Couch(place.url) as couch:
            for step in plan(await look(couch), Wish(design=to, user=None))[:only]:
                await apply(couch, [step], tell=lambda known, of: told.append((known, of)))
                done.append((step, await asyncio.to_thread(at_swap)))

    asyncio.run(work())
    return done, told


def levels(place: Place) -> dict[tuple[str, str], str]:
    """Give what the doctor says of each thing, by level."""
    found = json.loads(after("doctor", "--json", url=place.url).out)
    return {(one["what"], one["level"]): one["found"] for one in found}


def typed(arguments: list[str], answers: list[str]) -> str:
    """Run a command at a terminal, give each answer when it asks, and give all that the terminal showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "after", *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    shown, asked, left = "", 0, list(answers)
    while True:
        try:
            shown += os.read(ours, 1024).decode()
        except OSError:  # the other end is closed
            break
        if left and shown[asked:].endswith(": "):
            asked = len(shown)
            os.write(ours, f"{left.pop(0)}\n".encode())
    os.close(ours)
    assert process.wait(30) == 0, shown
    return shown
