"""Idempotency keys: a repeated mutation returns the first result; a different one with the same key is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec

from db.session import Session
from domain.errors import IdempotencyKeyReused, Invalid
from domain.texts import require_no_nul


async def once(
    session: Session, operation: str, key: str | None, request: Any, do: Callable[[], Awaitable[UUID]]
) -> UUID:
    """The id that `do` returns; it is called once per person, operation and key (None: always).

    Raises IdempotencyKeyReused if the key was used for a different request.
    """
    if key is None:
        return await do()
    require_no_nul(key, ("idempotencyKey",))
    if not 1 <= len(key) <= 200:
        raise Invalid("An idempotency key has 1 to 200 characters.", ("idempotencyKey",))
    identity = {"user_id": session.claims.subject, "operation": operation, "key": key}
    request_hash = hashlib.sha256(msgspec.json.encode(request, order="sorted")).digest()
    await session.fetch("idempotency_keys.lock", **identity)
    known = await session.fetchrow("idempotency_keys.find", **identity)
    if known is not None:
        if known["request_hash"] != request_hash:
            raise IdempotencyKeyReused("This idempotency key was used for another request.", ("idempotencyKey",))
        result: UUID = known["result_id"]
        session.stored_part = 0
        return result
    result = await do()
    async with session.as_service():
        await session.fetch(
            "idempotency_keys.store", operation=operation, key=key, request_hash=request_hash, result_id=result
        )
    return result
