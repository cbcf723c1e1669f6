"""What callers may see of a failed statement."""

from __future__ import annotations

import asyncpg
import structlog

from domain.errors import AclueError, BadUserInput, Overloaded, Timeout, Unauthenticated, WriteConflict

log = structlog.get_logger("aclue.db")

LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.DatabaseDroppedError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What a statement raises when its connection ends, and connecting while Postgres is down, starting or stopping."""
# What asyncpg says where Postgres has said that it ends the connection, but has not closed it yet. Nothing was sent.
_SAID_GOODBYE = "another operation (2) is in progress"
OF_A_STANDBY = (
    asyncpg.SerializationError,  # replayed changes removed rows that the statement reads
    asyncpg.UndefinedTableError,  # a migration has not arrived there yet
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
)
"""What a read may raise only because it ran on a standby."""
UNREACHABLE = (*LOST, asyncpg.InsufficientResourcesError)
"""What connecting raises: also while Postgres has no connection left."""
_REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
UNUSABLE = (*UNREACHABLE, *_REFUSED)
"""The same, and what connecting raises where Postgres refuses the log-in or has no such database: while a password is
being changed, or a backup restored. Trying again at once would not help."""


def lost() -> Overloaded:
    return Overloaded("The connection to the database was lost, try again.")


def unusable(error: Exception) -> Overloaded:
    """What a failure to connect is to the caller; a refused log-in is logged, as only an operator can mend it."""
    if not isinstance(error, _REFUSED):
        return lost()
    log.error("Postgres refuses the log-in", sqlstate=error.sqlstate)
    return Overloaded("The database cannot be used now, try again shortly.", retry_after=5)


def closed() -> RuntimeError:
    return RuntimeError("the session is closed")


def not_writable() -> Overloaded:
    return Overloaded("The database accepts no changes now, try again shortly.", retry_after=2)


def is_lost(error: Exception) -> bool:
    """Whether the connection has ended, other than by a mistake in its use, which asyncpg reports likewise."""
    if isinstance(error, asyncpg.InternalClientError):
        return _SAID_GOODBYE in str(error)
    return isinstance(error, LOST) and (not isinstance(error, asyncpg.InterfaceError) or "connection" in str(error))


# A token may outlive its person: the first write then breaks a foreign key to profiles.
_NO_PROFILE = "_user_id_fkey"


def translated(error: asyncpg.PostgresError) -> AclueError | asyncpg.PostgresError:
    """The error to show to the caller; the database error itself if it must not be shown."""
    if isinstance(error, asyncpg.QueryCanceledError):
        return Timeout("The request took too long.")
    if isinstance(error, asyncpg.InsufficientResourcesError):  # the disk is full, or memory is short
        return Overloaded("The database is short of space or memory, try again later.", retry_after=5)
    if isinstance(error, asyncpg.SerializationError | asyncpg.DeadlockDetectedError):
        return WriteConflict("Another request changed the same data, try again.")
    if isinstance(error, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError):
        return BadUserInput("A text contains a character that cannot be stored, such as NUL.")
    if isinstance(error, asyncpg.ForeignKeyViolationError) and (error.constraint_name or "").endswith(_NO_PROFILE):
        return Unauthenticated("The person of this token no longer exists.")
    if isinstance(error, asyncpg.CheckViolationError) and (error.constraint_name or "").endswith("_size"):
        return BadUserInput("A JSON value is too large to be stored.")  # written out: 1e300 has 301 digits
    if isinstance(error, asyncpg.CheckViolationError) and (error.constraint_name or "").endswith("_plain"):
        return BadUserInput("A JSON value is nested too deeply, or holds a number beyond the range of a double.")
    return error
