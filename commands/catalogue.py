"""Brands, categories, retailers and products: what administrators do by mutation, for operators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

import asyncpg
import typer

from commands.operations import NOWHERE, as_service, given, key_of, key_of_slug, rate
from commands.terminal import fail
from db.session import Session
from domain.errors import AclueError
from resolvers import brands, categories, products, retailers
from resolvers.brands import BrandChanges
from resolvers.categories import CategoryChanges
from resolvers.products import ProductChanges
from resolvers.retailers import NewRetailer, RetailerChanges

Slug = Annotated[str, typer.Argument(help="Its slug.")]
Name = Annotated[str, typer.Argument(help="As people see it.")]
NewSlug = Annotated[str | None, typer.Option("--slug", help="For good; made of the name if it is not given.")]
NewName = Annotated[str | None, typer.Option("--name", help="A new name; feeds that use the old one still find it.")]
Listed = Annotated[bool | None, typer.Option("--listed/--hidden", help="Whether it is listed.")]
Domain = Annotated[str | None, typer.Option(help=f"The host name of the shop; {NOWHERE} clears it.")]
Network = Annotated[str | None, typer.Option(help=f"The code of its affiliate network; {NOWHERE} clears it.")]
Rate = Annotated[str | None, typer.Option(help=f"What it pays, as a share of the price: 0.05; {NOWHERE} clears it.")]
Window = Annotated[
    str | None,
    typer.Option(help=f"For how many hours after a click it pays for an order; {NOWHERE}: as its network."),
]
Products = Annotated[list[str], typer.Argument(help="Ids, as the API gives them or as UUIDs.")]


def add_brand(name: Name, slug: NewSlug = None) -> None:
    """Add a brand."""
    _say("brands", lambda session: brands.create(session, name, slug))


def change_brand(slug: Slug, name: NewName = None, listed: Listed = None) -> None:
    """Rename, list or hide a brand."""

    async def change(session: Session) -> UUID:
        return await brands.update(session, await key_of_slug(session, "brands", slug), BrandChanges(name, listed))

    _say("brands", change)


def add_category(
    name: Name,
    below: Annotated[str | None, typer.Option(help="The slug of the category above.")] = None,
    slug: NewSlug = None,
) -> None:
    """Add a category."""

    async def add(session: Session) -> UUID:
        parent = None if below is None else await key_of_slug(session, "categories", below)
        return await categories.create(session, name, parent, slug)

    _say("categories", add)


def change_category(
    slug: Slug,
    name: NewName = None,
    below: Annotated[
        str | None, typer.Option(help=f"The slug of the category that it moves below; {NOWHERE}: the top.")
    ] = None,
    listed: Listed = None,
) -> None:
    """Rename, move, list or hide a category. All below it moves, too."""

    async def change(session: Session) -> UUID:
        parent = None if below in (None, NOWHERE) else await key_of_slug(session, "categories", str(below))
        changes = CategoryChanges(name, parent, below is not None, listed)
        return await categories.update(session, await key_of_slug(session, "categories", slug), changes)

    _say("categories", change)


def add_retailer(
    name: Name,
    slug: NewSlug = None,
    domain: Domain = None,
    network: Network = None,
    commission_rate: Rate = None,
    click_window_hours: Window = None,
) -> None:
    """Add a retailer."""
    new = NewRetailer(name, slug, given(domain), given(network), rate(commission_rate), _window(click_window_hours))
    _say("retailers", lambda session: retailers.create(session, new))


def change_retailer(
    slug: Slug,
    name: NewName = None,
    domain: Domain = None,
    network: Network = None,
    commission_rate: Rate = None,
    click_window_hours: Window = None,
    listed: Listed = None,
) -> None:
    """Change a retailer."""
    changes = RetailerChanges(
        name=name,
        domain=given(domain),
        set_domain=domain is not None,
        network=given(network),
        set_network=network is not None,
        commission_rate=rate(commission_rate),
        set_commission_rate=commission_rate is not None,
        click_window_hours=_window(click_window_hours),
        set_click_window_hours=click_window_hours is not None,
        is_active=listed,
    )

    async def change(session: Session) -> UUID:
        return await retailers.update(session, await key_of_slug(session, "retailers", slug), changes)

    _say("retailers", change)


def publish(products: Products) -> None:
    """Put products back into the catalogue, all or none."""
    _set_active(products, is_active=True)


def unpublish(products: Products) -> None:
    """Take products out of the catalogue, all or none. Imports do not bring them back."""
    _set_active(products, is_active=False)


def _set_active(texts: list[str], *, is_active: bool) -> None:
    async def change(session: Session) -> None:
        for text in texts:
            try:
                await products.update(session, key_of("Product", text), ProductChanges(is_active=is_active))
            except AclueError as error:
                fail(f"{text}: {error}")

    as_service(change)
    print(f"{len(texts)} {'published' if is_active else 'unpublished'}")


def _window(text: str | None) -> int | None:
    if text is None or text == NOWHERE:
        return None
    if not text.isdecimal() or len(text) > 6:
        fail(f"--click-window-hours {text}: give a whole number of hours, such as 720")
    return int(text)


def _say(noun: str, work: Callable[[Session], Awaitable[UUID]]) -> None:
    """Runs the work, and prints the row that it wrote."""

    async def write(session: Session) -> asyncpg.Record | None:
        return await session.fetchrow(f"{noun}.find", id=await work(session), slug=None)

    row = as_service(write)
    assert row is not None  # it was just written
    print(f"{row['slug']:30}  {row['name']}{'' if row['is_active'] else '  (hidden)'}")
