"""Accounts that somebody else's sign-in service makes: rows of auth.users, and the claims it puts into its tokens."""

from __future__ import annotations

import secrets
import time
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from tests.bases import Base

_USER = """
insert into auth.users (id, email, is_anonymous, raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
values ($1, $2, $3, '{}', '{}', now(), now())
"""
_USER_OF_SUPABASE = """
insert into auth.users (
  instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
  created_at, updated_at, is_anonymous)
values (
  '00000000-0000-0000-0000-000000000000', $1, 'authenticated', 'authenticated', $2::text, '',
  case when $2 is not null then now() end, '{}', '{}', now(), now(), $3)
"""


async def add_user(base: Base, superuser_dsn: str, email: str | None) -> UUID:
    """A row as the sign-in service writes it, under its own role; without an e-mail an anonymous sign-in."""
    id = uuid4()
    connection = await asyncpg.connect(superuser_dsn)
    try:
        await connection.execute(f"set role {'supabase_auth_admin' if base.is_supabase else base.owner}")
        await connection.execute(_USER_OF_SUPABASE if base.is_supabase else _USER, id, email, email is None)
    finally:
        await connection.close()
    return id


def supabase_claims(user: UUID, issuer: str, *, email: str | None, **changes: Any) -> dict[str, Any]:
    """What Supabase puts into an access token. An anonymous sign-in has the role authenticated too."""
    now = int(time.time())
    return {
        "iss": issuer,
        "sub": str(user),
        "aud": "authenticated",
        "exp": now + 3600,
        "iat": now,
        "email": email or "",
        "phone": "",
        "app_metadata": {"provider": "email", "providers": ["email"]} if email else {},
        "user_metadata": {},
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{"method": "password" if email else "anonymous", "timestamp": now}],
        "session_id": str(uuid4()),
        "is_anonymous": email is None,
        "jti": secrets.token_hex(8),
        **changes,
    }
