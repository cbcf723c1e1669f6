"""Limits on attempts: at an account, or from a network.

Attempts at an account count per household, per site and in total, so that one attacker cannot use up the attempts of
the owner, or of everybody. Over the limits per site and in total, networks that the account has signed in from before
and devices that are signed in to it are still admitted, so that attackers elsewhere cannot lock the owner out. Refused
attempts are not counted. Counts are shared by all processes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from db import metrics
from db.claims import ANONYMOUS, SERVICE, Claims
from db.session import Session
from domain.callers import Caller
from domain.emails import Email
from domain.errors import RateLimited
from domain.networks import networks, ranges, site
from domain.pseudonyms import PERIOD_SECONDS
from services.services import Services

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS
SITES = 5
"""The total for an account is this many times the limit of a site (a /48, or an IPv4 address)."""


@dataclass(frozen=True, slots=True)
class Target:
    """What attempts are counted against. `kind` and `subject` name it; `id` or `email` is the account, if any, whose
    owner is recognised. A site has `per_site` attempts in `window_seconds`, all sites together SITES times as many."""

    kind: str
    subject: str
    per_site: int
    window_seconds: int
    id: UUID | None = None
    email: Email | None = None


def guesses(kind: str, subject: str, limit: int, *, id: UUID | None = None, email: Email | None = None) -> Target:
    """Guesses of a password or a code: ten times `limit` per hour."""
    return Target(kind, subject, 2 * limit, HOUR_SECONDS, id, email)


def mails(kind: str, subject: str, limit: int, *, email: Email | None = None) -> Target:
    """Requests for a mail to an address: five times `limit` per day."""
    return Target(kind, subject, limit, DAY_SECONDS, None, email)


@dataclass(frozen=True, slots=True)
class _Limit:
    bucket: bytes
    maximum: int
    window_seconds: int


def _of_networks(
    services: Services, caller: Caller, kind: str, subject: str, limit: int, window_seconds: int
) -> Iterator[_Limit]:
    for network in networks(caller.address):  # always the narrowest first: a fixed lock order prevents deadlocks
        yield _Limit(_bucket(services, kind, network.name, subject), limit * network.factor, window_seconds)


def _of_household(services: Services, caller: Caller, target: Target, limit: int) -> _Limit:
    household = networks(caller.address)[0].name
    return _Limit(_bucket(services, target.kind, household, target.subject), limit, services.settings.attempt_window)


def _of_all(services: Services, caller: Caller, target: Target) -> tuple[_Limit, _Limit]:
    name = site(caller.address)
    return (
        _Limit(_bucket(services, target.kind, "site", name, target.subject), target.per_site, target.window_seconds),
        _Limit(_bucket(services, target.kind, "*", target.subject), target.per_site * SITES, target.window_seconds),
    )


def _of_device(services: Services, claims: Claims, target: Target, limit: int) -> _Limit:
    bucket = _bucket(services, target.kind, "device", str(claims.session_id), target.subject)
    return _Limit(bucket, limit, services.settings.attempt_window)


def _bucket(services: Services, *parts: str) -> bytes:
    return services.attempt_pseudonyms.of("\n".join(parts), time.time())


async def count(services: Services, caller: Caller, target: Target, limit: int, claims: Claims = ANONYMOUS) -> None:
    """Counts an attempt at an account, in a transaction of its own, so that the count survives a rollback of the
    caller's. Allowed are `limit` per window from a household, and what the target allows per site and in total. Over
    the latter two the owner still has `limit` per window from each known household and with each device (that of
    `claims`). Raises RateLimited."""
    async with services.database.session(SERVICE, read_only=False) as session:
        await _count(session, [_of_household(services, caller, target, limit)])
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
            await _count(session, [_of_device(services, claims, target, limit)])


def _household_hashes(services: Services, caller: Caller) -> list[bytes]:
    """Hashes of the caller's household, as sessions store them, for the current key period and the one before."""
    now = time.time()
    households = ranges(caller.address)[:1]
    return [services.network_pseudonyms.of(name, at) for name in households for at in (now, now - PERIOD_SECONDS)]


async def count_network(services: Services, caller: Caller, kind: str, limit: int) -> None:
    """Counts an attempt at no particular account: `limit` per window from each network of the caller, times its
    factor. Raises RateLimited."""
    async with services.database.session(SERVICE, read_only=False) as session:
        await _count(session, _of_networks(services, caller, kind, "", limit, services.settings.attempt_window))


async def count_visit(services: Services, caller: Caller, link: UUID, limit: int) -> None:
    """Counts a visit of a gift link: `limit` per hour from each network of the caller, times its factor. Raises
    RateLimited."""
    async with services.database.session(SERVICE, read_only=False) as session:
        await _count(session, _of_networks(services, caller, "gift link", str(link), limit, HOUR_SECONDS))


async def _count(session: Session, limits: Iterable[_Limit]) -> None:
    for limit in limits:
        attempts = await session.fetchval(
            "accounts.count_attempt", bucket=limit.bucket, window_seconds=float(limit.window_seconds)
        )
        if attempts > limit.maximum:
            metrics.LIMITS.labels("attempts").inc()
            raise RateLimited("Too many attempts, try again later.", retry_after=limit.window_seconds)


async def forgive(
    session: Session, services: Services, caller: Caller, target: Target, claims: Claims = ANONYMOUS
) -> None:
    """Uncounts an attempt that has succeeded. Attempts are counted first, so that concurrent guesses cannot get ahead
    of the count. `session` is service_role's."""
    limits = [_of_household(services, caller, target, 0), *_of_all(services, caller, target)]
    if claims.session_id is not None:
        limits.append(_of_device(services, claims, target, 0))
    for limit in limits:
        await session.fetch("accounts.forgive_attempt", bucket=limit.bucket, window_seconds=float(limit.window_seconds))
