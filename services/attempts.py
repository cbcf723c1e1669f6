"""Attempts that are limited: at somebody's account, or from a network.

They count per network, so that a stranger's attempts at an account do not use up its owner's. A refused attempt counts
nowhere: nobody in a wider network, and no owner, pays for it. Counts are shared by all processes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from db.claims import SERVICE
from db.session import Session
from domain.callers import Caller
from domain.errors import RateLimited
from domain.networks import networks
from services.services import Services

TOTAL_FACTOR = 10
TOTAL_WINDOW_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class _Limit:
    bucket: bytes
    most: int
    window_seconds: int


def _of_networks(services: Services, caller: Caller, kind: str, subject: str, most: int) -> Iterator[_Limit]:
    for network in networks(caller.address):  # the narrowest first, in every attempt: else two could deadlock
        bucket = _bucket(services, kind, network.name, subject)
        yield _Limit(bucket, most * network.factor, services.settings.attempt_window)


def _of_account(services: Services, caller: Caller, kind: str, subject: str, most: int) -> Iterator[_Limit]:
    yield from _of_networks(services, caller, kind, subject, most)
    yield _Limit(_bucket(services, kind, "*", subject), most * TOTAL_FACTOR, TOTAL_WINDOW_SECONDS)


def _bucket(services: Services, *parts: str) -> bytes:
    return services.attempt_pseudonyms.of("\n".join(parts), time.time())


async def count(services: Services, caller: Caller, kind: str, subject: str, most: int) -> None:
    """Counts an attempt at an account, in a transaction of its own so that the count stays whatever comes after: `most`
    per window from each network of the caller, and ten times that per hour from everywhere. Raises RateLimited."""
    await _count(services, _of_account(services, caller, kind, subject, most))


async def count_network(services: Services, caller: Caller, kind: str, most: int) -> None:
    """Counts an attempt at no account in particular: `most` per window from each network of the caller, times its
    factor. Raises RateLimited."""
    await _count(services, _of_networks(services, caller, kind, "", most))


async def count_visit(services: Services, caller: Caller, link: UUID, most: int) -> None:
    """Counts a visit of a gift link: `most` per hour from each network of the caller, times its factor. Raises
    RateLimited."""
    limits = (
        _Limit(_bucket(services, "gift link", network.name, str(link)), most * network.factor, TOTAL_WINDOW_SECONDS)
        for network in networks(caller.address)
    )
    await _count(services, limits)


async def _count(services: Services, limits: Iterator[_Limit]) -> None:
    async with services.database.session(SERVICE, read_only=False) as session:
        for limit in limits:
            attempts = await session.fetchval(
                "accounts.count_attempt", bucket=limit.bucket, window_seconds=float(limit.window_seconds)
            )
            if attempts > limit.most:
                raise RateLimited("Too many attempts, try again later.", retry_after=limit.window_seconds)


async def forgive(session: Session, services: Services, caller: Caller, kind: str, subject: str) -> None:
    """Takes back an attempt at an account that was counted and has succeeded. Counted first: of many guesses at once
    none may run ahead. `session` is service_role's."""
    for limit in _of_account(services, caller, kind, subject, 0):
        await session.fetch("accounts.forgive_attempt", bucket=limit.bucket, window_seconds=float(limit.window_seconds))
