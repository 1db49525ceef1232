"""All commands under one name, and what becomes of their errors."""

from __future__ import annotations

import sys

import typer

from after.cli import asking, changing, engine, installing, looking, moving, operating, putting, workers
from after.cli.output import complain
from after.errors import AfterError, Conflict, NotFound, Unreachable

EPILOG = (
    "AFTER_URL names the database, http://127.0.0.1:5985/after without it. Exit codes: 0 done, 1 refused or failed, "
    "2 wrong use, 3 no engine answered, 4 not found, 5 conflict."
)

app = typer.Typer(
    name="after",
    help="Schedule your tasks over HTTP.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for family in (engine, workers, putting, looking, changing, asking, operating, installing, moving):
    family.add_to(app)

CODES: tuple[tuple[type[AfterError], int], ...] = ((Unreachable, 3), (NotFound, 4), (Conflict, 5), (AfterError, 1))


def main() -> None:
    """Run a command; give its exit code to the shell."""
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        if told := error.format_message():
            context = getattr(error, "ctx", None)
            complain(f"{told} ({context.command_path if context else 'after'} --help says more)")
        code = 2
    except typer.Abort:  # Ctrl-C, or the end of the input, where something was asked
        code = 130
    except AfterError as error:
        complain(str(error))
        code = next(code for kind, code in CODES if isinstance(error, kind))
    sys.exit(code if isinstance(code, int) else 0)
