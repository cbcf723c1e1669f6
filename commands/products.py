"""Merges and splits products: docs/decisions/0013-offers.md."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from commands.operations import as_service, key_of
from domain import ids

Product = Annotated[str, typer.Argument(help="A product's id, as the API gives it or as a UUID.")]


def merge(
    one: Product,
    other: Product,
    into: Annotated[bool, typer.Option("--into", help="The second stays, whichever is older.")] = False,
) -> None:
    """Make one product of two, with the offers and what people did with both. The older stays. Audited; see split."""
    from resolvers import merged_products

    first, second = _key(one), _key(other)
    done = as_service(lambda session: merged_products.merge(session, first, second, into=into))
    if done.merged is None:
        print(f"both are {ids.encode('Product', done.product)} already")
    else:
        print(f"{ids.encode('Product', done.merged)} is merged into {ids.encode('Product', done.product)}")


def split(
    product: Product,
    offer: Annotated[str | None, typer.Option(help="Only the product of this offer: see `aclue offers list`.")] = None,
) -> None:
    """Undo merges: of a merged product, or of all that were merged into this one. Audited."""
    from resolvers import merged_products

    key = _key(product)
    part = None if offer is None else key_of("ProductOffer", offer)
    if offer is not None and part is None:
        raise typer.BadParameter(f"{offer}: not the id of an offer")
    done = as_service(lambda session: merged_products.split(session, key, part))
    for listing in done.listings:
        print(f"{ids.encode('Product', listing)} is a product of its own again")
    if not done.listings:
        print(f"nothing was merged into {ids.encode('Product', done.product)}")


def _key(text: str) -> UUID:
    key = key_of("Product", text)
    if key is None:
        raise typer.BadParameter(f"{text}: not the id of a product")
    return key
