"""`cli.py erase`, `export`, `purge`, `receipts` and `do-not-call`: what is held on people."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from verbs.ground import load_settings, stop, with_database

do_not_call = typer.Typer(help="Numbers that are dialled for no agent.", no_args_is_help=True)
receipts = typer.Typer(help="Receipts of erasures.", no_args_is_help=True)

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
Phone = Annotated[str, typer.Option("--phone", help="The number, E.164, as +15551230177.")]
Number = Annotated[str, typer.Argument(help="The number, E.164, as +15551230177.")]


def erase(
    phone: Phone,
    forget_do_not_call: Annotated[
        bool, typer.Option(help="Also take the number off the do-not-call list, so that it may be called again.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Where to write the receipt; it is printed when left out.")] = None,
) -> None:
    """Erase everything that is held on a number, for good, and print the receipt."""
    from privacy import errands
    from privacy.erasure import CallUnderWay, NotAll
    from transcripts.bucket import BucketAway

    _check(phone)
    settings = load_settings(log_level="WARNING")
    try:
        receipt = with_database(errands.erase(settings, phone, keep_do_not_call=not forget_do_not_call))
    except (CallUnderWay, NotAll) as error:
        stop(str(error), 1)
    except (BucketAway, OSError) as error:
        stop(f"Not all is erased yet, and there is no receipt: {error}\nErase again when that is mended.", 1)
    if out is None:
        print(receipt)
    else:
        out.write_text(receipt + "\n", encoding="utf-8")
        print(f"erased; the receipt is in {out}")


def export(
    phone: Phone,
    out: Annotated[Path, typer.Option(help="The zip to write.")],
) -> None:
    """Write everything that is held on a number into a zip."""
    from privacy import errands

    _check(phone)
    try:
        size = with_database(errands.export(load_settings(log_level="WARNING"), phone, out))
    except OSError as error:
        stop(f"{out}: {error.strerror}", 1)
    print(f"wrote {out} ({size} bytes)")


def purge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would go, and remove nothing.")] = False,
) -> None:
    """Remove what has expired by the agents' retention, and old entries of the audit log.

    A running server does it by itself, once an hour.
    """
    from config.agents_folder import load_agents
    from config.errors import AgentErrors
    from privacy import errands
    from transcripts.bucket import BucketAway

    settings = load_settings(log_level="WARNING")
    try:
        agents = {agent.name: agent.retention for agent in load_agents(settings.agents_dir, known_bots=None).agents}
    except AgentErrors as error:
        stop(str(error), 2)
    try:
        print(with_database(errands.purge(settings, agents, is_dry=dry_run, now=datetime.now(UTC))))
    except (BucketAway, OSError) as error:
        stop(f"Not all that has expired is removed: {error}\nPurge again when that is mended.", 1)


@receipts.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="The receipt.")],
    phone: Annotated[str | None, typer.Option("--phone", help="Also check that it is about this number.")] = None,
) -> None:
    """Check that this server signed a receipt, and that nothing was changed in it."""
    from privacy import errands
    from privacy.receipts import BadReceipt

    try:
        text = file.read_text(encoding="utf-8")
        print(with_database(errands.verify_receipt(load_settings(log_level="WARNING"), text, phone)))
    except (OSError, UnicodeDecodeError) as error:
        stop(f"{file}: cannot be read ({error})", 2)
    except BadReceipt as error:
        stop(str(error), 1)


@do_not_call.command("add")
def add(number: Number) -> None:
    """Have a number called no more."""
    from privacy import errands
    from transcripts.do_not_call import Source

    _check(number)
    added = with_database(errands.add_numbers(load_settings(log_level="WARNING"), [number], Source.OPERATOR))
    print("it is on the list" if added else "it was on the list already")


@do_not_call.command("remove")
def remove(number: Number) -> None:
    """Let a number be called again; only when whoever has it wishes so."""
    from privacy import errands

    _check(number)
    if not with_database(errands.remove_number(load_settings(log_level="WARNING"), number)):
        stop("it is not on the list", 1)
    print("it may be called again")


@do_not_call.command("list")
def list_numbers(
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many at most.")] = 1000,
) -> None:
    """Print the list, newest first."""
    from privacy import errands

    for line in with_database(errands.list_numbers(load_settings(log_level="WARNING"), limit)):
        print(line)


@do_not_call.command("import")
def import_file(file: Annotated[Path, typer.Argument(help="One number a line, E.164; # begins a comment.")]) -> None:
    """Put every number of a file on the list; a line that is none stops it before anything is entered."""
    from privacy import errands
    from transcripts.do_not_call import Source

    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        stop(f"{file}: cannot be read ({error})", 2)
    told = [(position, line.partition("#")[0].strip()) for position, line in enumerate(lines, 1)]
    wrong = [
        f"{file}:{position}: no number in E.164 form; write +15551230177"
        for position, text in told
        if text and not _E164.fullmatch(text)
    ]
    if wrong:
        stop("\n".join(wrong[:20]), 2)
    numbers = [text for _, text in told if text]
    added = with_database(errands.add_numbers(load_settings(log_level="WARNING"), numbers, Source.FILE))
    print(f"{len(numbers)} numbers read, {added} of them new")


def _check(number: str) -> None:
    if not _E164.fullmatch(number):
        stop("give the number in E.164 form, as +15551230177", 2)
