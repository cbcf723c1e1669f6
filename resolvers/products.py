"""The catalogue: filters, orders, search, and writing products by hand."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

from db.queries import QUERIES, Fragment, all_of
from db.rows import Order, SortKey
from db.session import Session
from domain import ids, money
from domain.bounds import require_text
from domain.errors import Conflict, Invalid, ProductNotFound
from domain.feed_text import tag_of
from domain.texts import require_no_nul
from resolvers.catalogue import once_for_administrator, require_proven_administrator, writing
from resolvers.filters import texts_of
from resolvers.links import require_link


@cache
def prices_by_currency(name: str, first_currency: str) -> Order:
    """PRICE_ASC or PRICE_DESC over several currencies: `first_currency`, then the others by code. All keys of an order
    have the same direction, so PRICE_DESC negates the price: descending keys would reverse the currencies, too."""
    price = "r.price_minor" if name == "PRICE_ASC" else "(-r.price_minor)"
    keys = (
        SortKey(f"(r.currency <> '{first_currency}')", "boolean"),
        SortKey("r.currency", "char(3)"),
        SortKey(price, "bigint"),
        SortKey("r.id", "uuid"),
    )
    return Order(f"{name}:{first_currency}", keys, descending=False)


# What private.search_rank() returns, without calls of a function for each product, and with the query read once.
SEARCH_RANK = (
    "(ts_rank(r.search, (select :search::text::tsquery)) + case when r.search @@ "
    "(select substring(:search::text from '''=[0-9a-f]{32}''')::tsquery) then 1::real else 0::real end)"
)

ORDERS = {
    "NEWEST": Order.by("NEWEST", "r.created_at", "timestamptz", descending=True),
    "PRICE_ASC": prices_by_currency("PRICE_ASC", "GBP"),
    "PRICE_DESC": prices_by_currency("PRICE_DESC", "GBP"),
    "PRICE_ASC_IN_CURRENCY": Order.by("PRICE_ASC", "r.price_minor", "bigint", descending=False),
    "PRICE_DESC_IN_CURRENCY": Order.by("PRICE_DESC", "r.price_minor", "bigint", descending=True),
    "NAME": Order(
        "NAME",
        (SortKey("r.name_key", "text"), SortKey('r.name collate "C"', "text"), SortKey("r.id", "uuid")),
        descending=False,
    ),
    "POPULARITY": Order.by("POPULARITY", "r.popularity", "real", descending=True),
    "RELEVANCE": Order(
        "RELEVANCE",
        (SortKey(SEARCH_RANK, "real"), SortKey("r.id", "uuid")),
        descending=True,
    ),
}
# What imports leave once an administrator has set it; unpublished: they do not bring the product back. Price and stock
# are the shop's to say.
EDITABLE = ("name", "description", "category", "brand", "tags", "image", "unpublished")
MAX_SEARCH_LENGTH = 200
MAX_VARIANTS = 50
MAX_DESCRIPTION = 50_000
MAX_URL = 2048
MAX_TAGS = 40  # as the table says
MAX_TAG = 60


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of products; None means no condition. Price limits need a currency: see currency_of()."""

    category_slug: str | None = None
    category_ids: Sequence[UUID] | None = None
    brand_slugs: Sequence[str] | None = None
    brand_ids: Sequence[UUID] | None = None
    retailer_ids: Sequence[UUID] | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    currency: str | None = None
    tags: Sequence[str] | None = None
    any_tags: Sequence[str] | None = None
    in_stock: bool | None = None
    collapse_variants: bool = False


def currency_of(code: str | None, min_price: Decimal | None, max_price: Decimal | None, default: str) -> str | None:
    """The currency of a filter: the one given, else the default if there are price limits."""
    return default if code is None and (min_price is not None or max_price is not None) else code


def order_of(name: str, wanted: Filter | None, default_currency: str) -> Order:
    """The order of this name for a filter: prices are compared within one currency only."""
    if name not in ("PRICE_ASC", "PRICE_DESC"):
        return ORDERS[name]
    if wanted is not None and wanted.currency is not None:
        return ORDERS[f"{name}_IN_CURRENCY"]
    return prices_by_currency(name, default_currency)


def conditions(wanted: Filter | None, also: Sequence[Fragment] = ()) -> list[Fragment]:
    """The filter as SQL conditions; variants are chosen among what fits `also`, too. Raises Invalid for a NUL, an
    unknown currency, or a price with too many decimals."""
    found: list[Fragment] = []
    if wanted is None:
        return found
    if wanted.category_slug is not None:
        require_no_nul(wanted.category_slug, ("filter", "categorySlug"))
        found.append(QUERIES["products.in_category"].bind(slug=wanted.category_slug))
    if wanted.category_ids is not None:
        found.append(QUERIES["products.below_categories"].bind(ids=list(wanted.category_ids)))
    if wanted.brand_slugs is not None:
        found.append(QUERIES["products.of_brands"].bind(slugs=texts_of(wanted.brand_slugs, "brandSlugs")))
    if wanted.brand_ids is not None:
        found.append(QUERIES["products.of_brand_ids"].bind(ids=list(wanted.brand_ids)))
    if wanted.retailer_ids is not None:
        found.append(QUERIES["products.of_retailers"].bind(ids=list(wanted.retailer_ids)))
    if wanted.tags:
        found.append(QUERIES["products.has_tags"].bind(tags=texts_of(wanted.tags, "tags")))
    if wanted.any_tags is not None:
        found.append(QUERIES["products.has_any_tag"].bind(tags=texts_of(wanted.any_tags, "anyTags")))
    if wanted.in_stock is not None:
        found.append(QUERIES["products.in_stock"].bind(in_stock=wanted.in_stock))
    if wanted.currency is not None:
        money.exponent_of(wanted.currency, ("filter", "currencyCode"))
        found.append(QUERIES["products.in_currency"].bind(currency=wanted.currency))
        if wanted.min_price is not None:
            minor = money.to_minor(wanted.min_price, wanted.currency, ("filter", "minPrice"))
            found.append(QUERIES["products.costs_at_least"].bind(price_minor=minor))
        if wanted.max_price is not None:
            minor = money.to_minor(wanted.max_price, wanted.currency, ("filter", "maxPrice"))
            found.append(QUERIES["products.costs_at_most"].bind(price_minor=minor))
    if wanted.collapse_variants:
        chosen = QUERIES["products.first_of_group"].fill(others=all_of([*found, *also]))
        found.append(Fragment(chosen.text, chosen.values))
    return found


def keys_of(type_name: str, given: Sequence[str] | None, name: str) -> list[UUID] | None:
    """The keys of the ids that a filter lists. Raises Invalid for too many of them, or one of another type."""
    if given is None:
        return None
    keys = [ids.decode_as(type_name, text) for text in texts_of(given, name)]
    for text, key in zip(given, keys, strict=True):
        if key is None:
            raise Invalid(f"`{name}`: {text[:100]!r} is not the id of a {type_name.lower()}.", ("filter", name))
    return [key for key in keys if key is not None]


async def variants(session: Session, product_ids: Sequence[UUID]) -> list[list[UUID]]:
    """The active variants of each product, without itself."""
    found: dict[UUID, list[UUID]] = {product: [] for product in product_ids}
    for variant in await session.fetch("products.variants", products=list(product_ids), size=MAX_VARIANTS):
        found[variant["of_product"]].append(variant["id"])
    return [found[product] for product in product_ids]


async def search_query(session: Session, search: str | None) -> str | None:
    """The search as a query for Postgres; None without one. Raises Invalid for text that is too long or holds a
    NUL."""
    text = (search or "").strip()
    if not text:
        return None
    if len(text) > MAX_SEARCH_LENGTH or len(unicodedata.normalize("NFKD", text)) > 4 * MAX_SEARCH_LENGTH:
        raise Invalid(f"A search has at most {MAX_SEARCH_LENGTH} characters.", ("search",))
    require_no_nul(text, ("search",))
    query: str = await session.fetchval("products.search_query", search=text)
    return query


@dataclass(frozen=True, slots=True)
class NewProduct:
    name: str
    description: str | None
    price: Decimal
    currency: str
    category_slug: str
    brand_slug: str | None
    retailer_slug: str
    external_id: str
    url: str
    image_url: str | None
    tags: Sequence[str]
    in_stock: bool


def text_of(value: str, name: str, maximum: int) -> str:
    """The text without spaces around it. Raises Invalid, of the field `name`, for an empty or too long one."""
    value = value.strip()
    require_text(value, (name,), maximum, minimum=1)
    return value


def _description(text: str | None) -> str | None:
    require_text(text, ("description",), MAX_DESCRIPTION)
    return text


def price_in(amount: Decimal, currency: str) -> int:
    """A price in minor units. Raises Invalid for zero, and for what is no amount of the currency."""
    minor = money.to_minor(amount, currency, ("price",))
    if minor == 0:
        raise Invalid("The price must be above zero.", ("price",))
    return minor


def _tags(tags: Sequence[str]) -> list[str]:
    for tag in tags:
        require_no_nul(tag, ("tags",))
    if len(tags) > MAX_TAGS or not all(0 < len(tag) <= MAX_TAG and tag_of(tag) == tag for tag in tags):
        raise Invalid(
            f"`tags` takes at most {MAX_TAGS}, each of at most {MAX_TAG} characters in lower case with hyphens, such "
            "as game-night.",
            ("tags",),
        )
    return list(dict.fromkeys(tags))


def _https(url: str, name: str) -> str:
    require_no_nul(url, (name,))
    if len(url) > MAX_URL or not re.fullmatch(r"https://[^\s/@\\]+\.[^\s@\\]{1,2000}", url):
        raise Invalid(
            f"`{name}` must be an address that starts with https://, of at most {MAX_URL} characters.", (name,)
        )
    return url


async def create(session: Session, new: NewProduct, idempotency_key: str | None = None) -> UUID:
    """Creates a product. Raises Forbidden, Invalid, or Conflict if the retailer already has this external id."""
    await require_proven_administrator(session)
    request = {name: str(getattr(new, name)) for name in new.__dataclass_fields__}
    return await once_for_administrator(
        session, "createProduct", idempotency_key, request, lambda: _create(session, new)
    )


async def _create(session: Session, new: NewProduct) -> UUID:
    values: dict[str, Any] = {
        "name": text_of(new.name, "name", 500),
        "description": _description(new.description),
        "price_minor": price_in(new.price, new.currency),
        "currency": new.currency,
        "image_url": None if new.image_url is None else _https(new.image_url, "imageUrl"),
        "tags": _tags(new.tags),
        "in_stock": new.in_stock,
        "external_id": text_of(new.external_id, "externalId", 200),
    }
    references = (
        ("category_id", new.category_slug, "categorySlug"),
        ("brand_id", new.brand_slug, "brandSlug"),
        ("retailer_id", new.retailer_slug, "retailerSlug"),
    )
    for _, given, name in references:
        require_no_nul(given, (name,))
    known = await session.fetchrow(
        "products.references",
        category_slug=new.category_slug,
        brand_slug=new.brand_slug,
        retailer_slug=new.retailer_slug,
    )
    assert known is not None
    for column, given, name in references:
        if given is not None and known[column] is None:
            raise Invalid(f"There is no {name.removesuffix('Slug')} with the slug {given[:100]!r}.", (name,))
    values["url"] = await require_link(session, known["retailer_id"], new.url, "url")
    product: UUID | None = await session.fetchval("products.create", **values, **dict(known))
    if product is None:
        raise Conflict("This retailer already has a product with this external id.", ("externalId",))
    edited = ProductChanges(
        name=new.name,
        set_description=new.description is not None,
        category_slug=new.category_slug,
        set_brand=new.brand_slug is not None,
        tags=new.tags or None,
        set_image_url=new.image_url is not None,
    ).edited
    await _note_edits(session, product, edited, ())
    await session.fetch("products.refresh_features", id=product)
    return product


@dataclass(frozen=True, slots=True)
class ProductChanges:
    """None leaves a value unchanged; the set_ flags mark an explicit null, which clears it."""

    name: str | None = None
    description: str | None = None
    set_description: bool = False
    price: Decimal | None = None
    category_slug: str | None = None
    tags: Sequence[str] | None = None
    image_url: str | None = None
    set_image_url: bool = False
    in_stock: bool | None = None
    is_active: bool | None = None
    brand_slug: str | None = None
    set_brand: bool = False
    follow_feed: Sequence[str] = ()  # of EDITABLE: imports set these again

    @property
    def edited(self) -> list[str]:
        """What imports leave from now on."""
        given = (
            self.name is not None, self.set_description, self.category_slug is not None, self.set_brand,
            self.tags is not None, self.set_image_url, self.is_active is False,
        )  # fmt: skip
        return [name for name, is_given in zip(EDITABLE, given, strict=True) if is_given]

    @property
    def released(self) -> list[str]:
        """What imports set again."""
        return [*self.follow_feed, *(["unpublished"] if self.is_active else [])]


async def update(session: Session, product: UUID | None, changes: ProductChanges) -> UUID:
    """Raises Forbidden, Invalid or ProductNotFound."""
    await require_proven_administrator(session)
    currency = await session.fetchval("products.currency_of", id=product)
    if currency is None:
        raise ProductNotFound(("id",))
    require_no_nul(changes.category_slug, ("categorySlug",))
    require_no_nul(changes.brand_slug, ("brandSlug",))
    known = await session.fetchrow(
        "products.references",
        category_slug=changes.category_slug,
        brand_slug=changes.brand_slug,
        retailer_slug=None,
    )
    assert known is not None
    if changes.category_slug is not None and known["category_id"] is None:
        raise Invalid("There is no category with this slug.", ("categorySlug",))
    if changes.brand_slug is not None and known["brand_id"] is None:
        raise Invalid("There is no brand with this slug.", ("brandSlug",))
    # First: nothing puts a product back that is unpublished.
    await _note_edits(session, product, changes.edited, changes.released)
    updated: UUID | None = await session.fetchval(
        "products.update",
        id=product,
        name=None if changes.name is None else text_of(changes.name, "name", 500),
        description=_description(changes.description),
        set_description=changes.set_description,
        price_minor=None if changes.price is None else price_in(changes.price, currency),
        category_id=known["category_id"],
        brand_id=known["brand_id"],
        set_brand=changes.set_brand,
        tags=None if changes.tags is None else _tags(changes.tags),
        image_url=None if changes.image_url is None else _https(changes.image_url, "imageUrl"),
        set_image_url=changes.set_image_url,
        in_stock=changes.in_stock,
        is_active=changes.is_active,
    )
    if updated is None:
        raise ProductNotFound(("id",))
    await session.fetch("products.refresh_features", id=updated)
    return updated


async def _note_edits(session: Session, product: UUID | None, edited: Sequence[str], released: Sequence[str]) -> None:
    async with writing(session):
        await session.fetch("products.note_edits", id=product, edited=list(edited), released=list(released))
