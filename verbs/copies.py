"""`cli.py backup` and `cli.py restore`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from telemetry.moments import moment_text
from verbs.ground import load_settings, stop

PgTools = Annotated[Path | None, typer.Option(help="Folder of pg_dump and pg_restore; left out: they are on the path.")]


def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder for the copy.")],
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="The sealing keys too: whoever has the copy can then read it.")
    ] = False,
    pg_tools: PgTools = None,
) -> None:
    """Copy the database, what is to be done later, and the recordings; calls may go on meanwhile."""
    from backup.making import make_backup
    from backup.manifest import BadBackup
    from storage.copies import CannotCopy
    from storage.errors import DatabaseAway

    settings = load_settings(log_level="WARNING")
    try:
        made = make_backup(settings, folder, now=datetime.now(UTC), with_keys=with_keys, tools=pg_tools)
    except (BadBackup, CannotCopy) as error:
        stop(str(error), 2)
    except (OSError, DatabaseAway) as error:
        stop(f"the backup was not finished: {error}", 3)
    size = sum(file.size for file in made.files.values())
    print(f"{folder} holds {len(made.files)} files, {size / 1e6:.1f} MB, as of {moment_text(made.made_at)}")
    if made.bucket is not None:
        print(f"recordings that were moved to {made.bucket} are not in it")
    if with_keys:
        print("the sealing keys are in it: whoever has it can read and hear everything")
    else:
        where = "TRUNKLINE_SEALING_KEYS" if settings.sealing_keys is not None else settings.data_dir / "sealing.keys"
        print(
            "the sealing keys are not in it, and without them nothing of it can be read: "
            f"keep a copy of {where} elsewhere"
        )


def restore(
    folder: Annotated[Path, typer.Argument(help="What `cli.py backup` has made.")],
    receipts: Annotated[
        list[Path] | None,
        typer.Option(
            help="Receipts of erasures, a folder of them, or a newer copy: these people stay erased; repeat it."
        ),
    ] = None,
    pg_tools: PgTools = None,
) -> None:
    """Make an empty data folder and database what they were when the copy was made."""
    from backup.erasures import CannotErase, Erasures, read_receipts
    from backup.manifest import BadBackup, read_manifest
    from backup.restoring import CannotRestore, restore
    from storage.copies import CannotCopy
    from storage.envelope import SealingError
    from storage.errors import BadDatabaseUrl, DatabaseAhead, DatabaseAway

    settings = load_settings(log_level="WARNING")
    try:
        texts = read_receipts(receipts or ())
        erasures = Erasures(texts, read_manifest(folder).made_at)
        done = restore(settings, folder, erasures.again, tools=pg_tools)
    except (BadBackup, CannotRestore, CannotCopy, CannotErase, SealingError) as error:
        stop(f"nothing was restored: {error}", 2)
    except (OSError, BadDatabaseUrl, DatabaseAhead, DatabaseAway) as error:
        stop(f"nothing was restored: {error}", 3)
    print(f"{settings.data_dir} is as it was at {moment_text(done.manifest.made_at)}")
    if receipts:
        print(f"{done.erased} people who were erased after that were erased again")
    else:
        print(
            "whoever was erased after that is in it again: erase them before the server starts (cli.py erase --phone)"
        )
