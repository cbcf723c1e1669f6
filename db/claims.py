"""The caller's claims, and the only place that sets them in Postgres: role and settings local to the transaction."""

from __future__ import annotations

import math
import struct
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

ROLES = frozenset({"anon", "authenticated", "service_role"})
WORKER_ROLE = "job_worker"  # of the queue of jobs and of retention; never a token's
APP_ROLES = ("admin", "analyst", "finance")  # app_metadata.role of an account

# The id of the current HTTP request, for the audit log; empty in background jobs.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")

# The caller's id during a request, for a keyed hash in the log; empty without one.
SUBJECT: ContextVar[str] = ContextVar("subject", default="")

# Both spellings are set: policies read request.jwt.claims, but Supabase prefers the old request.jwt.claim and
# .claim.sub. The role comes last: everything before it runs as the log-in role.
_SETTINGS = """
       set_config('aclue.request_id', $5, true),
       set_config('request.jwt.claims', $2, true),
       set_config('request.jwt.claim', '', true),
       set_config('request.jwt.claim.sub', $3, true),
       set_config('request.jwt.claim.role', $1, true),
       set_config('statement_timeout', $4, true),
       set_config('role', $1, true)
"""
APPLY = f"select {_SETTINGS} offset 1"  # offset 1: the row is computed, but not sent, as db/pipeline.py needs
APPLY_READ_ONLY = f"select set_config('transaction_read_only', 'on', true), {_SETTINGS} offset 1"


int32 = struct.Struct("!i").pack  # in network byte order, as in Postgres' protocol


def text_parameters(*texts: str) -> bytes:
    """Encodes strings as parameters of a Bind message."""
    encoded = [text.encode() for text in texts]
    return b"".join([int32(len(text)) + text for text in encoded])


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token; anonymous ones by default. `raw` is what policies read as auth.jwt(). `aal` is
    aal2 after a second factor; `signed_in_at` is the last sign-in, which neither a refresh nor a second factor alone
    is; `issued_at` is when the token was issued."""

    role: str = "anon"
    subject: UUID | None = None
    session_id: UUID | None = None
    is_anonymous: bool = False
    app_role: str | None = None
    expires_at: int | None = None
    aal: str = "aal1"
    signed_in_at: int | None = None
    issued_at: int | None = None
    raw: str = field(default='{"role":"anon"}', repr=False)
    # The person's id as text, empty without one: rendered once, as each request needs it several times.
    subject_text: str = field(init=False, repr=False, compare=False)
    # The first three parameters of APPLY, encoded once: with CLAIMS_MODE=pipelined every query sends them.
    parameters: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.role not in ROLES and self.role != WORKER_ROLE:
            raise ValueError(f"role {self.role!r} is not one of {sorted(ROLES)}")
        object.__setattr__(self, "subject_text", str(self.subject) if self.subject else "")
        object.__setattr__(self, "parameters", text_parameters(self.role, self.raw, self.subject_text))

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> Claims:
        """The claims in a verified token's payload. Raises ValueError for a malformed member."""
        metadata = payload.get("app_metadata")
        app_role = metadata.get("role") if isinstance(metadata, dict) else None
        is_anonymous = payload.get("is_anonymous") is True
        session = payload.get("session_id")
        role = payload["role"]
        if not isinstance(role, str):
            raise ValueError("role is not a string")
        if role not in ROLES:
            raise ValueError(f"role {role!r} is not one of {sorted(ROLES)}")
        if str(UUID(payload["sub"])) != payload["sub"].lower():
            raise ValueError("sub is not a UUID in canonical form")
        return cls(
            role=role,
            subject=UUID(payload["sub"]),
            session_id=UUID(session) if session else None,
            is_anonymous=is_anonymous,
            # Supabase's anonymous users have the role authenticated too, but no role of ours.
            app_role=app_role if role == "authenticated" and not is_anonymous and isinstance(app_role, str) else None,
            expires_at=int(payload["exp"]),
            aal="aal2" if payload.get("aal") == "aal2" else "aal1",
            signed_in_at=_newest(payload.get("amr")),
            issued_at=int(payload["iat"]) if "iat" in payload else None,
            raw=msgspec.json.encode(payload).decode(),
        )

    @property
    def may_administer(self) -> bool:
        return self.role == "service_role" or self.app_role == "admin"

    @property
    def may_analyse(self) -> bool:
        return self.may_administer or self.app_role == "analyst"

    @property
    def may_keep_books(self) -> bool:
        return self.may_administer or self.app_role == "finance"

    @property
    def may_read_money(self) -> bool:
        return self.may_keep_books or self.may_analyse


# Second factors, ours and Supabase's, are no sign-in: a first one can be enrolled with nothing but a token.
_NO_SIGN_IN = ("anonymous", "token_refresh", "totp", "recovery_code", "mfa/totp", "mfa/phone", "mfa/webauthn")


def _newest(amr: Any) -> int | None:
    """The last sign-in in an `amr`: a list of {method, timestamp}, or of bare names, which have no time."""
    methods = [method for method in amr if isinstance(method, dict)] if isinstance(amr, list) else []
    times = [method.get("timestamp") for method in methods if method.get("method") not in _NO_SIGN_IN]
    finite = [time for time in times if type(time) is int or (isinstance(time, float) and math.isfinite(time))]
    return int(max(finite)) if finite else None


ANONYMOUS = Claims()
SERVICE = Claims(role="service_role", raw='{"role":"service_role"}')
WORKER = Claims(role=WORKER_ROLE, raw='{"role":"job_worker"}')


def service_for(subject: UUID, caller: Claims = ANONYMOUS) -> Claims:
    """service_role on behalf of a person, who is auth.uid(). Of the caller, the audit log notes the role."""
    payload: dict[str, Any] = {"role": "service_role", "sub": str(subject)}
    if caller.app_role is not None:
        payload |= {"aal": caller.aal, "app_metadata": {"role": caller.app_role}}
    return Claims(role="service_role", subject=subject, raw=msgspec.json.encode(payload).decode())


async def apply(connection: asyncpg.Connection[Any], claims: Claims, statement_timeout_ms: int) -> None:
    """Runs the rest of the open transaction under these claims. Raises RuntimeError outside a transaction."""
    if not connection.is_in_transaction():
        raise RuntimeError("claims can be set only inside a transaction")
    values = (claims.role, claims.raw, claims.subject_text, str(statement_timeout_ms), REQUEST_ID.get())
    await connection.fetchrow(APPLY, *values)
