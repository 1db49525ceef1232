"""`after install` as a command: what it refuses, and what it does to a real CouchDB."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commanding import after, free_port
from documented import ROOT, blocks, fits, steps
from installing import SECRET, Place, install, levels, needs_couchdb, single, typed
from yarl import URL

from after.design import design_document

if TYPE_CHECKING:
    from serving import Server


@pytest.fixture
def place() -> Iterator[Place]:
    with single() as made:
        yield made


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
