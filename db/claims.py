"""Who asks, and the only place that tells Postgres: role and claims, always local to the transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

ROLES = frozenset({"anon", "authenticated", "service_role"})

# Both spellings are set: policies read request.jwt.claims, but on Supabase an old request.jwt.claim.sub would win.
# Role last: what stands before it runs as the log-in role.
_APPLY = """
select set_config('request.jwt.claims', $2, true),
       set_config('request.jwt.claim.sub', $3, true),
       set_config('request.jwt.claim.role', $1, true),
       set_config('statement_timeout', $4, true),
       set_config('role', $1, true)
"""


@dataclass(frozen=True, slots=True)
class Claims:
    """A verified token, or the lack of one. `raw` is what policies read as auth.jwt()."""

    role: str = "anon"
    subject: UUID | None = None
    session_id: UUID | None = None
    is_anonymous: bool = False
    app_role: str | None = None
    expires_at: int | None = None
    raw: str = field(default='{"role":"anon"}', repr=False)

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"role {self.role!r} is not one of {sorted(ROLES)}")

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> Claims:
        """Claims of a verified token's payload. Raises ValueError when a member is not of its form."""
        metadata = payload.get("app_metadata")
        app_role = metadata.get("role") if isinstance(metadata, dict) else None
        session = payload.get("session_id")
        role = payload["role"]
        if not isinstance(role, str):
            raise ValueError("role is not a string")
        if str(UUID(payload["sub"])) != payload["sub"].lower():
            raise ValueError("sub is a spelling of a uuid that Postgres does not read")
        return cls(
            role=role,
            subject=UUID(payload["sub"]),
            session_id=UUID(session) if session else None,
            is_anonymous=payload.get("is_anonymous") is True,
            app_role=app_role if role == "authenticated" and isinstance(app_role, str) else None,
            expires_at=int(payload["exp"]),
            raw=msgspec.json.encode(payload).decode(),
        )

    @property
    def may_administer(self) -> bool:
        return self.role == "service_role" or self.app_role == "admin"


ANONYMOUS = Claims()
SERVICE = Claims(role="service_role", raw='{"role":"service_role"}')


async def apply(connection: asyncpg.Connection[Any], claims: Claims, statement_timeout_ms: int) -> None:
    """Makes the rest of the open transaction run as these claims say. Fails where no transaction is open."""
    if not connection.is_in_transaction():
        raise RuntimeError("claims are set inside a transaction only")
    subject = str(claims.subject) if claims.subject else ""
    await connection.fetchrow(_APPLY, claims.role, claims.raw, subject, str(statement_timeout_ms))
