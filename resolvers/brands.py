"""Writing brands."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from db.session import Session
from domain.errors import Conflict, NotFound
from resolvers.catalogue import create as create_row
from resolvers.catalogue import name_of, once_for_administrator, require_proven_administrator, writing


@dataclass(frozen=True, slots=True)
class BrandChanges:
    """None leaves a value unchanged."""

    name: str | None = None
    is_active: bool | None = None


async def create(session: Session, name: str, slug: str | None = None, idempotency_key: str | None = None) -> UUID:
    """Creates a brand. Raises Forbidden, Invalid, or Conflict if there is one with this name or slug."""
    await require_proven_administrator(session)
    normalised_name = name_of(name)

    async def store() -> UUID:
        await _require_new(session, normalised_name, None)
        return await create_row(session, "brands", slug, normalised_name, {"name": normalised_name})

    return await once_for_administrator(session, "createBrand", idempotency_key, [normalised_name, slug], store)


async def update(session: Session, brand: UUID | None, changes: BrandChanges) -> UUID:
    """Raises Forbidden, Invalid, NotFound, or Conflict if another brand has the name."""
    await require_proven_administrator(session)
    normalised_name = None if changes.name is None else name_of(changes.name)
    if await session.fetchrow("brands.find", id=brand, slug=None) is None:
        raise NotFound("There is no such brand.", ("id",))
    if normalised_name is not None:
        await _require_new(session, normalised_name, brand)
    async with writing(session):
        updated: UUID | None = await session.fetchval(
            "brands.update", id=brand, name=normalised_name, is_active=changes.is_active
        )
    if updated is None:
        raise NotFound("There is no such brand.", ("id",))
    return updated


async def _require_new(session: Session, name: str, brand: UUID | None) -> None:
    other = await session.fetchrow("brands.named", name=name)
    if other is not None and other["id"] != brand:
        raise Conflict(f"There is a brand of this name: {other['slug']}.", ("name",))
