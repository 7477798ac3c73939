"""`cli.py sealing`: another sealing key takes over; what is sealed with which key."""

import importlib

import typer

from verbs.ground import load_settings, stop, with_database

verbs = typer.Typer(help="The keys that everything private is sealed with.", no_args_is_help=True)

ROOMS = (
    "aftercall.models",
    "privacy.tables",
    "storage.audit",
    "storage.idempotency",
    "storage.keys",
    "storage.known_keys",
    "storage.stored_agents",
    "transcripts.do_not_call",
    "transcripts.models",
    "transcripts.moves",
    "transcripts.word_index",
)
"""Where tables are declared: a rotation must know of all that may be sealed."""


@verbs.command("rotate")
def rotate() -> None:
    """Make a new sealing key and give it everything that is sealed, or go on with that. The server may run."""
    from transcripts.sealing_desk import rotate as do

    know_all_tables()
    try:
        is_done = with_database(do(load_settings(log_level="WARNING"), print))
    except OSError as error:
        stop(str(error), 2)
    if not is_done:
        raise typer.Exit(1)


@verbs.command("status")
def status() -> None:
    """Print how many values are sealed with which key, or not yet; ends with 1 when some have not the current one."""
    from transcripts.sealing_desk import show_status

    know_all_tables()
    try:
        is_current = with_database(show_status(load_settings(log_level="WARNING"), print))
    except OSError as error:
        stop(str(error), 2)
    if not is_current:
        raise typer.Exit(1)


def know_all_tables() -> None:
    """Have every table declared, whichever rooms this errand needs."""
    for room in ROOMS:
        importlib.import_module(room)
