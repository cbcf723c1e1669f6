"""A person's data handed over, or deleted for good. docs/privacy.md"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import structlog

from db.claims import SERVICE, Claims, service_for
from db.personal_data import LOG_IN, NOT_EXPORTED, READ_BY_PERSON, READ_BY_SERVICE, Personal, export_statement
from db.session import Session
from domain.errors import Forbidden, Invalid, Unauthenticated
from resolvers import accounts, attempts, sessions
from resolvers.profiles import require_subject
from resolvers.services import Services
from resolvers.sessions import Caller

log = structlog.get_logger("aclue.privacy")

FORMAT_VERSION = "1"


async def _request(session: Session, kind: str) -> None:
    """Notes the request as the person. Raises Forbidden where a second factor exists and was not used: the database
    says so (sql/policies/privacy_requests.sql)."""
    try:
        await session.fetch("privacy.request", kind=kind)
    except asyncpg.InsufficientPrivilegeError:
        raise Forbidden("This needs your second factor: sign in with it, then ask again.") from None


async def _as_service(session: Session, user: UUID) -> None:
    """The rest of the transaction runs as service_role, on behalf of the person, whom the audit log names."""
    await session.become(service_for(user))


async def export(session: Session, services: Services) -> dict[str, Any]:
    """All that is kept of the caller, with a manifest. Raises Unauthenticated, Forbidden or RateLimited."""
    user = require_subject(session)
    await sessions.refuse_ended(services, session.claims)
    await attempts.count(services, Caller(), "export", str(user), services.settings.sign_in_attempts)
    await _request(session, "export")
    data, columns = await _rows(session, user, READ_BY_PERSON)
    await _as_service(session, user)
    more, more_columns = await _rows(session, user, READ_BY_SERVICE)
    log_in = msgspec.json.decode(await session.fetchval("privacy.export_log_in", user_id=user))
    data |= more | log_in
    columns |= more_columns | {name: list(rows[0]) if rows else [] for name, rows in log_in.items()}
    declared = {**READ_BY_PERSON, **READ_BY_SERVICE, **LOG_IN}
    return {
        "manifest": {
            "formatVersion": FORMAT_VERSION,
            "generatedAt": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "profileId": str(user),
            "tables": {
                name: {"rows": len(rows), "columns": columns[name], "leftOut": dict(declared[name].left_out)}
                for name, rows in data.items()
            },
            "notExported": dict(NOT_EXPORTED),
        },
        "data": data,
    }


async def _rows(
    session: Session, user: UUID, tables: Mapping[str, Personal]
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The person's rows and the columns read, per table."""
    readable = await session.fetch("privacy.readable_columns", tables=list(tables))
    columns = {
        row["name"]: [column for column in row["columns"] if column not in tables[row["name"]].left_out]
        for row in readable
    }
    rows = await session.run(export_statement(tables, columns), [user])
    return {row["name"]: msgspec.json.decode(row["rows"]) for row in rows}, columns


async def erase(session: Session, services: Services, caller: Caller, *, password: str | None, confirm: bool) -> bool:
    """Deletes the caller with all that is theirs; whether the log-in is gone, too (it may be another service's).

    Raises Invalid, InvalidCredentials, Unavailable, Forbidden, RateLimited or Unauthenticated.
    """
    user = require_subject(session)
    if not confirm:
        raise Invalid("Say that you mean it: nothing of this can be brought back.", ("confirm",))
    await sessions.refuse_ended(services, session.claims)
    await _sign_in_again(services, caller, session.claims, user, password)
    await _request(session, "erasure")
    await _as_service(session, user)
    # A backup may hold an anonymous session of theirs as it was before it became part of the account.
    merged = await session.fetch("privacy.merged_sessions", user_id=user)
    subject_hashes = [services.tombstones.of(person) for person in (user, *(row["id"] for row in merged))]
    is_log_in_deleted: bool = await session.fetchval("privacy.erase", user_id=user, subject_hashes=subject_hashes)
    # Logs are kept apart from the database: from these lines a lost tombstone can be put together again.
    for subject_hash in subject_hashes:
        session.after_commit(partial(log.info, "person erased", subject_hash=subject_hash.hex()))
    return is_log_in_deleted


async def _sign_in_again(services: Services, caller: Caller, claims: Claims, user: UUID, password: str | None) -> None:
    """Whoever holds the token must be the person; an anonymous session has nothing but its token."""
    async with services.database.session(SERVICE, read_only=True) as session:
        person = await session.fetchrow("privacy.person", user_id=user)
    if person is None:
        raise Unauthenticated("The person of this token no longer exists.")
    if not (claims.is_anonymous and person["is_anonymous"]):
        await accounts.require_recent_sign_in(services, caller, claims, user, password)
