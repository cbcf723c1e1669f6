"""Offers of products: what administrators do by mutation, for operators."""

from __future__ import annotations

from collections.abc import Coroutine
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import asyncpg
import typer

from commands.operations import NOWHERE, as_service, given, key_of, number
from commands.terminal import fail
from domain import ids, money

if TYPE_CHECKING:
    from db.session import Session

MAX_LISTED = 1000

Product = Annotated[str, typer.Argument(help="A product's id, as the API gives it or as a UUID.")]
Offer = Annotated[str, typer.Argument(help="An offer's id: see list.")]
Url = Annotated[str, typer.Option(help="The shop's page, or a link of its network, https.")]
Price = Annotated[str, typer.Option(help="In major units: 19.99.")]
Currency = Annotated[str, typer.Option(help="ISO 4217.")]


def list_offers(product: Product) -> None:
    """Print the offers of a product, also those that are not active."""
    key = key_of("Product", product)

    rows = as_service(lambda session: session.fetch("product_offers.listed", product=key, offer=None, size=MAX_LISTED))
    if not rows:
        fail(f"there is no product {product}")
    for row in rows:
        _print(row)


def create(
    product: Product,
    shop: Annotated[str, typer.Option(help="The slug of the retailer.")],
    external_id: Annotated[str, typer.Option(help="The shop's own id of it; its feed means the offer by it.")],
    url: Url,
    price: Price,
    currency: Currency = "GBP",
    shipping: Annotated[str | None, typer.Option(help="What the shop asks for shipping, in the currency.")] = None,
    in_stock: Annotated[bool, typer.Option("--in-stock/--out-of-stock")] = True,
) -> None:
    """Add an offer of a shop to a product."""
    from resolvers import product_offers

    amount = _amount(price, "--price")
    assert amount is not None
    new = product_offers.NewOffer(
        product=key_of("Product", product),
        retailer_slug=shop,
        external_id=external_id,
        url=url,
        price=amount,
        currency=currency,
        shipping=_amount(shipping, "--shipping"),
        in_stock=in_stock,
    )
    _print(as_service(lambda session: _written(session, product_offers.create(session, new))))


def update(
    offer: Offer,
    price: Annotated[str | None, typer.Option(help="In major units; ends a sale.")] = None,
    currency: Annotated[str | None, typer.Option(help="ISO 4217; needs --price.")] = None,
    shipping: Annotated[str | None, typer.Option(help=f"What the shop asks for shipping; {NOWHERE}: unknown.")] = None,
    in_stock: Annotated[bool | None, typer.Option("--in-stock/--out-of-stock")] = None,
    url: Annotated[str | None, typer.Option(help="The shop's page, or a link of its network, https.")] = None,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="Whether people are sent there; imports keep --inactive.")
    ] = None,
    follow_feed: Annotated[
        list[str] | None, typer.Option(help="link, shipping or inactive: the next import sets it again.")
    ] = None,
) -> None:
    """Change an offer. Imports keep the link, the shipping and --inactive."""
    from resolvers import product_offers

    if unknown := set(follow_feed or ()) - set(product_offers.EDITABLE):
        fail(f"--follow-feed {min(unknown)}: there are {', '.join(product_offers.EDITABLE)}")
    changes = product_offers.OfferChanges(
        price=_amount(price, "--price"),
        currency=currency,
        shipping=_amount(given(shipping), "--shipping"),
        set_shipping=shipping is not None,
        in_stock=in_stock,
        url=url,
        is_active=active,
        follow_feed=follow_feed or [],
    )
    key = key_of("ProductOffer", offer)
    _print(as_service(lambda session: _written(session, product_offers.update(session, key, changes))))


async def _written(session: Session, work: Coroutine[Any, Any, UUID]) -> asyncpg.Record:
    (row,) = await session.fetch("product_offers.listed", product=None, offer=await work, size=1)
    return row


def _amount(text: str | None, option: str) -> Decimal | None:
    return number(text, option, "an amount such as 19.99")


def _print(row: asyncpg.Record) -> None:
    words = [
        f"{money.to_decimal(row['price_minor'], row['currency'])} {row['currency']}",
        *(
            [f"+ {money.to_decimal(row['shipping_minor'], row['currency'])}"]
            if row["shipping_minor"] is not None
            else []
        ),
        "in stock" if row["in_stock"] else "out of stock",
        *([] if row["is_active"] else ["not active"]),
        *(["leads"] if row["leads"] else []),
        *([f"edited: {', '.join(row['edited'])}"] if row["edited"] else []),
    ]
    print(f"{ids.encode('ProductOffer', row['id'])}  {row['slug']} {row['external_id']}  {', '.join(words)}")
    print(f"  {row['affiliate_url']}")
