"""The lists of the page on built-in jobs are those of the code."""

from __future__ import annotations

import inspect
import re

from documented import ROOT, codes, section, table

from after.database import Database
from after.jobs.addresses import rule
from after.jobs.answer import MAX_WAIT
from after.jobs.builtin import builtin_jobs
from after.jobs.request import HARMLESS, KEEP, MAX_KEEP, MAX_REDIRECTS, REDIRECTS
from after.jobs.signing import BYTES

PAGE = ROOT / "docs" / "builtin.md"


async def test_every_job_and_keyword_is_documented() -> None:
    async with builtin_jobs(Database(), "manobi") as jobs:
        assert {codes(row[0])[0] for row in table(PAGE.read_text(), "job")} == {job.name for job in jobs}
        for job in jobs:
            rows = table(section(PAGE, f"## `{job.name}`"), "keyword")
            documented = {codes(row[0])[0]: row[2] for row in rows}
            assert documented.keys() == job.signature.parameters.keys()
            for name, parameter in job.signature.parameters.items():
                assert (documented[name] == "required") == (parameter.default is inspect.Parameter.empty)


def test_numbers_and_rules_are_those_of_the_code() -> None:
    text = PAGE.read_text()
    for told in (
        f"followed, 0 to {MAX_REDIRECTS} | {REDIRECTS} |", f"up to {MAX_KEEP} | {KEEP} |",
        f"{BYTES[0]} to {BYTES[-1]} random bytes",
    ):  # fmt: skip
        assert told in text
    assert MAX_WAIT == 86_400_000
    assert "a day at the most" in text
    listed = re.search(r"of the task's headers\n(.*?) only", text)
    assert listed is not None
    assert {name.lower() for name in codes(listed[1])} == HARMLESS
    for row in table(text, "rule"):
        for example in codes(row[0]):
            rule(example if example[0] != ":" else f"127.0.0.1{example}")
