"""Attempts at somebody's account. They count per network, so that a stranger's do not use up the owner's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from db.claims import SERVICE
from db.session import Session
from domain.errors import RateLimited
from domain.networks import networks
from resolvers.services import Services
from resolvers.sessions import Caller

TOTAL_FACTOR = 10
TOTAL_WINDOW_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class _Limit:
    bucket: bytes
    most: int
    window_seconds: int


def _limits(services: Services, caller: Caller, kind: str, subject: str, most: int) -> Iterator[_Limit]:
    """From the narrowest network to everywhere."""
    window = services.settings.attempt_window
    for network in networks(caller.address):
        yield _Limit(_bucket(kind, network.name, subject), most * network.factor, window)
    yield _Limit(_bucket(kind, "*", subject), most * TOTAL_FACTOR, TOTAL_WINDOW_SECONDS)


def _bucket(*parts: str) -> bytes:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).digest()


async def count(services: Services, caller: Caller, kind: str, subject: str, most: int) -> None:
    """Counts an attempt, in a transaction of its own so that the count stays whatever comes after: `most` per window
    from each network of the caller, and ten times that per hour from everywhere. A refused one counts nowhere, so that
    going on from one network uses up nothing of the others'. Raises RateLimited."""
    async with services.database.session(SERVICE, read_only=False) as session:
        for limit in _limits(services, caller, kind, subject, most):
            attempts = await session.fetchval(
                "accounts.count_attempt", bucket=limit.bucket, window_seconds=float(limit.window_seconds)
            )
            if attempts > limit.most:
                raise RateLimited("Too many attempts, try again later.", retry_after=limit.window_seconds)


async def forgive(session: Session, services: Services, caller: Caller, kind: str, subject: str) -> None:
    """Takes back an attempt that was counted and has succeeded. Counted first: of many guesses at once none may run
    ahead. `session` is service_role's."""
    for limit in _limits(services, caller, kind, subject, 0):
        await session.fetch("accounts.forgive_attempt", bucket=limit.bucket, window_seconds=float(limit.window_seconds))
