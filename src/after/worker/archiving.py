"""Moving the oldest entries of long histories to archives: what is done with the answers to the writes that do it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from after.database.answers import Written
from after.database.database import Database
from after.errors import Conflict, Refusal
from after.status import HELD
from after.task import Document
from after.worker.held import Held

logger = logging.getLogger(__name__)

Archive = tuple[Held, Document]
"""A task, and the document that takes over its oldest entries."""


async def settle(database: Database, archives: Sequence[Archive], answers: Sequence[Written | Refusal]) -> None:
    """Cut the histories of the tasks whose archives are stored.

    What is held goes without those entries into its next write. A task that was let go is written once more here; where
    somebody else was faster, the archive stays as a copy until the task is written by a worker again.
    """
    stored: list[Archive] = []
    doubted: list[Archive] = []
    for one, answer in zip(archives, answers, strict=True):
        if isinstance(answer, Written) and not answer.accepted:
            stored.append(one)
        elif isinstance(answer, Conflict):
            doubted.append(one)
    if doubted:
        stored += await _replaced(database, doubted)
    for held, archive in stored:
        held.cut(archive)
    cut = [held.document for held, _ in stored if held.document["status"] not in HELD]
    if cut:
        await database.write(cut)


async def _replaced(database: Database, archives: Sequence[Archive]) -> list[Archive]:
    """Give those that are stored already; write those in whose place something else stands.

    That is what is left of a task of the same id which was deleted, or of a history that a conflict has changed: the
    task itself still has the entries, so that nothing is lost by it.
    """
    there = await database.get_many([archive["_id"] for _, archive in archives])
    found = [(one, there.get(one[1]["_id"], {})) for one in archives]
    same = [one for one, document in found if document.get("history") == one[1]["history"]]
    others = [(one, document) for one, document in found if document.get("history") != one[1]["history"]]
    if others:
        revised = [{**archive, "_rev": document["_rev"]} for (_, archive), document in others if document]
        answers = await database.write(revised)
        logger.warning("%d archives of histories were written in the place of others", len(answers))
        written = {answer.id for answer in answers if isinstance(answer, Written) and not answer.accepted}
        same += [one for one, _ in others if one[1]["_id"] in written]
    return same
