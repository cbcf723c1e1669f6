"""Writing retailers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from db.session import Session
from domain.bounds import require_range
from domain.errors import Conflict, Invalid, NotFound
from domain.hosts import BadAddress
from domain.links import MAX_CLICK_WINDOW_HOURS, normal_domain
from domain.texts import require_no_nul
from resolvers.catalogue import create as create_row
from resolvers.catalogue import name_of, once_for_administrator, rate_of, require_proven_administrator, writing


@dataclass(frozen=True, slots=True)
class NewRetailer:
    """`commission_rate` is 0..1: the share of a price that the shop pays where no agreement says otherwise.
    `click_window_hours`: how long after a click it pays for an order."""

    name: str
    slug: str | None = None
    domain: str | None = None
    network: str | None = None
    commission_rate: Decimal | None = None
    click_window_hours: int | None = None


@dataclass(frozen=True, slots=True)
class RetailerChanges:
    """None leaves a value unchanged; the set_ flags mark an explicit null, which clears it."""

    name: str | None = None
    domain: str | None = None
    set_domain: bool = False
    network: str | None = None
    set_network: bool = False
    commission_rate: Decimal | None = None
    set_commission_rate: bool = False
    click_window_hours: int | None = None
    set_click_window_hours: bool = False
    is_active: bool | None = None


async def create(session: Session, new: NewRetailer, idempotency_key: str | None = None) -> UUID:
    """Creates a retailer. Raises Forbidden, Invalid, or Conflict if there is one with this name or slug."""
    await require_proven_administrator(session)
    name = name_of(new.name)
    values = {
        "name": name,
        "domain": _domain(new.domain),
        "network": await _network(session, new.network),
        "commission_rate": rate_of(new.commission_rate),
        "click_window_hours": _window(new.click_window_hours),
    }

    async def store() -> UUID:
        await _require_new(session, name, None)
        return await create_row(session, "retailers", new.slug, name, values)

    request = [*values.values(), new.slug]
    return await once_for_administrator(session, "createRetailer", idempotency_key, request, store)


async def update(session: Session, retailer: UUID | None, changes: RetailerChanges) -> UUID:
    """Raises Forbidden, Invalid, NotFound, or Conflict if another retailer has the name."""
    await require_proven_administrator(session)
    name = None if changes.name is None else name_of(changes.name)
    domain, rate = _domain(changes.domain), rate_of(changes.commission_rate)
    network = await _network(session, changes.network)
    if await session.fetchrow("retailers.find", id=retailer, slug=None) is None:
        raise NotFound("There is no such retailer.", ("id",))
    if name is not None:
        await _require_new(session, name, retailer)
    async with writing(session):
        updated: UUID | None = await session.fetchval(
            "retailers.update",
            id=retailer,
            name=name,
            domain=domain,
            set_domain=changes.set_domain,
            network=network,
            set_network=changes.set_network,
            commission_rate=rate,
            set_commission_rate=changes.set_commission_rate,
            click_window_hours=_window(changes.click_window_hours),
            set_click_window_hours=changes.set_click_window_hours,
            is_active=changes.is_active,
        )
    if updated is None:
        raise NotFound("There is no such retailer.", ("id",))
    return updated


def _domain(text: str | None) -> str | None:
    """The host in the spelling of the DNS."""
    require_no_nul(text, ("domain",))
    if text is None:
        return None
    try:
        return normal_domain(text)
    except BadAddress:
        raise Invalid(
            f"`domain` is {text[:100]!r}: it takes the host name of the shop, such as shop.example.", ("domain",)
        ) from None


async def _network(session: Session, code: str | None) -> str | None:
    require_no_nul(code, ("network",))
    if code is not None and not await session.fetchval("retailers.network_exists", network=code):
        raise Invalid(f"There is no affiliate network {code[:100]!r}.", ("network",))
    return code


def _window(hours: int | None) -> int | None:
    require_range(hours, ("clickWindowHours",), 1, MAX_CLICK_WINDOW_HOURS, "hours; 720 is a month of 30 days")
    return hours


async def _require_new(session: Session, name: str, retailer: UUID | None) -> None:
    other = await session.fetchrow("retailers.named", name=name)
    if other is not None and other["id"] != retailer:
        raise Conflict(f"There is a retailer of this name: {other['slug']}.", ("name",))
