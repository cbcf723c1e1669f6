"""Products, and the inputs that choose among them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast
from uuid import UUID

import asyncpg
import strawberry
from aiodataloader import DataLoader

from db.queries import QUERIES
from db.sources import Reference
from domain import affiliate, ids, money
from domain.feed_values import MAX_IMAGES
from domain.feeds import MAX_OPTIONS
from domain.pages import length_of
from domain.switches import Switch
from resolvers import product_matches, product_offers, products, recommendations
from resolvers.filters import MAX_LIST
from resolvers.products import MAX_TAGS, MAX_VARIANTS, Filter
from schema.bounds import at_most
from schema.brands import Brand
from schema.connection import Connection, connect
from schema.context import Info
from schema.node import RowNode, column, load, row, to_one
from schema.retailers import Retailer
from schema.scalars import from_jsonb

if TYPE_CHECKING:
    from schema.categories import Category
    from schema.import_runs import ProductOrigin
    from schema.product_matches import PersonalityMatch
    from schema.product_offers import PricePoint, ProductOffer
    from schema.recommendations import Recommendation

MAX_OFFERS = 10


@strawberry.type(description="An exact amount of money.")
class Money:
    amount: Decimal = strawberry.field(description="In major units, exact.")
    currency_code: str = strawberry.field(description="ISO 4217.")

    @classmethod
    def of(cls, minor: int | None, currency: str | None) -> Money | None:
        if minor is None or currency is None:
            return None
        return cls(amount=money.to_decimal(minor, currency), currency_code=currency)


@strawberry.type(description="A property in which the variants of a product differ.")
class ProductOption:
    name: str = strawberry.field(description="In lower case, such as `size`.")
    value: str = strawberry.field(description="As the shop writes it.")

    @classmethod
    def of(cls, jsonb: str) -> list[ProductOption]:
        return [cls(name=str(option["name"]), value=str(option["value"])) for option in from_jsonb(jsonb) or []]


@strawberry.enum(description="What administrators set of a product, and imports then leave.")
class EditedField(Enum):
    NAME = strawberry.enum_value("name", description="The name.")
    DESCRIPTION = strawberry.enum_value("description", description="The description.")
    CATEGORY = strawberry.enum_value("category", description="The category.")
    BRAND = strawberry.enum_value("brand", description="The brand.")
    TAGS = strawberry.enum_value("tags", description="The tags.")
    IMAGE = strawberry.enum_value("image", description="The pictures.")
    UNPUBLISHED = strawberry.enum_value("unpublished", description="That it is not in the catalogue.")


def regular_price() -> Any:
    """The field of a product or an offer."""
    return column(
        "The price without a sale; the same as `price` if there is none.",
        "regular_price_minor",
        "price_minor",
        "currency",
        read=lambda regular, now, currency: Money.of(now if regular is None else regular, currency),
    )


def sale_price() -> Any:
    """The field of a product or an offer."""
    return column(
        "The price of the sale that is on, which is `price` then; null without one.",
        "sale_price_minor",
        "price_minor",
        "currency",
        read=lambda sale, now, currency: Money.of(sale, currency) if sale == now else None,
    )


# An id of a product that was merged leads to the product that stays.
@row(
    "public.products",
    orders=products.ORDERS,
    aliases="select o.id as alias, o.product_id as id from public.product_offers o",
)
@strawberry.type(description="A product that can be given as a gift.")
class Product(RowNode):
    name: str = column("Name as the retailer gives it.")
    description: str | None = column("What it is, in plain text.")
    price: Money = column("What it costs at `retailer`.", "price_minor", "currency", read=Money.of)
    regular_price: Money = regular_price()
    sale_price: Money | None = sale_price()
    image_url: str | None = column("A picture.")
    images: list[str] = column(
        "All pictures, `imageUrl` first.",
        "images",
        "image_url",
        read=lambda images, first: images or ([first] if first else []),
        limit=MAX_IMAGES,
    )
    options: list[ProductOption] = column(
        "What tells it from its variants, such as its size.", read=ProductOption.of, is_jsonb=True, limit=MAX_OPTIONS
    )
    tags: list[str] = column("Topics, such as `game-night`.", limit=MAX_TAGS)
    in_stock: bool = column(
        "Whether it can be bought now.", "in_stock", "is_active", read=lambda stocked, active: stocked and active
    )
    is_active: bool = column("Whether it is in the catalogue; if not, it takes no new swipes, clicks or gift links.")
    created_at: datetime = column("When it was added to the catalogue.")
    edited_fields: list[EditedField] = column(
        "What an administrator set, so that imports leave it.",
        "edited",
        read=lambda edited: [EditedField(name) for name in edited],
        limit=len(products.EDITABLE),
    )

    brand: Brand | None = to_one("The brand.", "brand_id")
    category: Annotated[Category, strawberry.lazy("schema.categories")] = to_one(
        "Its category in the catalogue.", "category_id"
    )
    retailer: Retailer | None = to_one("Who sells it best: the retailer of the leading offer.", "seller_id")

    @strawberry.field(
        description="The disclosure to show next to a link to the shop, because an affiliate network may pay for it; "
        "null if none does."
    )
    async def disclosure(self, info: Info) -> str | None:
        sellers = info.context.session.loaders.one_by(Retailer.ROW, "id")
        seller = await sellers.load(self.record["seller_id"])
        return None if seller is None else affiliate.disclosure(seller.network)

    @strawberry.field(
        description="Who asks how much for it now, cheapest first; other currencies than its own last. `price`, "
        "`inStock` and `retailer` are those of the leading offer: in stock, then in the default currency, then the "
        "cheapest. At most "
        f"{MAX_OFFERS}. `all`: also those that are not active, last.",
        metadata=at_most(MAX_OFFERS),
    )
    async def offers(
        self, info: Info, all: bool = False
    ) -> list[Annotated[ProductOffer, strawberry.lazy("schema.product_offers")]]:
        from schema.product_offers import ProductOffer

        session = info.context.session

        async def batch(keys: list[UUID]) -> list[list[asyncpg.Record]]:
            return await product_offers.of_products(session, keys, MAX_OFFERS, all=all)

        loader: DataLoader[UUID, list[asyncpg.Record]] = session.loaders.custom(("offers", all), batch)
        return [ProductOffer.ROW.make(offer) for offer in await loader.load(self.record["id"])]

    @strawberry.field(description="Its current and past prices, newest first, since Aclue first stored one.")
    async def price_history(
        self, info: Info, first: int = 30
    ) -> list[Annotated[PricePoint, strawberry.lazy("schema.product_offers")]]:
        from schema.product_offers import PricePoint

        size = length_of(first)
        session = info.context.session

        async def batch(keys: list[UUID]) -> list[list[asyncpg.Record]]:
            return await product_offers.price_history(session, keys, size)

        loader: DataLoader[UUID, list[asyncpg.Record]] = session.loaders.custom(("price_history", size), batch)
        return [PricePoint.ROW.make(price) for price in await loader.load(self.record["id"])]

    @strawberry.field(
        description=f"The other sizes, colours and the like of the same thing in its shop; at most {MAX_VARIANTS}.",
        metadata=at_most(MAX_VARIANTS),
    )
    async def variants(self, info: Info) -> list[Product]:
        session = info.context.session

        async def batch(keys: list[UUID]) -> list[list[UUID]]:
            return await products.variants(session, keys)

        loader: DataLoader[UUID, list[UUID]] = session.loaders.custom(("variants",), batch)
        found = await loader.load(self.record["id"])
        return [v for v in await session.loaders.one_by(Product.ROW, "id").load_many(found) if v is not None]

    @strawberry.field(
        description="The import that last set it, and where; for administrators, null for everybody else. Null "
        "too if it was never imported."
    )
    async def origin(self, info: Info) -> Annotated[ProductOrigin, strawberry.lazy("schema.import_runs")] | None:
        from schema.import_runs import ProductOrigin

        if not info.context.claims.may_administer:
            return None
        loader = info.context.session.loaders.one_by(ProductOrigin.ROW, "product_id")
        origin: ProductOrigin | None = await loader.load(self.record["id"])
        return origin

    @strawberry.field(description="Similar products, most similar first; the same for every caller.")
    async def similar(
        self, info: Info, first: int = 10
    ) -> list[Annotated[Recommendation, strawberry.lazy("schema.recommendations")]]:
        from schema.recommendations import Recommendation

        size, context = length_of(first), info.context

        async def batch(keys: list[UUID]) -> list[list[recommendations.Recommended]]:
            return await recommendations.similar(context.session, context.services, keys, size)

        loader: DataLoader[UUID, list[recommendations.Recommended]] = context.session.loaders.custom(
            ("similar", size), batch
        )
        return [Recommendation.of(found) for found in await loader.load(self.record["id"])]

    @strawberry.field(description="How it suits the caller's own personality; null without a token or an assessment.")
    async def personality_match(
        self, info: Info
    ) -> Annotated[PersonalityMatch, strawberry.lazy("schema.product_matches")] | None:
        from schema.product_matches import PersonalityMatch

        session = info.context.session

        async def batch(keys: list[UUID]) -> list[product_matches.Match | None]:
            if not info.context.services.switches.is_on(Switch.PERSONALISATION):
                return [None] * len(keys)
            return await product_matches.of_products(session, keys)

        loader: DataLoader[UUID, product_matches.Match | None] = session.loaders.custom(("personality_match",), batch)
        found = await loader.load(self.record["id"])
        return None if found is None else PersonalityMatch.of(found)


@strawberry.enum(description="The order of products. RELEVANCE needs a search; without one it is POPULARITY.")
class ProductOrder(Enum):
    NEWEST = strawberry.enum_value("NEWEST", description="Newest first.")
    PRICE_ASC = strawberry.enum_value(
        "PRICE_ASC",
        description="Cheapest first within each currency: the default currency, then the others by code.",
    )
    PRICE_DESC = strawberry.enum_value(
        "PRICE_DESC",
        description="Most expensive first within each currency: the default currency, then the others by code.",
    )
    NAME = strawberry.enum_value("NAME", description="By name.")
    POPULARITY = strawberry.enum_value("POPULARITY", description="Most liked first.")
    RELEVANCE = strawberry.enum_value("RELEVANCE", description="Best match of the search first.")


@strawberry.input(
    description="Which products; all conditions must hold. A list of ids or slugs means any of them, an empty one none."
)
class ProductFilter:
    category_slug: str | None = strawberry.field(default=None, description="Includes its sub-categories.")
    category_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description=f"In any of these categories or their sub-categories; at most {MAX_LIST}."
    )
    brand_slugs: list[str] | None = strawberry.field(default=None, description="Any of these brands.")
    brand_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description=f"Any of these brands; at most {MAX_LIST}."
    )
    retailer_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description=f"Any of these retailers; at most {MAX_LIST}."
    )
    min_price: Decimal | None = strawberry.field(default=None, description="At least this much.")
    max_price: Decimal | None = strawberry.field(default=None, description="At most this much.")
    currency_code: str | None = strawberry.field(
        default=None,
        description="Only prices in this currency. Without it, price limits are in the default currency, GBP unless "
        "the service is configured otherwise; without price limits, all currencies are included.",
    )
    tags: list[str] | None = strawberry.field(default=None, description="All of these tags.")
    any_tags: list[str] | None = strawberry.field(
        default=None, description=f"At least one of these tags; at most {MAX_LIST}."
    )
    in_stock: bool | None = strawberry.field(
        default=None, description="Only products that can (true) or cannot (false) be bought now."
    )
    collapse_variants: bool = strawberry.field(
        default=False, description="Of the variants of a thing that fit the rest of the filter only the first."
    )

    def plain(self, default_currency: str) -> Filter:
        return Filter(
            category_slug=self.category_slug,
            category_ids=products.keys_of("Category", self.category_ids, "categoryIds"),
            brand_slugs=self.brand_slugs,
            brand_ids=products.keys_of("Brand", self.brand_ids, "brandIds"),
            retailer_ids=products.keys_of("Retailer", self.retailer_ids, "retailerIds"),
            min_price=self.min_price,
            max_price=self.max_price,
            currency=products.currency_of(self.currency_code, self.min_price, self.max_price, default_currency),
            tags=self.tags,
            any_tags=self.any_tags,
            in_stock=self.in_stock,
            collapse_variants=self.collapse_variants,
        )


def product_page(
    info: Info,
    order: ProductOrder,
    *,
    first: int | None,
    after: str | None,
    last: int | None = None,
    before: str | None = None,
    query: str | None = None,
    wanted: ProductFilter | None = None,
    parent: str | None = None,
    parts: str | None = None,
) -> Connection[Product]:
    """A page of active products; `query` is what products.search_query makes of a search."""
    default_currency = info.context.services.settings.default_currency
    filter = wanted.plain(default_currency) if wanted else None
    searched = [] if query is None else [QUERIES["products.matches"].bind(query=query)]
    where = [QUERIES["products.is_active"].bind(), *searched, *products.conditions(filter, searched)]
    if query is None and order is ProductOrder.RELEVANCE:
        order = ProductOrder.POPULARITY
    return connect(
        info,
        Product.ROW,
        products.order_of(cast(str, order.value), filter, default_currency),
        first=first,
        after=after,
        last=last,
        before=before,
        where=where,
        parent=parent,
        parts=parts,
        order_values=(("search", query),) if order is ProductOrder.RELEVANCE else (),
    )


@strawberry.type
class ProductQuery:
    @strawberry.field(description="A product by id; null if there is none.", graphql_type=Product | None)
    def product(self, info: Info, id: strawberry.ID) -> Reference[Product]:
        return load(info, Product, ids.decode_as("Product", id))

    @strawberry.field(
        description="The catalogue. A search finds products with all words, ignoring case and accents, the last word "
        'as a prefix; `-word` excludes a word, `"two words"` is a phrase, a whole name finds its product. '
        "One typo is corrected in a word of five letters or more that no product uses."
    )
    def products(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        search: str | None = None,
        filter: ProductFilter | None = None,
        order_by: ProductOrder = ProductOrder.NEWEST,
    ) -> Connection[Product]:
        page = partial(product_page, info, order_by, first=first, after=after, last=last, before=before, wanted=filter)

        async def found() -> Connection[Product]:
            return page(query=await products.search_query(info.context.session, search))

        return found() if search else page()  # type: ignore[return-value]  # awaited by the executor
