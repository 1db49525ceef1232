"""Where Apache CouchDB answers otherwise than the embedded server, and why: all such cases, in one table.

A key is a file, a class, a test or one case of it, without the engine's name; the longest that fits counts.
"""

from __future__ import annotations

from typing import NamedTuple


class Says(NamedTuple):
    """The code of CouchDB's answer at which the case ends, and what is behind it."""

    code: int
    why: str


def taken(why: str) -> Says:
    """Say that CouchDB takes what the embedded server refuses."""
    return Says(201, why)


NO_BULK = Says(501, "no function of a design document writes many documents; use _bulk_docs, or the client library")
ANY_QUERY = Says(200, "CouchDB overlooks parameters that it does not know, or reads them its own way")
LARGER = taken("CouchDB's own limit is max_document_size, 8 MB unless configured, and none for depth and number")
INDEX = Says(400, "Mango sorts by an index only, and there is none unless somebody makes one")
NO_BYTES = taken("the functions get text: what is no UTF-8 has become U+FFFD before they see it")
ITS_OWN_REVS = Says(409, "CouchDB takes any text behind a number for a revision, which is then not the current one")
WHOLE = Says(400, "CouchDB refuses the whole request for one document that can be none, before it looks at the others")
PAUSE = Says(200, "an update function sees the one document that it writes: not the tasks and processes of a worker")
NO_CALENDAR = taken("a design document has no calendar: a worker ends a task whose time zone or rule it cannot read")
NO_CIRCLES = taken("an update function sees the one task that it writes: circles are found by workers")
DESIGN = Says(403, "a design document is an administrator's")

DIFFERENCES = {
    # REST
    "test_tasks_bulk.py": NO_BULK,
    "test_bad_input.py::TestRequests::test_a_body_that_is_not_declared_as_json[/tasks/_bulk": NO_BULK,
    "test_bad_input.py::TestRequests::test_a_parameter_that_is_unknown[POST-/tasks/_bulk]": NO_BULK,
    "test_tasks_rest.py::TestCreating::test_takes_only_text_that_is_utf8": NO_BYTES,
    "test_tasks_rest.py::TestCreating::test_keeps_a_number_of_any_length": Says(
        400, "JavaScript's numbers are doubles; an integer beyond 2^53 would lose its last digits and is refused"
    ),
    "test_tasks_rest.py::TestReading::test_a_task_has_its_revision_as_etag": Says(
        200, "CouchDB gives what a function shows an ETag of its own; the revision is the task's _rev"
    ),
    "test_tasks_rest.py::TestReading::test_what_the_client_has_is_not_sent_again[*]": Says(
        200, "CouchDB does not know If-None-Match: *"
    ),
    "test_tasks_rest.py::TestReading::test_nothing_follows_the_head": Says(
        200, "CouchDB makes a GET of a HEAD where a rewrite function stands in between, and sends the body"
    ),
    "test_repeating.py::TestCreating::test_refuses_what_only_a_calendar_can_tell": NO_CALENDAR,
    "test_repeating.py::TestCreating::test_begins_with_its_first_occurrence": taken(
        "a design document has no calendar: a worker moves a task by a rule to its first occurrence"
    ),
    "test_waiting.py::TestCircles::test_none_is_closed": NO_CIRCLES,
    "test_waiting.py::TestCircles::test_what_begins_anew_may_close_one_too": NO_CIRCLES._replace(code=200),
    "test_waiting.py::TestCircles::test_in_bulk_the_task_that_closes_one_is_refused": NO_BULK,
    "test_workers_rest.py::TestPausing::test_only_a_worker_that_there_is": PAUSE,
    "test_tasks_feed.py::TestNormal::test_refuses_what_it_does_not_know[since-18446744073709551616]": Says(
        400, "CouchDB judges a seq itself, and does not name the parameter first"
    ),
    # documents, one at a time
    "test_documents.py::TestWriting::test_takes_ids_from_the_path_as_they_are_encoded[_design/x-_design/x]": DESIGN,
    "test_documents.py::TestWriting::test_takes_ids_from_the_path_as_they_are_encoded[_design%2Fx-_design/x]": DESIGN,
    "test_documents.py::TestWriting::test_refuses_a_document_that_is_too_deep": LARGER,
    "test_documents.py::TestWriting::test_refuses_a_document_that_is_too_large": LARGER,
    "test_documents.py::TestWriting::test_refuses_an_id[identity2]": taken("CouchDB's ids may be of any length"),
    "test_documents.py::TestWriting::test_refuses_an_id[a\\x00b]": taken("CouchDB's ids may have any character"),
    "test_documents.py::TestWriting::test_refuses_unknown_parameters": taken(ANY_QUERY.why),
    "test_documents.py::TestWriting::test_refuses_what_is_no_revision[0-abc]": ITS_OWN_REVS,
    "test_documents.py::TestWriting::test_refuses_what_is_no_revision[1-XYZ]": ITS_OWN_REVS,
    "test_documents.py::TestReading::test_sends_nothing_that_the_client_has[*-304]": Says(
        200, "CouchDB does not know If-None-Match: *"
    ),
    # many documents
    "test_bulk.py::TestBulkDocs::test_what_can_be_no_document_is_refused_alone": WHOLE,
    "test_bulk.py::TestBulkDocs::test_a_document_that_is_too_large_or_too_deep_is_refused_alone": LARGER,
    "test_bulk.py::TestBulkDocs::test_takes_no_more": LARGER,
    "test_bulk.py::TestAllDocs::test_gives_a_range[query13-]": ANY_QUERY,
    "test_bulk.py::TestAllDocs::test_gives_a_range[query15-ABDE]": ANY_QUERY,
    "test_bulk.py::TestAllDocs::test_refuses_a_parameter[query0]": ANY_QUERY,
    "test_bulk.py::TestAllDocs::test_refuses_a_parameter[query3]": ANY_QUERY,
    # views and searches
    "test_views.py::TestMapViews::test_orders_text_by_code_point": Says(
        200, "CouchDB orders text as people do (ICU): a before A before é before z"
    ),
    "test_views.py::TestMapViews::test_refuses_a_query[query7]": ANY_QUERY,
    "test_find.py::test_sorts_by_date": INDEX,
    "test_find.py::test_sorts_by_id": INDEX,
    "test_find.py::test_goes_on_from_a_bookmark[selector2-sort2]": INDEX,
    # the feed
    "test_changes.py::TestNormal::test_refuses_a_parameter[query2]": ANY_QUERY,
    "test_changes.py::TestNormal::test_refuses_a_parameter[query4]": Says(500, "CouchDB fails over it"),
    "test_changes.py::TestNormal::test_refuses_a_parameter[query5]": Says(500, "CouchDB fails over it"),
    "test_changes.py::TestNormal::test_refuses_a_parameter[query6]": ANY_QUERY,
    "test_changes.py::TestNormal::test_refuses_a_parameter[query7]": ANY_QUERY,
    "test_changes.py::TestNormal::test_refuses_a_parameter[query8]": ANY_QUERY,
    "test_changes.py::TestFilters::test_refuses_a_filter[after/requests-None-400]": Says(
        500, "a filter function cannot refuse, only fail"
    ),
}


def told_difference(nodeid: str) -> Says | None:
    """Give what CouchDB says to a case, where it differs."""
    path, _, name = nodeid.partition("::")
    name = name.replace("couchdb-", "", 1).replace("-couchdb", "", 1).replace("[couchdb]", "", 1)
    case = f"{path.rpartition('/')[2]}::{name}"
    found = [key for key in DIFFERENCES if case == key or case.startswith((f"{key}::", f"{key}[", f"{key}-"))]
    return DIFFERENCES[max(found, key=len)] if found else None
