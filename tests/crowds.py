"""Many people at once, written by SQL: who they are, where their sessions began and what they swiped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from domain.networks import ranges
from tests.conftest import Shop


@dataclass(frozen=True)
class Person:
    """`address` None: nobody knows where from. `email`: "" for an anonymous session."""

    address: str | None
    days: float = 0
    email: str = ""
    is_verified: bool = False


async def come(shop: Shop, people: Sequence[Person]) -> list[UUID]:
    """Their profiles, and a session each where the address is known."""
    hashes, now = shop.services.network_pseudonyms, time.time()
    ids = [uuid4() for _ in people]
    await shop.owner.execute(
        """
        insert into public.profiles (id, is_anonymous, email, email_verified_at, created_at)
        select i.id, i.email = '', nullif(i.email, ''), case when i.verified then now() end,
          now() - make_interval(secs => i.days * 86400)
        from unnest($1::uuid[], $2::text[], $3::boolean[], $4::float8[]) i (id, email, verified, days)
        """,
        ids,
        [person.email for person in people],
        [person.is_verified for person in people],
        [person.days for person in people],
    )
    rows: list[Any] = [
        (id, f"{id}", [hashes.of(name, now - person.days * 86400) for name in ranges(person.address)], person.days)
        for id, person in zip(ids, people, strict=True)
        if person.address is not None
    ]
    await shop.owner.executemany(
        """
        insert into public.user_sessions (user_id, refresh_token_hash, expires_at, networks, created_at)
        values ($1, sha256($2::text::bytea), now() + interval '30 days', $3,
          now() - make_interval(secs => $4::float8 * 86400))
        """,
        rows,
    )
    return ids


async def swipe(shop: Shop, people: Sequence[UUID], products: Sequence[UUID], direction: str) -> None:
    """Each of them swipes each of these, as private.sync_signals() would have it."""
    await shop.owner.execute(
        """
        with made as (
          insert into public.swipes (user_id, client_swipe_id, product_id, direction)
          select p.id, gen_random_uuid()::text, r.id, $3::text::public.swipe_direction
          from unnest($1::uuid[]) p (id) cross join unnest($2::uuid[]) r (id)
          returning *
        )
        insert into public.product_signals (user_id, product_id, swipe_id, direction, preference_strength, swiped_at)
        select user_id, product_id, id, direction, preference_strength, created_at from made
        """,
        people,
        products,
        direction,
    )
