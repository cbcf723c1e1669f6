"""What writing brands, categories and retailers has in common. Administrators write as service_role, once their role
and second factor are checked: by SQL alone, as on Supabase, nobody can write these tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.session import Session
from domain.bounds import require_text
from domain.errors import Conflict, Invalid
from domain.feed_text import slugify, spare_slug
from domain.feed_values import MAX_KEY
from domain.texts import require_no_nul
from resolvers.idempotency_keys import once
from resolvers.profiles import require_proven_role


async def require_proven_administrator(session: Session) -> None:
    """Raises Forbidden or Unauthenticated."""
    await require_proven_role(session, session.claims.may_administer, "Only administrators may change the catalogue.")


@asynccontextmanager
async def writing(session: Session) -> AsyncIterator[None]:
    """A block as service_role, on behalf of the administrator if there is one."""
    if session.claims.role == "service_role":
        yield
    else:
        async with session.as_service():
            yield


async def once_for_administrator(
    session: Session, operation: str, key: str | None, request: Any, do: Callable[[], Awaitable[UUID]]
) -> UUID:
    """As `once`, of a person. Raises Invalid for a key of nobody."""
    if key is not None and session.claims.subject is None:
        raise Invalid("An idempotency key belongs to a person, and this token names none.", ("idempotencyKey",))
    return await once(session, operation, key, request, do)


def name_of(text: str) -> str:
    """The name in one line. Raises Invalid for an empty or too long one, or one with a NUL."""
    name = " ".join(text.split())
    require_text(name, ("name",), MAX_KEY, minimum=1)
    return name


def rate_of(rate: Decimal | None) -> str | None:
    """A commission rate for a query. Raises Invalid for what is no share with at most 4 decimals."""
    if rate is None:
        return None
    if not rate.is_finite() or not 0 <= rate <= 1 or rate != round(rate, 4):
        raise Invalid(
            f"`commissionRate` is {str(rate)[:20]}: it takes a share from 0 to 1 with at most 4 decimals; 0.05 is "
            "five per cent.",
            ("commissionRate",),
        )
    return str(rate)


def check_slug(slug: str) -> None:
    """Raises Invalid unless it is in kebab-case."""
    require_no_nul(slug, ("slug",))
    if not 1 <= len(slug) <= MAX_KEY or slugify(slug) != slug:
        raise Invalid(f"`slug` takes lower-case words with hyphens, of at most {MAX_KEY} characters.", ("slug",))


async def create(session: Session, noun: str, slug: str | None, spare: str, values: dict[str, Any]) -> UUID:
    """Inserts a row of `<noun>.create`, with the slug given or, without one, that of the text `spare`, which gets a
    suffix if it is taken. Raises Invalid, or Conflict if the given slug is taken."""
    if slug is not None:
        check_slug(slug)
    plain = slugify(spare)[: MAX_KEY - 10].strip("-") or "x"
    async with writing(session):
        for candidate in [slug] if slug is not None else [plain, spare_slug(plain, spare)]:
            created: UUID | None = await session.fetchval(f"{noun}.create", slug=candidate, **values)
            if created is not None:
                return created
    raise Conflict("This slug is taken.", ("slug",))
