"""Attempts that are limited: at somebody's account, or from a network.

Attempts at an account count per household, per site and in total, so that one stranger uses up neither its owner's
attempts nor everybody's. What the site or the total refuses is still taken from a network that the account has signed
in from before, and from a device that is signed in to it: strangers elsewhere do not lock the owner out. A refused
attempt counts nowhere. Counts are shared by all processes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from db.claims import ANONYMOUS, SERVICE, Claims
from db.session import Session
from domain.callers import Caller
from domain.emails import Email
from domain.errors import RateLimited
from domain.networks import networks, ranges
from domain.pseudonyms import PERIOD_SECONDS
from services.services import Services

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS
SITES = 5
"""How many sites (a /48, or an IPv4 address) it takes to use up the total of an account."""


@dataclass(frozen=True, slots=True)
class Target:
    """An account that attempts are made at. `kind` and `subject` name what is counted; `id` or `email` is the account
    whose owner is recognised, if any. A site has `per_site` attempts in `window_seconds`, all together SITES times
    that."""

    kind: str
    subject: str
    per_site: int
    window_seconds: int
    id: UUID | None = None
    email: Email | None = None


def guesses(kind: str, subject: str, most: int, *, id: UUID | None = None, email: Email | None = None) -> Target:
    """Attempts to guess a password or a code: ten times `most` an hour."""
    return Target(kind, subject, 2 * most, HOUR_SECONDS, id, email)


def mails(kind: str, subject: str, most: int, *, email: Email | None = None) -> Target:
    """Requests for a mail to an address: five times `most` a day."""
    return Target(kind, subject, most, DAY_SECONDS, None, email)


@dataclass(frozen=True, slots=True)
class _Limit:
    bucket: bytes
    most: int
    window_seconds: int


def _of_networks(services: Services, caller: Caller, kind: str, most: int) -> Iterator[_Limit]:
    for network in networks(caller.address):  # the narrowest first, in every attempt: else two could deadlock
        bucket = _bucket(services, kind, network.name, "")
        yield _Limit(bucket, most * network.factor, services.settings.attempt_window)


def _of_household(services: Services, caller: Caller, target: Target, most: int) -> _Limit:
    household = networks(caller.address)[0].name
    return _Limit(_bucket(services, target.kind, household, target.subject), most, services.settings.attempt_window)


def _of_all(services: Services, caller: Caller, target: Target) -> tuple[_Limit, _Limit]:
    site = networks(caller.address)[-1].name
    return (
        _Limit(_bucket(services, target.kind, "site", site, target.subject), target.per_site, target.window_seconds),
        _Limit(_bucket(services, target.kind, "*", target.subject), target.per_site * SITES, target.window_seconds),
    )


def _of_device(services: Services, claims: Claims, target: Target, most: int) -> _Limit:
    bucket = _bucket(services, target.kind, "device", str(claims.session_id), target.subject)
    return _Limit(bucket, most, services.settings.attempt_window)


def _bucket(services: Services, *parts: str) -> bytes:
    return services.attempt_pseudonyms.of("\n".join(parts), time.time())


async def count(services: Services, caller: Caller, target: Target, most: int, claims: Claims = ANONYMOUS) -> None:
    """Counts an attempt at an account, in a transaction of its own so that the count stays whatever comes after: `most`
    per window from a household, and what the target allows its site and everybody. Beyond the latter two the owner has
    `most` per window still, from each household and with each device (that of `claims`). Raises RateLimited."""
    async with services.database.session(SERVICE, read_only=False) as session:
        await _count(session, [_of_household(services, caller, target, most)])
        try:
            await _count(session, _of_all(services, caller, target))
        except RateLimited:
            known = await session.fetchrow(
                "accounts.recognise",
                user_id=target.id,
                canonical=target.email.canonical if target.email else None,
                spellings=target.email.spellings if target.email else (),
                households=_household_hashes(services, caller),
                session_id=claims.session_id,
            )
            assert known is not None
            if known["is_near"]:
                return
            if not known["is_signed_in"]:
                raise
            await _count(session, [_of_device(services, claims, target, most)])


def _household_hashes(services: Services, caller: Caller) -> list[bytes]:
    """As sessions keep them, of this period and of the one before."""
    now = time.time()
    households = ranges(caller.address)[:1]
    return [services.network_pseudonyms.of(name, at) for name in households for at in (now, now - PERIOD_SECONDS)]


async def count_network(services: Services, caller: Caller, kind: str, most: int) -> None:
    """Counts an attempt at no account in particular: `most` per window from each network of the caller, times its
    factor. Raises RateLimited."""
    async with services.database.session(SERVICE, read_only=False) as session:
        await _count(session, _of_networks(services, caller, kind, most))


async def count_visit(services: Services, caller: Caller, link: UUID, most: int) -> None:
    """Counts a visit of a gift link: `most` per hour from each network of the caller, times its factor. Raises
    RateLimited."""
    limits = (
        _Limit(_bucket(services, "gift link", network.name, str(link)), most * network.factor, HOUR_SECONDS)
        for network in networks(caller.address)
    )
    async with services.database.session(SERVICE, read_only=False) as session:
        await _count(session, limits)


async def _count(session: Session, limits: Iterable[_Limit]) -> None:
    for limit in limits:
        attempts = await session.fetchval(
            "accounts.count_attempt", bucket=limit.bucket, window_seconds=float(limit.window_seconds)
        )
        if attempts > limit.most:
            raise RateLimited("Too many attempts, try again later.", retry_after=limit.window_seconds)


async def forgive(
    session: Session, services: Services, caller: Caller, target: Target, claims: Claims = ANONYMOUS
) -> None:
    """Takes back an attempt at an account that was counted and has succeeded. Counted first: of many guesses at once
    none may run ahead. `session` is service_role's."""
    limits = [_of_household(services, caller, target, 0), *_of_all(services, caller, target)]
    if claims.session_id is not None:
        limits.append(_of_device(services, claims, target, 0))
    for limit in limits:
        await session.fetch("accounts.forgive_attempt", bucket=limit.bucket, window_seconds=float(limit.window_seconds))
