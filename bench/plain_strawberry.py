"""A plain Strawberry server with DataLoaders, as most people would write it: the peer that is the honest average.

Its own small schema over the same tables. asyncpg's pool as it comes (a reset round trip per release), one short
transaction with its claims per statement, each look-up of one level batched by a DataLoader.
Set by the environment: DATABASE_URL, JWT_SECRET, JWT_AUDIENCE, JWT_ISSUER, POOL_SIZE.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import jwt
import strawberry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.types import Info

pool: Any = None


class Database:
    """Statements under the claims of one request."""

    def __init__(self, claims: dict[str, Any]) -> None:
        self.claims = claims
        self.brands = DataLoader(lambda ids: self.by_id("brands", ids))
        self.categories = DataLoader(lambda ids: self.by_id("categories", ids))
        self.products = DataLoader(lambda ids: self.by_id("products", ids))
        self.products_of_category = DataLoader(self._products_of_categories)

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true), "
                "set_config('request.jwt.claim.sub', $3, true)",
                self.claims["role"],
                json.dumps(self.claims),
                self.claims.get("sub", ""),
            )
            rows: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
            return rows

    async def by_id(self, table: str, ids: list[UUID]) -> list[asyncpg.Record | None]:
        rows = {row["id"]: row for row in await self.fetch(f"select * from {table} where id = any($1)", ids)}
        return [rows.get(key) for key in ids]

    async def _products_of_categories(self, keys: list[tuple[UUID, int]]) -> list[list[asyncpg.Record]]:
        rows = await self.fetch(
            "select p.* from unnest($1::uuid[]) c (id) cross join lateral (select * from products "
            "where category_id = c.id and is_active order by created_at desc, id desc limit $2) p",
            [key for key, _ in keys],
            max(first for _, first in keys),
        )
        return [[row for row in rows if row["category_id"] == key][:first] for key, first in keys]


@strawberry.type
class Brand:
    id: strawberry.ID
    name: str


@strawberry.type
class Product:
    id: strawberry.ID
    name: str
    price_minor: int
    currency: str
    brand_id: strawberry.Private[UUID | None]
    category_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, row: Any) -> Product:
        return cls(
            id=strawberry.ID(str(row["id"])),
            name=row["name"],
            price_minor=row["price_minor"],
            currency=row["currency"],
            brand_id=row["brand_id"],
            category_id=row["category_id"],
        )

    @strawberry.field
    async def brand(self, info: Info) -> Brand | None:
        row = await info.context["db"].brands.load(self.brand_id) if self.brand_id else None
        return Brand(id=strawberry.ID(str(row["id"])), name=row["name"]) if row else None

    @strawberry.field
    async def category(self, info: Info) -> Category:
        return Category.of(await info.context["db"].categories.load(self.category_id))


@strawberry.type
class Category:
    id: strawberry.ID
    name: str

    @classmethod
    def of(cls, row: Any) -> Category:
        return cls(id=strawberry.ID(str(row["id"])), name=row["name"])

    @strawberry.field
    async def products(self, info: Info, first: int = 20) -> list[Product]:
        return [Product.of(r) for r in await info.context["db"].products_of_category.load((UUID(self.id), first))]


@strawberry.type
class Swipe:
    id: strawberry.ID
    direction: str
    created_at: datetime
    product_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, row: Any) -> Swipe:
        id = strawberry.ID(str(row["id"]))
        return cls(id=id, direction=row["direction"], created_at=row["created_at"], product_id=row["product_id"])

    @strawberry.field
    async def product(self, info: Info) -> Product:
        return Product.of(await info.context["db"].products.load(self.product_id))


@strawberry.type
class Preferences:
    total_swipes: int


@strawberry.type
class Recommendation:
    score: float
    terms: strawberry.scalars.JSON
    product_id: strawberry.Private[UUID]

    @strawberry.field
    async def product(self, info: Info) -> Product:
        return Product.of(await info.context["db"].products.load(self.product_id))


@strawberry.type
class Profile:
    id: strawberry.ID
    is_anonymous: bool
    display_name: str | None
    created_at: datetime

    @strawberry.field
    async def swipes(self, info: Info, first: int = 20) -> list[Swipe]:
        rows = await info.context["db"].fetch(
            "select * from swipes where user_id = $1 and undone_at is null order by created_at desc, id desc limit $2",
            UUID(self.id),
            first,
        )
        return [Swipe.of(row) for row in rows]

    @strawberry.field
    async def preferences(self, info: Info) -> Preferences | None:
        sql = "select total_swipes from user_preferences where user_id = $1"
        rows = await info.context["db"].fetch(sql, UUID(self.id))
        return Preferences(total_swipes=rows[0]["total_swipes"]) if rows else None


async def _me(info: Info) -> Profile | None:
    db = info.context["db"]
    for row in await db.fetch("select * from profiles where id = $1", UUID(db.claims["sub"])):
        names = ("is_anonymous", "display_name", "created_at")
        return Profile(id=strawberry.ID(str(row["id"])), **{name: row[name] for name in names})
    return None


@strawberry.type
class Query:
    @strawberry.field
    async def me(self, info: Info) -> Profile | None:
        return await _me(info)

    @strawberry.field
    async def products(self, info: Info, first: int = 20) -> list[Product]:
        sql = "select * from products where is_active order by created_at desc, id desc limit $1"
        return [Product.of(row) for row in await info.context["db"].fetch(sql, first)]

    @strawberry.field
    async def categories(self, info: Info, ids: list[UUID]) -> list[Category]:
        return [Category.of(row) for row in await info.context["db"].categories.load_many(ids)]

    @strawberry.field
    async def feed(self, info: Info, first: int = 20) -> list[Recommendation]:
        found = []
        for row in await info.context["db"].fetch("select * from bench.feed($1)", first):
            terms = {name: value for name, value in row.items() if name not in ("product_id", "score")}
            found.append(Recommendation(score=row["score"], terms=terms, product_id=row["product_id"]))
        return found


@strawberry.input
class SwipeInput:
    product_id: UUID
    direction: str
    client_swipe_id: str


@strawberry.type
class Recorded:
    swipes: list[Swipe]

    @strawberry.field
    async def me(self, info: Info) -> Profile | None:
        return await _me(info)


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def record_swipes(self, info: Info, swipes: list[SwipeInput]) -> Recorded:
        rows = await info.context["db"].fetch(
            "select * from bench.record_swipes($1, $2, $3)",
            [swipe.product_id for swipe in swipes],
            [swipe.direction for swipe in swipes],
            [swipe.client_swipe_id for swipe in swipes],
        )
        return Recorded(swipes=[Swipe.of(row) for row in rows])


class _Endpoint(GraphQL[dict[str, Any], None]):
    async def get_context(self, request: Request, response: Response) -> dict[str, Any]:
        token = request.headers["authorization"].removeprefix("Bearer ")
        claims = jwt.decode(
            token,
            os.environ["JWT_SECRET"],
            algorithms=["HS256"],
            audience=os.environ["JWT_AUDIENCE"],
            issuer=os.environ["JWT_ISSUER"],
        )
        return {"request": request, "response": response, "db": Database(claims)}


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    global pool
    size = int(os.environ["POOL_SIZE"])
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=size, max_size=size)
    yield
    await pool.close()


app = Starlette(lifespan=_lifespan)
app.add_route("/graphql", _Endpoint(strawberry.Schema(Query, Mutation), graphql_ide=None))
