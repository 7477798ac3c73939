"""What every verb stands on: the settings, the database, and one way to stop with a message."""

import asyncio
import gc
import sys
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import typer

from config.errors import ConfigError
from config.settings import Settings
from telemetry import logs

_Result = TypeVar("_Result")


def load_settings(**overrides: Any) -> Settings:
    """Read the settings, `overrides` before all, and let the log follow them; a problem ends the program."""
    try:
        settings = Settings.load(**overrides)
    except ConfigError as error:
        stop(str(error), 2)
    logs.configure(settings.log_level, form=settings.log_format)
    return settings


@contextmanager
def importing() -> Generator[None]:
    """Import what serves calls in the block: hundreds of thousands of objects, of which none is garbage.

    Collections that look for some take a quarter of the time; the server's own order begins when it has opened.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def stop(message: str, exit_code: int) -> NoReturn:
    """End the program with a message on standard error."""
    print(message, file=sys.stderr)
    raise typer.Exit(exit_code)


def with_database(errand: Coroutine[Any, Any, _Result]) -> _Result:
    """Run an errand that opens the database; one that cannot be used ends the program with exit code 3.

    A sealing key that is missing or wrong ends it with 2: waiting or trying again does not help.
    """
    from storage.envelope import SealingError
    from storage.errors import BadDatabaseUrl, DatabaseAhead, DatabaseAway

    try:
        return asyncio.run(errand)
    except SealingError as error:
        stop(str(error), 2)
    except (BadDatabaseUrl, DatabaseAhead, DatabaseAway) as error:
        stop(str(error), 3)
