"""Writing categories: a tree."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from db.session import Session
from domain.errors import Conflict, Invalid, NotFound
from resolvers.catalogue import create as create_row
from resolvers.catalogue import name_of, once_for_administrator, require_proven_administrator, writing


@dataclass(frozen=True, slots=True)
class CategoryChanges:
    """None leaves a value unchanged; with set_parent, None moves it to the top."""

    name: str | None = None
    parent: UUID | None = None
    set_parent: bool = False
    is_active: bool | None = None


async def create(
    session: Session, name: str, parent: UUID | None, slug: str | None = None, idempotency_key: str | None = None
) -> UUID:
    """Creates a category below another one, or at the top. Raises Forbidden, Invalid, NotFound for an unknown
    parent, or Conflict if the parent has one of this name, or the slug is taken."""
    await require_proven_administrator(session)
    normalised_name = name_of(name)

    async def store() -> UUID:
        above = "" if parent is None else f"{await _slug_of(session, parent, 'parentId')}-"
        await _require_new(session, parent, normalised_name, None)
        return await create_row(
            session, "categories", slug, above + normalised_name, {"name": normalised_name, "parent_id": parent}
        )

    request = [normalised_name, None if parent is None else str(parent), slug]
    return await once_for_administrator(session, "createCategory", idempotency_key, request, store)


async def update(session: Session, category: UUID | None, changes: CategoryChanges) -> UUID:
    """Raises Forbidden, NotFound, Conflict if the parent has another one of the name, or Invalid, also for a
    parent that is the category itself or below it."""
    await require_proven_administrator(session)
    normalised_name = None if changes.name is None else name_of(changes.name)
    known = await session.fetchrow("categories.find", id=category, slug=None)
    if known is None:
        raise NotFound("There is no such category.", ("id",))
    parent: UUID | None = known["parent_id"]
    if changes.set_parent:
        parent = changes.parent
        if parent is not None:
            await _slug_of(session, parent, "parentId")
            # The same error comes from a trigger for two moves at once.
            if await session.fetchval("categories.is_below", id=parent, ancestor=category):
                raise Invalid("A category cannot be below itself.", ("parentId",))
    await _require_new(session, parent, normalised_name or known["name"], category)
    async with writing(session):
        updated: UUID | None = await session.fetchval(
            "categories.update",
            id=category,
            name=normalised_name,
            set_parent=changes.set_parent,
            parent_id=parent,
            is_active=changes.is_active,
        )
    if updated is None:
        raise NotFound("There is no such category.", ("id",))
    return updated


async def _slug_of(session: Session, category: UUID, field: str) -> str:
    found = await session.fetchrow("categories.find", id=category, slug=None)
    if found is None:
        raise NotFound("There is no such category.", (field,))
    slug: str = found["slug"]
    return slug


async def _require_new(session: Session, parent: UUID | None, name: str, category: UUID | None) -> None:
    other = await session.fetchrow("categories.named", parent_id=parent, name=name)
    if other is not None and other["id"] != category:
        raise Conflict(f"There is a category of this name there: {other['slug']}.", ("name",))
