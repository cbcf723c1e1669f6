"""What callers may see of a failed statement."""

from __future__ import annotations

import asyncpg

from domain.errors import AclueError, BadUserInput, Overloaded, Timeout, Unauthenticated, WriteConflict


def lost() -> Overloaded:
    return Overloaded("The connection to the database was lost, try again.")


def is_lost(error: Exception) -> bool:
    return isinstance(error, asyncpg.PostgresConnectionError | OSError) or "connection" in str(error)


# A token may outlive its person: the first write then breaks a foreign key to profiles.
_NO_PROFILE = "_user_id_fkey"


def translated(error: asyncpg.PostgresError) -> AclueError | asyncpg.PostgresError:
    """The error to show to the caller; the database error itself if it must not be shown."""
    if isinstance(error, asyncpg.QueryCanceledError):
        return Timeout("The request took too long.")
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
