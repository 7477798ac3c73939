"""What can go wrong with a database, in three words: away, ahead, badly named."""

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from storage.envelope import SealingError


class DatabaseAway(Exception):
    """The database does not answer. The message names it without its password, and the cure."""


class DatabaseAhead(Exception):
    """The database was written by a newer version of Trunkline. Run that version, or restore a backup."""


class BadDatabaseUrl(ValueError):
    """The database URL is not one that Trunkline can use."""


def is_away(error: BaseException) -> bool:
    """Tell whether the same may succeed later: the server stopped, the file is locked, the pool is exhausted."""
    if isinstance(error, DatabaseAway | OperationalError | InterfaceError | PoolTimeoutError):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def is_row_fault(error: BaseException) -> bool:
    """Tell whether the row itself is to blame (a broken rule, a value no column takes), so that waiting cannot help.

    What is neither this nor `is_away` says nothing about the row, for example a missing table.
    """
    if isinstance(error, DatabaseAway | OSError | SealingError):
        return False
    if isinstance(error, ProgrammingError):
        # A driver that cannot encode a value says so without asking the server, hence without the server's code.
        return not error.connection_invalidated and getattr(error.orig, "sqlstate", "none") is None
    if isinstance(error, DBAPIError):
        return isinstance(error, IntegrityError | DataError)
    # Raised before any database saw the row, while its values were made ready.
    return isinstance(error, StatementError) or not isinstance(error, SQLAlchemyError)
