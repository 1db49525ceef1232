"""`doctor`, which says what is wrong, and `version`."""

from __future__ import annotations

import typer

from after import __version__
from after.cli.output import URL, AsJson, Url, as_json, coloured, run, table
from after.design import design_document
from after.health import Finding, examine


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command("doctor", epilog="Example: after doctor")(doctor)
    app.command("version", epilog="Example: after version")(version)


def doctor(url: Url = URL, json: AsJson = False) -> None:
    """Look for what keeps tasks from running, and say what to do about it; fails where something does."""
    digests = [design_document(validation=validation)["after"]["digest"] for validation in (True, False)]
    findings = run(examine(url, digests))
    if json:
        as_json([finding._asdict() for finding in findings])
    else:
        table(("", "what", "found", "what to do"), [_finding(one) for one in findings])
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)


def _finding(one: Finding) -> tuple[object, ...]:
    return coloured(one.level), one.what, one.found, one.advice


def version() -> None:
    """Print After's version."""
    typer.echo(f"after {__version__}")
