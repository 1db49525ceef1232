"""What installing would change, given what it has found: no CouchDB is asked."""

from __future__ import annotations

from typing import Any

import pytest

from after.design import design_document
from after.design.admin import Server
from after.design.look import Found, account_refused, engine_refused, foreign
from after.design.plan import NEW_SECURITY, Step, Wish, notes, plan, vhost_refused
from after.design.removal import removal
from after.errors import AfterError
from after.task import Document

VIEWS: Document = {"due": {"map": "function (doc) { emit(1); }"}, "lib": {}}
DESIGN = {**design_document(), "views": VIEWS}
INSTALLED = {**DESIGN, "_rev": "1-a"}
OLDER = {**INSTALLED, "after": {"version": "0.0.9", "digest": "older"}}
SECURITY: Document = {"admins": {"roles": ["_admin"]}, "members": {"roles": ["_admin", "worker", "client"]}}
USER: Document = {"_id": "org.couchdb.user:after", "_rev": "1-u", "name": "after", "roles": ["worker"]}
NODES = ["one@host", "two@host"]
CONFIG: dict[str, dict[str, dict[str, str]]] = {node: {"vhosts": {}, "csp": {}} for node in NODES}
TARGET = "/after/_design/after/_rewrite"


def found(**known: Any) -> Found:
    """A database in which all is as it should be, but for what is said."""
    there = {
        "design": INSTALLED,
        "security": SECURITY,
        "user": USER,
        "documents": 3,
        "nodes": NODES,
        "admins": ["admin"],
    }
    return Found(**{"database": "after", **there, **known})


def steps(found: Found, **wished: Any) -> list[Step]:
    return plan(found, Wish(**{"design": DESIGN, **wished}))


def lines(found: Found, **wished: Any) -> list[str]:
    return [step.line for step in steps(found, **wished)]


def refused(found: Found, **wished: Any) -> str:
    with pytest.raises(AfterError) as error:
        steps(found, **wished)
    return str(error.value)


def without(*names: str) -> Document:
    return {name: value for name, value in DESIGN.items() if name not in names}


class TestInstalling:
    def test_into_nothing(self) -> None:
        nothing = Found(database="after", exists=False, shards="2", users=False, nodes=["nonode@nohost"])
        made = steps(nothing)
        assert [step.line.partition(", After")[0] for step in made] == [
            "create database _users", "user after: create with the role worker", "create database after (q=2)",
            "_security: members get the roles worker, client", "put _design/after",
        ]  # fmt: skip
        assert [step.path for step in made] == [
            "_users", "_users/org.couchdb.user%3Aafter", "after", "after/_security", "after/_design/after"
        ]  # fmt: skip
        assert made[3].body == {"admins": {"roles": ["_admin"]}, "members": {"roles": ["_admin", "worker", "client"]}}
        assert made[1].secret
        assert made[1].body == {"name": "after", "type": "user", "roles": ["worker"]}

    def test_where_all_is_there_changes_nothing(self) -> None:
        settings = {
            node: {"vhosts": {"tasks.example.org": TARGET}, "csp": {"attachments_enable": "false"}} for node in NODES
        }
        assert lines(found(config=settings), vhost="tasks.example.org", dashboard=True) == []

    def test_without_a_user_needs_no_users(self) -> None:
        assert lines(found(user=None, users=False), user=None) == []

    def test_other_members_and_admins_stay(self) -> None:
        theirs = {"admins": {"names": ["boss"]}, "members": {"names": ["ann"], "roles": ["staff", "client"]}, "more": 1}
        (step,) = steps(found(security=theirs))
        assert step.line == "_security: members get the roles worker"
        assert step.body == {**theirs, "members": {"names": ["ann"], "roles": ["staff", "client", "worker"]}}

    def test_a_database_that_was_open_to_everybody_is_told(self) -> None:
        assert lines(found(security={})) == [
            "_security: members get the roles worker, client; until now everybody could read and write"
        ]

    def test_a_new_database_is_not_open_in_between(self) -> None:
        assert NEW_SECURITY["members"] == {"roles": ["_admin"]}

    def test_settings_are_set_on_every_node_that_lacks_them(self) -> None:
        config = {**CONFIG, "two@host": {"vhosts": {"tasks.example.org": TARGET}, "csp": {}}}
        made = steps(found(config=config), vhost="tasks.example.org", dashboard=True)
        assert [(step.path, step.body) for step in made] == [
            ("_node/one%40host/_config/vhosts/tasks.example.org", TARGET),
            ("_node/one%40host/_config/csp/attachments_enable", "false"),
            ("_node/two%40host/_config/csp/attachments_enable", "false"),
        ]

    def test_names_with_slashes_are_quoted(self) -> None:
        there = found(database="a/b", config={"one@host": CONFIG["one@host"]}, nodes=["one@host"], security={})
        made = steps(there, vhost="x.org")
        assert [step.path for step in made] == ["a%2Fb/_security", "_node/one%40host/_config/vhosts/x.org"]
        assert made[1].body == "/a%2Fb/_design/after/_rewrite"

    def test_what_is_given_up_is_told(self) -> None:
        assert notes(Wish(design=DESIGN)) == []
        bare = Wish(design=design_document(validation=False), dashboard=True)
        assert [note.split()[0] for note in notes(bare)] == ["without", "scripts"]


class TestUsers:
    def test_an_existing_one_keeps_its_password(self) -> None:
        assert lines(found(password_fits=False)) == []

    def test_a_password_that_fits_is_not_set_again(self) -> None:
        assert lines(found(), has_password=True) == []

    def test_another_password_is_set(self) -> None:
        (step,) = steps(found(password_fits=False), has_password=True)
        assert (step.line, step.secret, step.body) == ("user after: set the password", True, USER)

    def test_the_role_is_added_to_the_others(self) -> None:
        (step,) = steps(found(user={**USER, "roles": ["staff"]}))
        assert (step.line, step.secret) == ("user after: add the role worker", False)
        assert step.body == {**USER, "roles": ["staff", "worker"]}


class TestUpgrading:
    def test_the_indexes_are_built_before_the_swap(self) -> None:
        made = steps(found(design={**OLDER, "views": {}}))
        assert [(step.do, step.path.removeprefix("after/")) for step in made] == [
            ("put", "_design/after-next"), ("build", "_design/after-next"), ("put", "_design/after"),
            ("use", "_design/after"), ("remove", "_design/after-next"), ("tidy", "_view_cleanup"),
        ]  # fmt: skip
        staged, swapped = made[0].body, made[2].body
        assert isinstance(staged, dict)
        assert isinstance(swapped, dict)
        assert staged.keys() == {"_id", "after", "language", "views"}, "no rules twice"
        assert (swapped["_rev"], swapped["views"]) == ("1-a", VIEWS)

    def test_what_an_interrupted_one_has_built_is_used(self) -> None:
        staged = {**without("_rev"), "_id": "_design/after-next", "_rev": "2-b"}
        made = steps(found(design={**OLDER, "views": {}}, staged=staged))
        assert [step.do for step in made] == ["build", "put", "use", "remove", "tidy"]
        made = steps(found(design={**OLDER, "views": {}}, staged={**staged, "views": {"other": {}}}))
        assert isinstance(made[0].body, dict)
        assert made[0].body["_rev"] == "2-b"

    def test_what_an_interrupted_one_has_left_is_removed(self) -> None:
        assert lines(found(staged={"_rev": "1-c"})) == ["remove _design/after-next"]

    def test_the_same_views_are_not_built_again(self) -> None:
        assert [step.do for step in steps(found(design=OLDER))] == ["put"]

    def test_in_an_empty_database_there_is_nothing_to_build(self) -> None:
        assert [step.do for step in steps(found(design=None, documents=0))] == ["put"]

    def test_rules_that_come_or_go_are_told(self) -> None:
        bare = without("validate_doc_update") | {"after": {"version": "0.1.0", "digest": "bare"}}
        (line,) = lines(found(), design=bare)
        assert "now without the rules, in place of After" in line
        (line,) = lines(found(design={**bare, "_rev": "1-a"}))
        assert "now with the rules, in place of After" in line

    def test_a_newer_one_is_left(self) -> None:
        newer = {**INSTALLED, "after": {"version": "99.0", "digest": "newer"}}
        assert refused(found(design=newer)).startswith("After 99.0 is installed, newer than this After ")


class TestRefusing:
    def test_documents_of_others(self) -> None:
        theirs = found(design=None, foreign=["a", "b", "c", "d"])
        assert "not After's (a, b, c, …)" in refused(theirs)
        assert lines(theirs, existing=True)
        assert not lines(found(foreign=["a"])), "where After is installed it stays"

    def test_a_design_document_of_others(self) -> None:
        assert "has a _design/after that is not After's" in refused(found(design={"_rev": "1-a"}), existing=True)

    def test_a_partitioned_database(self) -> None:
        assert "partitioned" in refused(found(partitioned=True))

    def test_a_cluster_that_is_not_complete(self) -> None:
        assert "two@host of the cluster cannot be reached" in refused(found(missing=["two@host"]))
        assert "finish its setup" in refused(found(users=False, user=None))

    def test_the_name_of_an_admin(self) -> None:
        assert "server admin's name" in refused(found(), user="admin")

    def test_a_vhost_that_is_taken(self) -> None:
        config = {**CONFIG, "two@host": {"vhosts": {"x.org": "/other"}, "csp": {}}}
        assert "the vhost x.org on two@host points to /other already" in refused(found(config=config), vhost="x.org")

    @pytest.mark.parametrize(
        "name", ["localhost", "LOCALHOST:80", "10.0.0.1", "couch.example.org", "*", "a b", "x/y", ""]
    )
    def test_vhosts_that_would_hide_couchdb_or_are_no_names(self, name: str) -> None:
        assert vhost_refused(name, "couch.example.org")

    def test_vhosts(self) -> None:
        assert not any(vhost_refused(name, "couch.example.org") for name in ("tasks", "t.example.org", "t.org:5984"))

    @pytest.mark.parametrize(
        ("welcome", "told"),
        [
            ({"couchdb": "Welcome", "version": "2.3.1", "vendor": {"name": "x"}}, "CouchDB 2.3.1"),
            ({"couchdb": "Welcome", "version": "4.0.0"}, "CouchDB 4.0.0"),
            ({"couchdb": "Welcome", "version": "3.3.3", "vendor": {"name": "After"}}, "After's own server"),
            ({"hello": "world"}, "no CouchDB"),
            ([], "no CouchDB"),
        ],
    )
    def test_engines(self, welcome: object, told: str) -> None:
        assert told in str(engine_refused(welcome))

    def test_couchdb_3_is_taken(self) -> None:
        assert not any(engine_refused({"couchdb": "Welcome", "version": version}) for version in ("3.0.0", "3.5.1-x"))

    def test_accounts(self) -> None:
        assert account_refused({"userCtx": {"name": "admin", "roles": ["_admin"]}}) is None
        assert "'ann' with only the roles worker" in str(
            account_refused({"userCtx": {"name": "ann", "roles": ["worker"]}})
        )
        assert "wants a server admin's name" in str(account_refused({"userCtx": {"name": None, "roles": []}}))


def test_whose_a_document_is() -> None:
    ours: list[Document] = [
        {"_id": "a", "worker": "m", "job": "j"}, {"_id": "b", "type": "task"}, {"_id": "worker:m:1"},
        {"_id": "history:a:1"}, {"_id": "_design/index", "language": "query"}, INSTALLED,
    ]  # fmt: skip
    theirs: list[Document] = [{"_id": "c"}, {"_id": "d", "type": "invoice", "worker": "m"}, {"_id": "_design/shop"}]
    assert foreign([*ours, *theirs]) == ["c", "d", "_design/shop"]


class TestRemoving:
    def test_takes_what_was_installed_and_leaves_the_tasks(self) -> None:
        vhosts = {"x.org": TARGET, "other.org": "/other/_design/after/_rewrite"}
        there = found(config={"one@host": {"vhosts": vhosts, "csp": {"attachments_enable": "false"}}})
        assert [step.line for step in removal(there, user="after")] == [
            "vhosts on one@host: remove x.org", "remove _design/after", "remove the files of old indexes",
            "user after: remove",
        ]  # fmt: skip

    def test_the_data_only_where_asked(self) -> None:
        (step,) = removal(found(), data=True)
        assert (step.do, step.path) == ("drop", "after")
        with pytest.raises(AfterError, match="leave out --data"):
            removal(found(foreign=["invoice"]), data=True)

    def test_a_user_with_other_roles_stays(self) -> None:
        (step,) = removal(found(exists=False, user={**USER, "roles": ["staff", "worker"]}), user="after")
        assert (step.do, step.body) == ("put", {**USER, "roles": ["staff"]})

    def test_what_is_not_there_needs_nothing(self) -> None:
        assert removal(Found(database="after", exists=False), user="after", data=True) == []

    def test_what_is_not_ours_stays(self) -> None:
        with pytest.raises(AfterError, match="not After's"):
            removal(found(design={"_rev": "1-a"}))


SECRETS = [
    "http://a:PAS/SWORD@h:5984/x",
    "http://a:PAS#SWORD@h/x",
    "http://a:PAS?SWORD@h/x",
    "http://a:12/PASSWORD@h/x",
]


@pytest.mark.parametrize("url", [*SECRETS, "after", "http://a:PASSWORD@h", "http://a:PASSWORD@h:99999/x", "ftp://h/x"])
def test_a_wrong_url_is_refused_without_repeating_its_password(url: str) -> None:
    with pytest.raises(AfterError) as error:
        Server(url)
    assert "http://ADMIN:PASSWORD@HOST:5984/after" in str(error.value)
    assert "SWORD" not in str(error.value).replace("ADMIN:PASSWORD", "")


def test_a_url_is_taken_apart() -> None:
    server = Server("https://a%40b:c%2Fd@[::1]:5984/prefix/x%2Fy/")
    assert (server.user, server.password, server.database) == ("a@b", "c/d", "x/y")
    assert server.shown == "https://[::1]:5984/prefix/x%2Fy"
