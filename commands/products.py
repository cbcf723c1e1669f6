"""Merges and splits products: docs/decisions/0013-offers.md."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer

from commands.terminal import api_database, databases, fail, load_settings
from domain import ids
from domain.errors import AclueError

if TYPE_CHECKING:
    from db.session import Session

T = TypeVar("T")

TIMEOUT_MS = 10 * 60 * 1000  # of a product that very many people have swiped

Product = Annotated[str, typer.Argument(help="A product's id, as the API gives it or as a UUID.")]


def merge(one: Product, other: Product) -> None:
    """Make one product of two: the older stays, with the offers and what people did with both. Audited; see split."""
    from resolvers import merged_products

    first, second = _id(one), _id(other)
    done = _run(lambda session: merged_products.merge(session, first, second))
    print(f"{ids.encode('Product', done.merged)} is merged into {ids.encode('Product', done.product)}")


def split(product: Product) -> None:
    """Undo merges: of a merged product, or of all that were merged into this one. Audited."""
    from resolvers import merged_products

    key = _id(product)
    done = _run(lambda session: merged_products.split(session, key))
    for listing in done.listings:
        print(f"{ids.encode('Product', listing)} is a product of its own again")


def _id(text: str) -> UUID:
    try:
        return ids.decode_as("Product", text) or UUID(text)
    except ValueError:
        raise typer.BadParameter(f"{text}: not the id of a product") from None


def _run(work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        from db.claims import SERVICE

        async with (
            api_database(settings, dsns) as database,
            database.session(SERVICE, read_only=False, statement_timeout_ms=TIMEOUT_MS) as session,
        ):
            return await work(session)

    settings = load_settings()
    with databases(settings) as dsns:
        try:
            return asyncio.run(run())
        except AclueError as error:
            fail(str(error))
